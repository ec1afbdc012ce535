"""Reads files of a bounded size, and writes files atomically."""

import os
import stat
import tempfile
from contextlib import suppress
from io import FileIO
from pathlib import Path

from .errors import OutputError

NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # Windows has no such files


def open_without_waiting(path: str | Path) -> FileIO:
    """Open a file whose ``read`` returns None where it would wait for content, as files in /proc may.

    Raises:
        OSError: It cannot be opened.
    """
    return FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAITING))


def read_at_most(path: str | Path, max_bytes: int) -> bytes:
    """Return a file's content.

    Raises:
        OSError: It cannot be read: a `FileNotFoundError` if it is missing, an `IsADirectoryError` if it is a folder.
            Also if it is larger than `max_bytes`, grows meanwhile, or is a pipe or device, which may have no end. The
            error's text is why, without the path, to be put into a message.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path of its own for each of a million pictures takes time
        if stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes:
            with open_without_waiting(path) as file:
                data = file.read(status.st_size + 1)
                while data and len(data) < status.st_size and (rest := file.read(status.st_size + 1 - len(data))):
                    data += rest  # some network file systems give less at a time
            if data is not None and len(data) <= status.st_size:
                return data
            raise OSError(0, "its size changes" if data else "it waits for content")
    except FileNotFoundError:
        raise FileNotFoundError("there is no such file") from None
    except OSError as error:
        raise OSError(f"cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError("is a folder; expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("is a pipe or a device, not a file")
    raise OSError(f"the file is larger than {max_bytes // 2**20} MiB, the most that is read")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, rename it, and flush it and its folder to the disk.

    Raises:
        OutputError: The file cannot be written; an older file of that name is unchanged.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".tinysight-", dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            flush_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None


def flush(path: Path) -> None:
    """Flush a file's content to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush a folder's list of files to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
