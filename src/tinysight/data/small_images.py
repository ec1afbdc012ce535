"""Makes images small, to compare many of them in little time and memory."""

import tempfile
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .cache import MAX_BYTES_IN_MEMORY, create_array, release_pages

MAX_SIDE = 32  # pixels; finer details do not survive recompression
VALUES_AT_A_TIME = 2**22  # pixel values as float32: 16 MiB

Floats = NDArray[np.float32]


def small_images(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images with no side above `MAX_SIDE`, each pixel the mean of those that it covers.

    Args:
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, 3)``; may be memory-mapped.

    Returns:
        The same array if its images are small enough, else a new one, mapped to a temporary file if it is large.

    Raises:
        DataError: The disk for temporary files is full.
    """
    height, width = images.shape[1:3]
    if max(height, width) <= MAX_SIDE:
        return images
    rows, columns = _averaging(height), _averaging(width)
    step = max(1, VALUES_AT_A_TIME // prod(images.shape[1:]))
    smaller = _new_array((len(images), len(rows), len(columns), *images.shape[3:]))
    for start in range(0, len(images), step):
        some = slice(start, start + step)
        values = images[some].astype(np.float32).reshape(-1, height, width, prod(images.shape[3:]))
        means = rows @ np.moveaxis(values, 3, 1) @ columns.T
        smaller[some] = np.rint(np.moveaxis(means, 1, 3)).astype(np.uint8).reshape(-1, *smaller.shape[1:])
        release_pages(images)
        release_pages(smaller)
    return smaller


def _averaging(side: int) -> Floats:
    """Return the matrix that turns `side` values into at most `MAX_SIDE` means, float32 ``(num_means, side)``."""
    count = min(side, MAX_SIDE)
    edges, pixels = np.arange(count + 1) * (side / count), np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.maximum(overlap, 0) * (count / side), np.float32)


def _new_array(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array, mapped to a temporary file if it is large."""
    if prod(shape) <= MAX_BYTES_IN_MEMORY:
        return np.empty(shape, np.uint8)
    try:
        with tempfile.TemporaryFile() as file:
            return create_array(file, shape)  # type: ignore[arg-type]
    except OSError as error:
        place = tempfile.gettempdir()
        raise DataError(
            f"{place}: no room for smaller images ({error.strerror}); set TMPDIR to a folder on another disk"
        ) from None
