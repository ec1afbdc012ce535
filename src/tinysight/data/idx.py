"""Reads IDX files, as MNIST, EMNIST, KMNIST, QMNIST and Fashion-MNIST come in."""

import gzip
import re
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .array_forms import SplitArrays
from .array_headers import Header, read_data
from .cache import MAX_BYTES_IN_MEMORY, map_array
from .split_names import split_name

MAX_MAPPING_BYTES = 2**16  # of EMNIST's file with the character of each label
MAX_IDX_BYTES = 2**36  # a thousand times MNIST; more is a damaged header
# Source: http://yann.lecun.com/exdb/mnist/
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
KINDS = {"images": "images", "imgs": "images", "image": "images", "labels": "labels", "label": "labels"}
# Such as emnist-letters-train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, qmnist-test-labels-idx2-int.gz
_NAME = re.compile(
    rf"(?P<set>.*?)(?P<split>t10k|test10k|test50k|test|train|val|valid|validation)[-_. ](?P<kind>{'|'.join(KINDS)})"
    r"(?:[-_. ]?idx\d?)?(?:[-_. ]?(?:ubyte|int|uint8))?(?P<suffix>\.(?:idx|gz))*",
    re.IGNORECASE,
)

# The images and labels of each split
IdxFiles = dict[str, dict[str, Path]]


def read_idx(path: Path) -> NDArray[Any]:
    """Read one IDX file, plain or gzip; a large plain one is memory-mapped.

    Raises:
        DataError: The file is not IDX, is truncated or too long.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_gzip else path.open("rb") as stream:
            if is_gzip or path.stat().st_size <= MAX_BYTES_IN_MEMORY:
                return parse_idx(stream, str(path))
            header = _parse_header(stream, str(path))
            _check_length(path.stat().st_size - stream.tell(), header.num_bytes, str(path))
            return map_array(path, header.dtype, header.shape, stream.tell())
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path}: the gzip data is truncated or damaged; download the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def parse_idx(stream: BinaryIO | gzip.GzipFile, name: str) -> NDArray[Any]:
    """Return the array in an IDX file, which error messages call `name`; reads no more than its header announces."""
    header = _parse_header(stream, name)
    data = read_data(stream, header.num_bytes)
    _check_length(len(data) + len(stream.read(1)), header.num_bytes, name)
    return data.view(header.dtype).reshape(header.shape)


def _parse_header(stream: BinaryIO | gzip.GzipFile, name: str) -> Header:
    """Return what an IDX file's header announces."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise DataError(f"{name}: not an IDX file (it does not begin with two zero bytes)")
    kind, num_dimensions = start[2], start[3]
    if kind not in TYPES or not 1 <= num_dimensions <= 4:
        received = f"type 0x{kind:02x}, {num_dimensions} dimensions"
        raise DataError(f"{name}: an IDX file of {received}; expected bytes (0x08), 1 to 4 dimensions")
    lengths = stream.read(4 * num_dimensions)
    shape = tuple(int(n) for n in np.frombuffer(lengths.ljust(4 * num_dimensions, b"\0"), ">u4"))
    header = Header(np.dtype(TYPES[kind]), shape)
    if header.num_bytes > MAX_IDX_BYTES:
        received, expected = f"{header.num_bytes:,} bytes", f"{MAX_IDX_BYTES:,} at most"
        raise DataError(f"{name}: announces {received}, expected {expected}; the file is damaged")
    if len(lengths) < 4 * num_dimensions:
        raise DataError(f"{name}: the IDX file is truncated within its header")
    return header


def _check_length(received: int, expected: int, name: str) -> None:
    if received < expected:
        raise DataError(
            f"{name}: the IDX file is truncated: {received:,} bytes of data, its header announces {expected:,}"
        )
    if received > expected:
        raise DataError(f"{name}: the IDX file is too long: its header announces {expected:,} bytes of data")


def is_idx_name(name: str) -> bool:
    """Tell whether a file's name is that of an IDX file."""
    match = _NAME.fullmatch(name)
    return bool(match) and ("idx" in name.lower() or "ubyte" in name.lower())


def find_idx_files(path: Path) -> IdxFiles:
    """Return the files in a folder that have IDX files' names; or of a file's set, if it has such a name.

    Raises:
        DataError: The folder holds several sets, such as EMNIST's.
    """
    folder = path if path.is_dir() else path.parent
    files = [one for one in sorted(folder.iterdir()) if is_idx_name(one.name) and one.is_file()]
    sets = {_set_name(one) for one in files}
    if not path.is_dir():
        sets = {_set_name(path)}
    if len(sets) > 1:
        some = next(one.name for one in files)
        raise DataError(
            f"{path}: holds several sets of IDX files ({', '.join(sorted(sets))}); give one file, as {some}"
        )
    return pair_idx_files(one for one in files if _set_name(one) in sets)


def _set_name(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match["set"].strip("-_. ").lower() if match else ""


def pair_idx_files(paths: Iterable[Path]) -> IdxFiles:
    """Group files named as MNIST's are: ``{"train": {"images": path, "labels": path}, "test": …}``."""
    found: IdxFiles = {}
    for path in sorted(paths, reverse=True):  # "train" before "test" and "t10k"
        if match := _NAME.fullmatch(path.name):
            split = split_name(match["split"]).split or "test"  # t10k
            found.setdefault(split, {}).setdefault(KINDS[match["kind"].lower()], path)
    return found


def read_idx_files(files: IdxFiles, name: str) -> tuple[list[SplitArrays], list[str]]:
    """Read pairs of IDX files that `find_idx_files` returned; error messages call the set `name`.

    Returns:
        The arrays of each split, and a line for each thing that was changed.

    Raises:
        DataError: A file is damaged, or one of a pair is missing.
    """
    splits, notes = [], []
    for split, pair in files.items():
        for kind in ("images", "labels"):
            if kind not in pair:
                raise DataError(f"{name}: holds {split} IDX files, but none with {split} {kind}")
        images, labels = read_idx(pair["images"]), read_idx(pair["labels"])
        if is_transposed(pair["images"].name) and images.ndim == 3:
            images = images.transpose(0, 2, 1)
            notes.append(f"{pair['images'].name}: rows and columns are exchanged, since EMNIST stores them so")
        if labels.ndim == 2 and labels.shape[1] == 8 and "qmnist" in pair["labels"].name.lower():
            labels = labels[:, 0]  # the others: series, writer and more
        splits.append(SplitArrays(split, images, labels, pair["images"].name))
    return splits, notes


def is_transposed(file_name: str) -> bool:
    """Tell whether a file is one of EMNIST's, whose images have rows and columns exchanged.

    Source: G. Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", https://arxiv.org/abs/1702.05373;
    the files keep the order of MATLAB, in which they were made.
    """
    return "emnist" in file_name.lower()


def with_emnist_names(splits: list[SplitArrays], files: IdxFiles) -> list[SplitArrays]:
    """Return the same images with characters as labels, where EMNIST's mapping file is beside them."""
    images = next(iter(files.values())).get("images")
    match = _NAME.fullmatch(images.name) if images else None
    path = images.with_name(f"{match['set'].strip('-_. ')}-mapping.txt") if images and match else None
    if path is None or not path.is_file() or path.stat().st_size > MAX_MAPPING_BYTES:
        return splits
    try:
        rows = [[int(number) for number in line.split()] for line in path.read_text().splitlines() if line.strip()]
        names = {row[0]: chr(row[1]) for row in rows}
        return [replace(one, labels=np.array([names[label] for label in one.labels.tolist()])) for one in splits]
    except (ValueError, IndexError, KeyError, TypeError, OverflowError):
        return splits
