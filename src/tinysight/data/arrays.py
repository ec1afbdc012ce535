"""Reads IDX files and ``.npz`` archives into arrays, split by split."""

import gzip
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .cache import MAX_BYTES_IN_MEMORY, create_array, open_array, release_pages

MAX_IDX_BYTES = 2**36  # a thousand times MNIST; more is a damaged header
PART_BYTES = 2**18  # unpacked at a time
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


class Header(NamedTuple):
    """What an array's file announces.

    Attributes:
        dtype: Type of its numbers.
        shape: Its shape.
        is_fortran: Whether the first index runs fastest.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool = False

    @property
    def num_bytes(self) -> int:
        """Size of the data."""
        return prod(self.shape) * self.dtype.itemsize


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
    data = _read_data(stream, prod(shape))
    _check_length(len(data) + len(stream.read(1)), prod(shape), name)
    return data.reshape(shape)


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

    The validation images may be called ``x_val``, ``x_valid`` or ``x_validation``. All arrays are checked by their
    headers before one is unpacked; a large one is unpacked to a temporary file.

    Raises:
        DataError: The file is damaged, an array is missing, holds Python objects, or has another shape.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            headers = {key: _npz_header(archive, key, path) for key in _npz_keys(archive)}
            splits = _npz_splits(headers, path)
            for split, name in splits:
                _check_kinds(split, headers[f"x_{name}"], headers[f"y_{name}"], str(path))
            return [
                _checked(
                    split,
                    _npz_array(archive, f"x_{name}", headers, path),
                    _npz_array(archive, f"y_{name}", headers, path),
                    f"{path.name}/x_{name}",
                    str(path),
                )
                for split, name in splits
            ]
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (DataError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # zipfile's own
            raise DataError(f"{path}: not a readable .npz archive") from None
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:  # zipfile and NumPy raise anything on damaged archives, RuntimeError and TypeError included
        raise DataError(f"{path}: not a readable .npz archive") from None


def _npz_keys(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays that may be images or labels."""
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    return [name for name in names if name[:2] in ("x_", "y_")]


def _npz_splits(keys: Iterable[str], path: Path) -> list[tuple[str, str]]:
    """Return each split with the name of its arrays: there must be training images, and one pair for each split."""
    names = [name for name in NPZ_SPLITS if f"x_{name}" in keys or f"y_{name}" in keys]
    is_paired = all(f"x_{name}" in keys and f"y_{name}" in keys for name in names)
    if "train" not in names or not is_paired or len({NPZ_SPLITS[name] for name in names}) < len(names):
        expected = "arrays x_train, y_train, x_test, y_test and perhaps x_val, y_val"
        raise DataError(f"{path}: expected {expected}; it holds {', '.join(sorted(keys)) or 'none of them'}")
    return [(NPZ_SPLITS[name], name) for name in names]


def _npz_header(archive: zipfile.ZipFile, key: str, path: Path) -> Header:
    """Return what an array's header announces, checked against the size of its file in the archive."""
    member = archive.getinfo(f"{key}.npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{path}: {key} is compressed in an unusual way; save it with numpy.savez_compressed")
    with archive.open(member) as stream:
        header = _npy_header(stream)
        if header.dtype.hasobject:
            raise DataError(f"{path}: {key} holds pickled Python objects, which are never loaded; save numbers")
        if stream.tell() + header.num_bytes != member.file_size:
            raise DataError(f"{path}: {key} announces {header.num_bytes:,} bytes, but has others; the file is damaged")
    return header


def _npy_header(stream: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(stream)
    return Header(dtype, shape, is_fortran)


def _npz_array(archive: zipfile.ZipFile, key: str, headers: dict[str, Header], path: Path) -> NDArray[np.generic]:
    header = headers[key]
    with archive.open(f"{key}.npy") as stream:
        _npy_header(stream)
        data = _read_data(stream, header.num_bytes)
        if len(data) < header.num_bytes or stream.read(1):  # which checks the checksum too
            raise DataError(f"{path}: {key} is truncated or too long; the file is damaged")
    values = data.view(header.dtype)
    return values.reshape(header.shape[::-1]).T if header.is_fortran else values.reshape(header.shape)


def _read_data(stream: IO[bytes] | gzip.GzipFile, num_bytes: int) -> NDArray[np.uint8]:
    """Return up to so many bytes of a stream, a part at a time; many of them are mapped to a temporary file."""
    if num_bytes <= MAX_BYTES_IN_MEMORY:
        data = np.empty(num_bytes, np.uint8)
    else:
        with tempfile.TemporaryFile() as file:
            data = create_array(file, (num_bytes,))  # type: ignore[arg-type]
    done = 0
    while done < num_bytes and (part := stream.read(min(PART_BYTES, num_bytes - done))):
        data[done : done + len(part)] = np.frombuffer(part, np.uint8)
        done += len(part)
        if done % MAX_BYTES_IN_MEMORY < len(part):
            release_pages(data)
    return data[:done]


def _check_kinds(split: str, images: Header, labels: Header, name: str) -> None:
    """Check that images and labels fit together, by their types and shapes."""
    # Images: grey or colour, uint8
    shape = images.shape
    is_picture = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    if images.dtype != np.uint8 or not is_picture:
        received = f"{images.dtype} {shape}"
        raise DataError(f"{name}: {split} images are {received}; expected uint8 (images, height, width[, 3])")

    # Labels: one whole number for each image
    if labels.shape[1:] not in ((), (1,)) or not labels.shape or not np.issubdtype(labels.dtype, np.integer):
        received = f"{labels.dtype} {labels.shape}"
        raise DataError(f"{name}: {split} labels are {received}; expected whole numbers of shape (images,)")
    if shape[0] != labels.shape[0]:
        counts = f"{shape[0]:,} {split} images but {labels.shape[0]:,} labels"
        raise DataError(f"{name}: {counts}; expected equal numbers")


def _checked(
    split: str, images: NDArray[np.generic], labels: NDArray[np.generic], source: str, name: str
) -> SplitArrays:
    """Check that images and labels fit together, and drop axes of length 1."""
    _check_kinds(split, Header(images.dtype, images.shape), Header(labels.dtype, labels.shape), name)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if labels.ndim == 2:
        labels = labels[:, 0]
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
