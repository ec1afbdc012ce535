"""Reads IDX files and ``.npz`` archives into arrays; does not know what the images are for.

Each reader gives `Part`s: images and label values of one part of a set, ``train``, ``validation``, ``test``, or
``all`` where the source does not say.
"""

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
# What people call the parts in an .npz
NPZ_PARTS = {
    "train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test",
}  # fmt: skip
_IDX_NAME = re.compile(r"(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[31]-ubyte(\.gz)?")

IdxFiles = dict[str, dict[str, Path]]


@dataclass(frozen=True)
class Part:
    """One part of an image set as it was stored.

    Attributes:
        split: ``train``, ``validation``, ``test`` or ``all``.
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, 3)``.
        labels: Label values, ``(num_images,)``, integers.
        source: Name of the file that held the images.
    """

    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    source: str


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes, plain or gzip; a large plain one is mapped, not read.

    Source: the format is described at http://yann.lecun.com/exdb/mnist/.

    Raises:
        DataError: The file is not IDX, holds another type, or is truncated.
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
        raise DataError(f"{path}: the gzip data is truncated or damaged; fetch the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def parse_idx(stream: BinaryIO | gzip.GzipFile, name: str) -> NDArray[np.uint8]:
    """Return the array in an IDX file, reading no more than its header announces; messages call it `name`."""
    shape = _parse_header(stream, name)
    data = stream.read(prod(shape) + 1)
    _check_length(len(data), prod(shape), name)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _parse_header(stream: BinaryIO | gzip.GzipFile, name: str) -> tuple[int, ...]:
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
        raise DataError(f"{name}: announces {prod(shape):,} bytes, which no IDX file has; it is damaged")
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
    return sort_idx_files(sorted(path for path in folder.iterdir() if path.is_file()))


def sort_idx_files(paths: Iterable[Path]) -> IdxFiles:
    """Tell by MNIST's names what is in each file: ``{"train": {"images": path, "labels": path}, "test": …}``."""
    found: IdxFiles = {}
    for path in sorted(paths, reverse=True):  # "train" before "test" and "t10k"
        match = _IDX_NAME.fullmatch(path.name)
        if match:
            split = "train" if match["part"] == "train" else "test"
            found.setdefault(split, {}).setdefault(match["kind"], path)
    return found


def read_idx_files(files: IdxFiles, name: str) -> list[Part]:
    """Read pairs of IDX files, as `find_idx_files` gives them; error messages call the set `name`.

    Raises:
        DataError: A file is damaged, one of a pair is missing, or a pair's counts differ.
    """
    parts = []
    for split, pair in files.items():
        for kind in ("images", "labels"):
            if kind not in pair:
                raise DataError(f"{name}: holds {split} IDX files, but none with {split} {kind}")
        images, labels = read_idx(pair["images"]), read_idx(pair["labels"])
        parts.append(_part(split, images, labels, pair["images"].name, name))
    return parts


def read_npz(path: Path) -> list[Part]:
    """Read ``x_train``, ``y_train`` and, where they are, such pairs for validation and test; never unpickles.

    Those for validation may be called ``x_val``, ``x_valid`` or ``x_validation``.

    Raises:
        DataError: The file is damaged, an array is missing, holds Python objects, or has a shape of another kind.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: _npz_array(archive, key, path) for key in archive.files if key[:2] in ("x_", "y_")}
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (DataError, MemoryError):
        raise
    except Exception:  # zipfile and NumPy raise anything on damaged archives, RuntimeError and TypeError included
        raise DataError(f"{path}: not a readable .npz archive") from None
    names = [name for name in NPZ_PARTS if f"x_{name}" in arrays or f"y_{name}" in arrays]
    is_paired = all(f"x_{name}" in arrays and f"y_{name}" in arrays for name in names)
    if "train" not in names or not is_paired or len({NPZ_PARTS[name] for name in names}) < len(names):
        expected = "arrays x_train, y_train, x_test, y_test and perhaps x_val, y_val"
        raise DataError(f"{path}: expected {expected}; it holds {', '.join(sorted(arrays)) or 'none of them'}")
    return [
        _part(NPZ_PARTS[name], arrays[f"x_{name}"], arrays[f"y_{name}"], f"{path.name}/x_{name}", str(path))
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


def _part(split: str, images: NDArray[np.generic], labels: NDArray[np.generic], source: str, name: str) -> Part:
    """Check that images and labels fit together, and bring them to uint8 and int64."""
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    is_picture = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not is_picture:
        received = f"{images.dtype} {images.shape}"
        raise DataError(f"{name}: {split} images are {received}; expected uint8 (images, height, width[, 3])")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        received = f"{labels.dtype} {labels.shape}"
        raise DataError(f"{name}: {split} labels are {received}; expected whole numbers of shape (images,)")
    if len(images) != len(labels):
        raise DataError(f"{name}: {len(images):,} {split} images but {len(labels):,} labels; expected as many")
    return Part(split, images.astype(np.uint8, copy=False), labels.astype(np.int64), source)


def label_parts(
    parts: list[Part], class_names: tuple[str, ...] | None, name: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Turn the label values of all parts into indices.

    Args:
        parts: What was read; not empty.
        class_names: Names of the labels 0, 1, …; None: each value that occurs is a class named by its number.
        name: What error messages call the set.

    Returns:
        int64 indices into the class names, for all parts in turn, and the class names.

    Raises:
        DataError: There are no images, or a label has no name.
    """
    values = np.concatenate([part.labels for part in parts])
    if not len(values):
        raise DataError(f"{name}: holds no images")
    if class_names is None:
        occurring, indices = np.unique(values, return_inverse=True)
        return indices.astype(np.int64), tuple(str(value) for value in occurring)
    if values.min() < 0 or values.max() >= len(class_names):
        worst = values.min() if values.min() < 0 else values.max()
        raise DataError(f"{name}: label {worst} is outside 0–{len(class_names) - 1}")
    return values, class_names
