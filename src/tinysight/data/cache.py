"""Keeps decoded images on disk, a folder for each image set, as memory-mapped arrays.

A folder is filled under a temporary name and renamed when it is complete. What a killed run has left is taken over by
the next run that stores the same set.
`cached_folders` checks what is opened, and removes what is not needed.
"""

import atexit
import errno
import json
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs
from numpy.typing import NDArray

from ..errors import DataError
from .cached_folders import (
    PART_SUFFIX,
    complete,
    is_intact,
    is_private,
    limit_size,
    locked,
    mark_as_used,
    max_bytes,
    remove,
    remove_left_overs,
)

LAYOUT = 8  # counted up when the stored files change, or how their framing is chosen
IMAGES_FILE = "images.u8"  # pixels and nothing else: its shape follows from the other files
WHOLE_FILE = "whole.u8"  # the same for the pictures whole, of a set that has them framed otherwise
BYTES_PER_ROW_BESIDE = 192  # what the other files hold of an image: label 8, split 1, hashes 64, the rest for its name
SECONDS_TO_WAIT = 1.0  # for a killed run's processes to end
MAX_BYTES_IN_MEMORY = 2**26  # 64 MiB, all of MNIST: larger arrays are handled in chunks, through files


@dataclass
class Entry:
    """A cached image set that is being built.

    Attributes:
        folder: Where its files are written; after `building`, where they are kept.
        is_resumable: Whether what has been written so far is to be kept if the program is interrupted.
    """

    folder: Path
    is_resumable: bool = False


def cache_folder() -> Path:
    """Return ``$TINYSIGHT_CACHE``, or the system's folder for caches."""
    chosen = os.environ.get("TINYSIGHT_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("tinysight", appauthor=False)


def fingerprint(*facts: object) -> str:
    """Return a set's key: a hash of everything that its arrays depend on."""
    return sha256(json.dumps([LAYOUT, *facts], default=str).encode()).hexdigest()[:32]


def file_fingerprint(path: Path) -> tuple[str, int, int, int]:
    """Identify one version of a file without reading it: path, bytes, times when content and status changed."""
    status = path.stat()
    return str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns


def images_folder() -> Path:
    """Return the folder with a folder for each cached set."""
    return cache_folder() / "images"


def features_folder() -> Path:
    """Return the folder with the features that a pretrained network has of images."""
    return cache_folder() / "features"


def entry_folder(key: str) -> Path:
    """Return the folder in which the set of that key is cached, if it is."""
    return images_folder() / key


def checked_folder(key: str) -> Path | None:
    """Return that folder if its files are as they were stored; None if it must be filled anew."""
    folder = entry_folder(key)
    if not is_intact(folder):
        return None
    mark_as_used(folder)
    return folder


@contextmanager
def building(key: str, shape: tuple[int, ...], source: str = "", *, has_whole: bool = False) -> Iterator[Entry]:
    """Give a new folder for a set's files; when the block ends without an error, it becomes the set's folder.

    Where the cache cannot be written, or its disk is full, the folder is a temporary one, removed when the process
    ends: the images are decoded again in the next run.

    Args:
        key: The set's `fingerprint`; a folder that the cache has for it is replaced.
        shape: ``(num_images, height, width)`` or ``(num_images, height, width, 3)``, the largest that may be needed.
        source: The name or path that the set is loaded from, for `tinysight cache list`.
        has_whole: Whether the pictures are stored whole too, in grey.

    Raises:
        DataError: The disk for temporary folders is full too.
        SettingsError: The limit of the cache's size is no number.
    """
    limit, final = max_bytes(), entry_folder(key)
    remove_left_overs(final.parent, except_for=_part_folder(final))
    sizes = {IMAGES_FILE: prod(shape) + shape[0] * BYTES_PER_ROW_BESIDE}
    sizes |= {WHOLE_FILE: prod(shape[:3])} if has_whole else {}
    with _new_folder(final, sizes) as folder:
        entry = Entry(folder)
        try:
            yield entry
            if entry.folder.parent == final.parent:
                complete(entry.folder, source)
                remove(final)
                entry.folder = _renamed(entry.folder, final)
                limit_size(final.parent, entry.folder, limit)
        except BaseException as error:
            if isinstance(error, Exception) or not entry.is_resumable:
                shutil.rmtree(entry.folder, ignore_errors=True)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise _no_room(str(entry.folder.parent), "a set's labels and names", error) from None
            raise


def _part_folder(final: Path) -> Path:
    return final.with_name(f".{final.name}{PART_SUFFIX}")


@contextmanager
def _new_folder(final: Path, sizes: Mapping[str, int]) -> Iterator[Path]:
    """Yield a locked folder beside `final`, or else a temporary one, in which files have their sizes in bytes.

    It is the one that a killed run has left, if there is one and no other process has taken it over.
    """
    part = _part_folder(final)
    with ExitStack() as locks:
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            if not _take_over(part, locks):
                part = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
                locks.enter_context(locked(part))
            folder = _with_full_size(part, sizes)
        except OSError:
            folder = _temporary_folder(final, sizes)
        yield folder


def _take_over(part: Path, locks: ExitStack) -> bool:
    """Make or lock a folder that a run may have left; the processes of a killed one keep it locked for a moment."""
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while True:
        part.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError), ExitStack() as attempt:  # another process may have just renamed it
            if is_private(part) and attempt.enter_context(locked(part)):
                locks.callback(attempt.pop_all().close)
                return True
        if os.name != "posix" or time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def _temporary_folder(final: Path, sizes: Mapping[str, int]) -> Path:
    try:
        return _with_full_size(_removed_at_exit(Path(tempfile.mkdtemp(prefix="tinysight-"))), sizes)
    except OSError as error:
        num_bytes = sum(sizes.values())
        size = f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"
        raise _no_room(f"{final.parent} and {tempfile.gettempdir()}", f"{size} of decoded images", error) from None


def _no_room(places: str, content: str, error: OSError) -> DataError:
    advice = "free some space, or set TINYSIGHT_CACHE and TMPDIR to folders on another disk"
    return DataError(f"{places}: no room for {content} ({error.strerror}); {advice}")


def _with_full_size(folder: Path, sizes: Mapping[str, int]) -> Path:
    """Allocate the images' files in a folder, with what is in them; if that fails, remove the folder."""
    try:
        for name, num_bytes in sizes.items():
            (folder / name).touch()
            with (folder / name).open("r+b") as file:
                _allocate(file, num_bytes)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _renamed(folder: Path, final: Path) -> Path:
    """Rename a complete folder, and return where it is then."""
    try:
        return folder.rename(final)
    except OSError:  # another process has stored the same set at this moment: use one's own copy until the end
        return _removed_at_exit(folder)


def _removed_at_exit(folder: Path) -> Path:
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def writable_images(folder: Path, shape: tuple[int, ...], name: str = IMAGES_FILE) -> NDArray[np.uint8]:
    """Map the images' file of a folder from `building`, to be filled row by row."""
    return np.memmap(folder / name, np.uint8, "r+", 0, shape)


def finish_images(folder: Path, shape: tuple[int, ...], name: str = IMAGES_FILE) -> NDArray[np.uint8]:
    """Truncate the images' file to the size that it needs, and open it read-only."""
    os.truncate(folder / name, prod(shape))
    return open_images(folder, shape, name)


def open_images(folder: Path, shape: tuple[int, ...], name: str = IMAGES_FILE) -> NDArray[np.uint8]:
    """Map a cached set's images, read-only."""
    return open_array(folder / name, shape)


def create_array(file: BinaryIO, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map an empty file as a uint8 array, to be filled row by row.

    Raises:
        OSError: The disk is full.
    """
    _allocate(file, prod(shape))
    return np.memmap(file, np.uint8, "w+", shape=shape)  # type: ignore[call-overload, no-any-return]


def _allocate(file: BinaryIO, num_bytes: int) -> None:
    """Give an empty file its full size on the disk; raises `OSError` if the disk is full.

    A mapped file that finds the disk full while it is written kills the process.
    """
    if hasattr(os, "posix_fallocate") and num_bytes:
        os.posix_fallocate(file.fileno(), 0, num_bytes)
    else:
        file.truncate(num_bytes)


def open_array(path: Path, shape: tuple[int, ...], offset: int = 0) -> NDArray[np.uint8]:
    """Map a uint8 array that begins at a byte of a file, read-only."""
    return map_array(path, np.dtype(np.uint8), shape, offset)


def map_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
    """Map an array of any type that begins at a byte of a file, read-only."""
    return np.memmap(path, dtype, "r", offset, shape)


def select_rows(array: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return rows of an array, in rising order: a view where they are consecutive, otherwise a copy.

    A copy larger than `MAX_BYTES_IN_MEMORY` is mapped to a temporary file, which is removed with it.

    Raises:
        DataError: The disk for temporary files is full.
        ValueError: The rows are not in rising order, or one is given twice or is outside the array.
    """
    if len(rows) and (rows[0] < 0 or rows[-1] >= len(array) or (rows[1:] <= rows[:-1]).any()):
        raise ValueError(f"rows are out of order or outside 0–{len(array) - 1}; expected rising positions")
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return array[int(rows[0]) : int(rows[-1]) + 1]
    shape = (len(rows), *array.shape[1:])
    if prod(shape) <= MAX_BYTES_IN_MEMORY:
        return array[rows]
    try:
        with tempfile.TemporaryFile() as file:
            copy = create_array(file, shape)  # type: ignore[arg-type]
    except OSError as error:
        raise _no_room(tempfile.gettempdir(), "a copy of chosen images", error) from None
    for chunk in row_slices(copy):
        copy[chunk] = array[rows[chunk]]
        release_pages(array)
        release_pages(copy)
    return copy


def row_slices(array: NDArray[np.generic]) -> Iterator[slice]:
    """Yield slices that cover an array's rows, each of `MAX_BYTES_IN_MEMORY` or less."""
    bytes_per_row = max(1, prod(array.shape[1:]) * array.itemsize)
    rows_at_a_time = max(1, MAX_BYTES_IN_MEMORY // bytes_per_row)
    for start in range(0, len(array), rows_at_a_time):
        yield slice(start, min(start + rows_at_a_time, len(array)))


def release_pages(array: NDArray[Any]) -> None:
    """Take a mapped array's pages out of this process's memory; they stay in their file.

    Without it, everything that was ever read of a file would count as memory in use.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)
