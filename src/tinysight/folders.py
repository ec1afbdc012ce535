"""Reserves a folder for one process, and replaces a folder as a whole."""

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TextIO

from .errors import OutputError
from .files import flush_folder

try:
    import fcntl
except ImportError:  # Windows: folders are not reserved there
    fcntl = None  # type: ignore[assignment]

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2()
_reserved: set[Path] = set()  # by this process


@contextmanager
def reserving(folder: Path, locks: Path) -> Iterator[None]:
    """Reserve a folder for this process while the body of ``with`` runs; the lock ends with the process.

    Args:
        folder: The folder; it need not exist.
        locks: Where lock files are kept. If it cannot be written, nothing is reserved.

    Raises:
        OutputError: Another process has reserved it.
    """
    folder = folder.resolve()
    if folder in _reserved or fcntl is None:
        yield
        return
    owner, path = "another", locks / sha256(os.fsencode(folder)).hexdigest()[:32]
    try:
        locks.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
    except BlockingIOError:
        with suppress(OSError):
            owner = path.read_text().strip()
        raise OutputError(
            f"{folder}: process {owner} is writing a run there; wait for its end, or choose another with --out"
        ) from None
    except OSError:
        yield
        return
    with file:  # closing it gives the lock back
        _reserved.add(folder)
        try:
            yield
        finally:
            _reserved.discard(folder)
            path.unlink(missing_ok=True)


def _locked(path: Path) -> TextIO:
    """Create and lock a file that holds this process's number.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: It cannot be written.
    """
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last owner may have removed it between these two steps
            if _is_same(file, path):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_same(file: TextIO, path: Path) -> bool:
    """Tell whether a path still names an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def replace_folder(new: Path, folder: Path) -> None:
    """Move a folder to the place of another one, as a whole; what was there is removed.

    Args:
        new: The folder, in the same parent folder.
        folder: Its place: a folder, or nothing.

    Raises:
        OSError: It cannot be moved there; what was there stays.
    """
    if folder.exists():
        try:
            _exchange(new, folder)
            old = new
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EINVAL):
                raise
            old = new.with_name(f"{new.name}.old")
            folder.rename(old)
            try:
                new.rename(folder)
            except OSError:
                old.rename(folder)
                raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        new.rename(folder)
    flush_folder(folder.parent)


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders in one step.

    Raises:
        OSError: They cannot be exchanged; its number is ``ENOSYS`` or ``EINVAL`` if this system has no such call.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    paths = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other))
    if function(*paths, RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))
