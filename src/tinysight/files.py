"""Reads files of a bounded size, and writes files atomically."""

import os
import stat
import tempfile
from pathlib import Path

from .errors import OutputError


def read_at_most(path: str | Path, max_bytes: int) -> bytes:
    """Return a file's content.

    Raises:
        OSError: It cannot be read: a `FileNotFoundError` if it is missing, an `IsADirectoryError` if it is a folder.
            Also if it is larger than `max_bytes`, or a pipe or device, which may have no end. The error's text is why,
            without the path, to be put into a message.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path of its own for each of a million pictures takes time
        if stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                data = file.read()
            if len(data) <= max_bytes:  # it may have grown meanwhile
                return data
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
    """Write a file under a temporary name, flush it to the disk, and rename it.

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
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
