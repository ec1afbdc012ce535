"""Reads IDX files and ``.npz`` archives into arrays, split by split."""

import gzip
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .cache import MAX_BYTES_IN_MEMORY, open_array

MAX_IDX_BYTES = 2**36  # a thousand times MNIST; more is a damaged header
# The split by the name of an array in an .npz, without its x_ or y_
NPZ_SPLITS = {
    "train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test",
}  # fmt: skip
_IDX_NAME = re.compile(r"(?P<split>train|t10k|test)-(?P<kind>images|labels)[-.]idx[31]-ubyte(\.gz)?")

IdxFiles = dict[str, dict[str, Path]]


@dataclass(frozen=True)
class SplitArrays:
    """The images and labels of one split, as they are stored.

    Attributes:
        split: ``train``, ``validation``, ``test``, or ``all`` where the source does not say.
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, 3)``.
        labels: int64 ``(num_images,)``, any whole numbers.
        source: Name of the file that the images are from.
    """

    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    source: str


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes, plain or gzip; a large plain one is memory-mapped.

    Source: the format is described at http://yann.lecun.com/exdb/mnist/.

    Raises:
        DataError: The file is not IDX, holds another type, is truncated or too long.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_gzip else path.open("rb") as stream:
            if is_gzip or path.stat().st_size <= MAX_BYTES_IN_MEMORY:
                return parse_idx(stream, str(path))
            shape = _parse_header(stream, str(path))
            _check_length(path.stat().st_size - stream.tell(), prod(shape), str(path))
            return open_array(path, shape, stream.tell())
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path}: the gzip data is truncated or damaged; download the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def parse_idx(stream: BinaryIO | gzip.GzipFile, name: str) -> NDArray[np.uint8]:
    """Return the array in an IDX file, which error messages call `name`; reads no more than its header announces."""
    shape = _parse_header(stream, name)
    data = stream.read(prod(shape) + 1)
    _check_length(len(data), prod(shape), name)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _parse_header(stream: BinaryIO | gzip.GzipFile, name: str) -> tuple[int, ...]:
    """Return the shape that an IDX file's header announces."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise DataError(f"{name}: not an IDX file (it does not begin with two zero bytes)")
    kind, num_dimensions = start[2], start[3]
    if kind != 0x08 or not 1 <= num_dimensions <= 4:
        received = f"type 0x{kind:02x}, {num_dimensions} dimensions"
        raise DataError(f"{name}: an IDX file of {received}; expected bytes (0x08), 1 to 4 dimensions")
    header = stream.read(4 * num_dimensions)
    shape = tuple(int(n) for n in np.frombuffer(header.ljust(4 * num_dimensions, b"\0"), ">u4"))
    if prod(shape) > MAX_IDX_BYTES:
        received, expected = f"{prod(shape):,} bytes", f"{MAX_IDX_BYTES:,} at most"
        raise DataError(f"{name}: announces {received}, expected {expected}; the file is damaged")
    if len(header) < 4 * num_dimensions:
        raise DataError(f"{name}: the IDX file is truncated within its header")
    return shape


def _check_length(received: int, expected: int, name: str) -> None:
    if received < expected:
        raise DataError(
            f"{name}: the IDX file is truncated: {received:,} bytes of data, its header announces {expected:,}"
        )
    if received > expected:
        raise DataError(f"{name}: the IDX file is too long: its header announces {expected:,} bytes of data")


def find_idx_files(folder: Path) -> IdxFiles:
    """Return the files in a folder that have IDX files' names."""
    return pair_idx_files(sorted(path for path in folder.iterdir() if path.is_file()))


def pair_idx_files(paths: Iterable[Path]) -> IdxFiles:
    """Group files named as MNIST's are: ``{"train": {"images": path, "labels": path}, "test": …}``."""
    found: IdxFiles = {}
    for path in sorted(paths, reverse=True):  # "train" before "test" and "t10k"
        match = _IDX_NAME.fullmatch(path.name)
        if match:
            split = "train" if match["split"] == "train" else "test"
            found.setdefault(split, {}).setdefault(match["kind"], path)
    return found


def read_idx_files(files: IdxFiles, name: str) -> list[SplitArrays]:
    """Read pairs of IDX files that `find_idx_files` returned; error messages call the set `name`.

    Raises:
        DataError: A file is damaged, one of a pair is missing, or a pair's counts differ.
    """
    splits = []
    for split, pair in files.items():
        for kind in ("images", "labels"):
            if kind not in pair:
                raise DataError(f"{name}: holds {split} IDX files, but none with {split} {kind}")
        images, labels = read_idx(pair["images"]), read_idx(pair["labels"])
        splits.append(_checked(split, images, labels, pair["images"].name, name))
    return splits


def read_npz(path: Path) -> list[SplitArrays]:
    """Read ``x_train``, ``y_train`` and, if there, such pairs for validation and test; never unpickles.

    The validation images may be called ``x_val``, ``x_valid`` or ``x_validation``.

    Raises:
        DataError: The file is damaged, an array is missing, holds Python objects, or has another shape.
    """
    # Read the arrays with names of the right form
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: _npz_array(archive, key, path) for key in archive.files if key[:2] in ("x_", "y_")}
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (DataError, MemoryError):
        raise
    except Exception:  # zipfile and NumPy raise anything on damaged archives, RuntimeError and TypeError included
        raise DataError(f"{path}: not a readable .npz archive") from None

    # There must be images and labels for training, and at most one pair for each split
    names = [name for name in NPZ_SPLITS if f"x_{name}" in arrays or f"y_{name}" in arrays]
    is_paired = all(f"x_{name}" in arrays and f"y_{name}" in arrays for name in names)
    if "train" not in names or not is_paired or len({NPZ_SPLITS[name] for name in names}) < len(names):
        expected = "arrays x_train, y_train, x_test, y_test and perhaps x_val, y_val"
        raise DataError(f"{path}: expected {expected}; it holds {', '.join(sorted(arrays)) or 'none of them'}")
    return [
        _checked(NPZ_SPLITS[name], arrays[f"x_{name}"], arrays[f"y_{name}"], f"{path.name}/x_{name}", str(path))
        for name in names
    ]


def _npz_array(archive: "np.lib.npyio.NpzFile", key: str, path: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = archive[key]
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        raise DataError(f"{path}: {key} holds pickled Python objects, which are never loaded; save numbers") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: {key} is not an array")
    return array


def _checked(
    split: str, images: NDArray[np.generic], labels: NDArray[np.generic], source: str, name: str
) -> SplitArrays:
    """Check that images and labels fit together, and drop axes of length 1."""
    # Images: grey or colour, uint8
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    is_picture = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not is_picture:
        received = f"{images.dtype} {images.shape}"
        raise DataError(f"{name}: {split} images are {received}; expected uint8 (images, height, width[, 3])")

    # Labels: one whole number for each image
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        received = f"{labels.dtype} {labels.shape}"
        raise DataError(f"{name}: {split} labels are {received}; expected whole numbers of shape (images,)")
    if len(images) != len(labels):
        raise DataError(f"{name}: {len(images):,} {split} images but {len(labels):,} labels; expected equal numbers")
    return SplitArrays(split, images.astype(np.uint8, copy=False), labels.astype(np.int64), source)


def label_indices(
    splits: list[SplitArrays], class_names: tuple[str, ...] | None, name: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Turn the labels of all splits into indices of classes.

    Args:
        splits: One split or more.
        class_names: Names of the labels 0, 1, …; None: each label that occurs is a class named by its number.
        name: What error messages call the set.

    Returns:
        Indices into the class names, int64 ``(num_images,)`` for all splits one after the other; and the class names.

    Raises:
        DataError: There are no images, or a label has no name.
    """
    values = np.concatenate([split.labels for split in splits])
    if not len(values):
        raise DataError(f"{name}: holds no images")
    if class_names is None:
        occurring, indices = np.unique(values, return_inverse=True)
        return indices.astype(np.int64), tuple(str(value) for value in occurring)
    if values.min() < 0 or values.max() >= len(class_names):
        worst = values.min() if values.min() < 0 else values.max()
        raise DataError(f"{name}: label {worst} is outside 0–{len(class_names) - 1}, the set's classes")
    return values, class_names
