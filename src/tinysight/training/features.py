"""Computes a frozen network's features of images through ONNX Runtime on all cores, and keeps them in the cache.

The cache holds a file for each call that computed some; it is found by the pixels' SHA-256, so that an image is never
computed twice, whatever set it is in.
"""

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.cache import features_folder, release_pages
from ..data.cached_folders import is_private
from ..data.dataset import ImageSet, Progress
from ..errors import OutputError
from ..files import write_whole
from ..onnx_file import build_feature_model, open_session
from ..onnx_graph import Layer, Network

MAX_CACHED_BYTES = 2**30  # 200,000 images of 1,280 features; above it the files used first are removed
CHUNK_ROWS = 256  # images computed between two steps of the progress bar's

Features = NDArray[np.float32]


def compute_features(
    images: ImageSet,
    rows: NDArray[np.int64],
    network: Network,
    layers: Sequence[Layer],
    progress: Progress | None = None,
) -> Features:
    """Return the features of some images, from the cache where they are there.

    Args:
        images: The images.
        rows: Rising row numbers.
        network: The operations that give the features.
        layers: Weights and biases of the network.
        progress: Called while they are computed.

    Returns:
        float32 ``(num_rows, num_features)``.
    """
    model = build_feature_model(layers, images.framing.image_shape, network)
    folder = features_folder() / sha256(model).hexdigest()[:32]
    keys = [digest.tobytes() for digest in images.hashes[rows]]
    known = _read_cached(folder, set(keys))
    missing = [place for place, key in enumerate(keys) if key not in known]
    if missing:
        computed = _compute(images.images, rows[missing], model, progress)
        _store(folder, images.hashes[rows[missing]], computed)
        known |= {keys[place]: one for place, one in zip(missing, computed, strict=True)}
    return np.stack([known[key] for key in keys])


def _compute(images: NDArray[np.uint8], rows: NDArray[np.int64], model: bytes, progress: Progress | None) -> Features:
    """Run the network on each image alone: one image fits the processor's cache, and each core has its own."""
    session = open_session(model, "the pretrained network", num_threads=1)

    def run(row: int) -> Features:
        (found,) = session.run(None, {"images": np.ascontiguousarray(images[row : row + 1])})
        return np.asarray(found[0], np.float32)

    found: list[Features] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(rows), CHUNK_ROWS):
            found += _counted(pool.map(run, rows[start : start + CHUNK_ROWS].tolist()), start, len(rows), progress)
            release_pages(images)
    return np.stack(found)


def _counted(results: Iterator[Features], start: int, total: int, progress: Progress | None) -> Iterator[Features]:
    for number, result in enumerate(results, start + 1):
        if progress:
            progress("computing features", number, total)
        yield result


def _read_cached(folder: Path, wanted: set[bytes]) -> dict[bytes, Features]:
    """Return what the cache has of the wanted images; damaged files and those of other users are passed over."""
    found: dict[bytes, Features] = {}
    with suppress(OSError):
        if is_private(folder):
            for path in sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True):
                if len(found) == len(wanted):
                    break
                found |= _read_file(path, wanted)
    return found


def _read_file(path: Path, wanted: set[bytes]) -> dict[bytes, Features]:
    with suppress(OSError, ValueError, KeyError, EOFError):
        content = path.read_bytes()
        if path.stem == sha256(content).hexdigest():
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                pairs = zip(stored["hashes"], stored["features"], strict=True)
                return {digest.tobytes(): one for digest, one in pairs if digest.tobytes() in wanted}
    return {}


def _store(folder: Path, hashes: NDArray[np.uint8], features: Features) -> None:
    """Add a file, named by its SHA-256; a cache that cannot be written is left as it is."""
    buffer = io.BytesIO()
    np.savez(buffer, hashes=hashes, features=features)
    with suppress(OSError, OutputError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        content = buffer.getvalue()
        write_whole(folder / f"{sha256(content).hexdigest()}.npz", content)
        files = sorted(folder.parent.glob("*/*.npz"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        for path in files[:-1]:
            if total <= MAX_CACHED_BYTES:
                break
            total -= path.stat().st_size
            path.unlink(missing_ok=True)
