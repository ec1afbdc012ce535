"""Keeps decoded images on disk, one folder an image set; does not know what the arrays mean.

A folder is built under a temporary name and renamed when it is whole, so that a killed run leaves no half of one.
"""

import atexit
import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs
from numpy.typing import NDArray

from ..errors import TinysightError

LAYOUT = 3  # counted up when what is stored changes, so that no old folder is misread
MAX_BYTES_IN_MEMORY = 2**26  # 64 MiB, all of MNIST: larger arrays go through files, a part at a time


def cache_folder() -> Path:
    """Return ``$TINYSIGHT_CACHE``, or this system's folder for caches."""
    chosen = os.environ.get("TINYSIGHT_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("tinysight", appauthor=False)


def fingerprint(*parts: object) -> str:
    """Name a set by all that its arrays depend on."""
    return sha256(json.dumps([LAYOUT, *parts], default=str).encode()).hexdigest()[:32]


def file_fingerprint(path: Path) -> tuple[str, int, int, int]:
    """Tell a file apart from its later versions without reading it: path, bytes, when content and status changed."""
    status = path.stat()
    return str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns


def stored_folder(name: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder of the cached set `name`, after having `fill` fill it where it is not there yet."""
    folder = cache_folder() / "images" / name
    return folder if (folder / "about.json").is_file() else filled_anew(name, fill)


def filled_anew(name: str, fill: Callable[[Path], None]) -> Path:
    """Have `fill` fill the folder of the set `name`, in place of what is there.

    Where the cache cannot be written the folder is a temporary one: that costs time at the next run, not the job.
    """
    final = cache_folder() / "images" / name
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        return _filled(Path(tempfile.mkdtemp(prefix=f".{name}-", dir=final.parent)), fill, final)
    except OSError as error:
        if isinstance(error, TinysightError):
            raise
        temporary = Path(tempfile.mkdtemp(prefix="tinysight-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        (temporary / "building").mkdir()
        return _filled(temporary / "building", fill, temporary / name)


def _filled(building: Path, fill: Callable[[Path], None], final: Path) -> Path:
    """Fill a folder and rename it; if that fails, remove it."""
    try:
        fill(building)
        shutil.rmtree(final, ignore_errors=True)
        building.rename(final)
        return final
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Store what belongs to the arrays; written last, it marks the set as whole."""
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """Return what `write_about` stored."""
    about: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return about


def create_images(folder: Path, shape: tuple[int, ...], file_name: str = "images.u8") -> NDArray[np.uint8]:
    """Create the mapped uint8 array of a set's images, to be filled row by row.

    Raises:
        OSError: There is no room for it on the disk.
    """
    return create_array(folder / file_name, shape)


def open_images(folder: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Open the first rows of a set's images, read-only, without reading them."""
    return open_array(folder / "images.u8", shape)


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
        release_pages(array)
        release_pages(copy)
    return copy


def row_slices(array: NDArray[np.generic]) -> Iterator[slice]:
    """Yield an array's rows in parts of a size that memory holds easily."""
    bytes_per_row = max(1, int(np.prod(array.shape[1:], dtype=np.int64)) * array.itemsize)
    size = max(1, MAX_BYTES_IN_MEMORY // bytes_per_row)
    for start in range(0, len(array), size):
        yield slice(start, min(start + size, len(array)))


def release_pages(array: NDArray[np.uint8]) -> None:
    """Take a mapped array's pages out of this process's memory; they stay in their file.

    Without it, everything that was ever read of a file would count as memory in use.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)
