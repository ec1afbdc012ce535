"""Reads files up to a size and writes them whole or not at all; does not know what they hold."""

import os
import stat
import tempfile
from pathlib import Path

from .errors import OutputError


def read_at_most(path: str | Path, max_bytes: int) -> bytes | None:
    """Return what a file holds, or None if that is more than `max_bytes`.

    Raises:
        OSError: It cannot be read, or is no file but a pipe or a device, which may have no end.
    """
    status = os.stat(path)  # noqa: PTH116 - a Path of its own for each of a million pictures takes time
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is not a file")
    if status.st_size > max_bytes:
        return None
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        data = file.read()
    return data if len(data) <= max_bytes else None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it.

    Raises:
        OutputError: The file cannot be written; an older one of that name is as it was.
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
