"""Keeps the pairs of near-duplicates of image sets in the cache, where finding them takes a while."""

import io
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..files import read_at_most, write_whole
from . import cache
from .cached_folders import is_private
from .near_duplicates import near_duplicate_pairs

RULES = 1  # counted up when `near_duplicate_pairs` finds other pairs
MIN_SECONDS = 0.1  # pairs that are found in less are not kept
MAX_BYTES = 2**30


def find_near_duplicates(images: NDArray[np.uint8], hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the pairs of near-duplicates of an image set, from the cache if they are there.

    Args:
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, 3)``.
        hashes: uint8 ``(num_images, 32)``, SHA-256 of each image's pixels.

    Returns:
        As `near_duplicate_pairs`: int64 ``(num_pairs, 2)``.
    """
    if (pairs := stored_near_duplicates(images, hashes)) is not None:
        return pairs
    start = perf_counter()
    pairs = near_duplicate_pairs(images)
    if perf_counter() - start > MIN_SECONDS:
        content = io.BytesIO()
        np.save(content, pairs, allow_pickle=False)
        path = _path(images, hashes)
        with suppress(OSError, OutputError):  # they are found again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content.getvalue())
    return pairs


def stored_near_duplicates(images: NDArray[np.uint8], hashes: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """Return the pairs that the cache has for an image set, or None; arguments as for `find_near_duplicates`."""
    path = _path(images, hashes)
    try:
        if not is_private(path.parent):
            return None
        pairs = np.load(io.BytesIO(read_at_most(path, MAX_BYTES)), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_sound = pairs.dtype == np.int64 and pairs.ndim == 2 and pairs.shape[1] == 2
    if not is_sound or (len(pairs) and not (pairs.min() >= 0 and pairs.max() < len(images))):
        return None
    return np.asarray(pairs, np.int64)


def _path(images: NDArray[np.uint8], hashes: NDArray[np.uint8]) -> Path:
    content = sha256(hashes.tobytes()).hexdigest()
    return cache.images_folder() / f"{cache.fingerprint('near-duplicates', RULES, images.shape, content)}.npy"
