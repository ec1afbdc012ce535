"""Arrays in files, mapped into memory as they are used, so that they may be larger than it; does not know images."""

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_BYTES_IN_MEMORY = 2**26  # 64 MiB, all of MNIST: larger arrays go through files, a part at a time


def create_array(file: Path | BinaryIO, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Create a mapped uint8 array, to be filled row by row.

    Raises:
        OSError: There is no room for it on the disk; found now, since writing to a mapped file would kill the process.
    """
    if isinstance(file, Path):
        with file.open("w+b") as opened:
            return create_array(opened, shape)
    num_bytes = int(np.prod(shape, dtype=np.int64))
    if hasattr(os, "posix_fallocate") and num_bytes:
        os.posix_fallocate(file.fileno(), 0, num_bytes)
    return np.memmap(file, np.uint8, "w+", shape=shape)  # type: ignore[call-overload, no-any-return]


def open_array(path: Path, shape: tuple[int, ...], offset: int = 0) -> NDArray[np.uint8]:
    """Open a uint8 array that begins at a byte of a file, read-only, without reading it."""
    return np.memmap(path, np.uint8, "r", offset, shape)


def select_rows(array: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return rows of an array, in rising order: a view where there is no gap, otherwise a copy.

    A copy too large for memory is in a temporary file that goes with it.
    """
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return array[int(rows[0]) : int(rows[-1]) + 1]
    shape = (len(rows), *array.shape[1:])
    if np.prod(shape, dtype=np.int64) <= MAX_BYTES_IN_MEMORY:
        return array[rows]
    with tempfile.TemporaryFile() as file:
        copy = create_array(file, shape)  # type: ignore[arg-type]
    for part in row_slices(copy):
        copy[part] = array[rows[part]]
        let_go(array)
        let_go(copy)
    return copy


def row_slices(array: NDArray[np.generic]) -> Iterator[slice]:
    """Yield an array's rows in parts of a size that memory holds easily."""
    bytes_per_row = max(1, int(np.prod(array.shape[1:], dtype=np.int64)) * array.itemsize)
    size = max(1, MAX_BYTES_IN_MEMORY // bytes_per_row)
    for start in range(0, len(array), size):
        yield slice(start, min(start + size, len(array)))


def let_go(array: NDArray[np.uint8]) -> None:
    """Take a mapped array's pages out of this process's memory; they stay in their file.

    Without it, everything that was ever read of a file would count as memory in use.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)
