"""Checks the cache's folders of image sets when they are opened, and removes those that are not needed.

A folder is opened only if nobody else may write to it and its files match the checksums stored with them. A folder
that a killed program left is removed when the next set is stored. Above a total size, the sets not used for longest
are removed.
"""

import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..errors import SettingsError
from ..files import read_at_most

try:
    import fcntl
except ImportError:  # Windows: folders being written are known by their age there
    fcntl = None  # type: ignore[assignment]

CHECKSUMS_FILE = "checksums.json"
SOURCE_FILE = "source.txt"  # what the set was loaded from
PIECE_BYTES = 2**22  # of a file, hashed by one thread
MAX_TEXT_BYTES = 2**26  # of either file: checksums of 4 TB
SIZE_VARIABLE, MAX_GIGABYTES = "TINYSIGHT_CACHE_GB", 20.0
PART_SUFFIX = "-part"  # of a folder that can be taken over by the next run that stores the same set
SECONDS_TO_RESUME = 7 * 24 * 60 * 60  # for which such a folder is kept
SECONDS_TO_LOCK = 60  # after which a folder without a lock is no longer about to be locked
SECONDS_TO_WRITE = 24 * 60 * 60  # after which a folder is taken for left over where there are no locks


@dataclass(frozen=True)
class CachedSet:
    """An image set in the cache.

    Attributes:
        folder: Where it is.
        source: The name or path that it was loaded from; empty if that is not known.
        num_bytes: Size of its files.
        last_used: When it was last opened, in seconds since 1970.
    """

    folder: Path
    source: str
    num_bytes: int
    last_used: float


def is_private(folder: Path) -> bool:
    """Tell whether a folder is the user's own or the administrator's, no link, and nobody else may write to it."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    return os.name != "posix" or (status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o022)


def complete(folder: Path, source: str) -> None:
    """Write what a set was loaded from, and the SHA-256 of each file, beside its files."""
    (folder / SOURCE_FILE).write_text(source, encoding="utf-8", errors="backslashreplace")
    (folder / CHECKSUMS_FILE).write_text(json.dumps(_checksums(folder)), encoding="utf-8")


def is_intact(folder: Path) -> bool:
    """Tell whether a folder is as `complete` left it, and nobody else may write to it."""
    try:
        if not is_private(folder):
            return False
        stored: object = json.loads(read_at_most(folder / CHECKSUMS_FILE, MAX_TEXT_BYTES))
        return stored == _checksums(folder)
    except (OSError, ValueError, RecursionError):
        return False


def _checksums(folder: Path) -> dict[str, list[str]]:
    """Return the SHA-256 of each piece of each file by the file's name; all cores hash."""
    files = [path for path in folder.iterdir() if path.name != CHECKSUMS_FILE]
    pieces = [(path, start) for path in files for start in range(0, path.stat().st_size or 1, PIECE_BYTES)]
    checksums: dict[str, list[str]] = {path.name: [] for path in files}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, _), digest in zip(pieces, pool.map(_digest, pieces), strict=True):
            checksums[path.name].append(digest)
    return checksums


def _digest(piece: tuple[Path, int]) -> str:
    path, start = piece
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        return sha256(file.read(PIECE_BYTES)).hexdigest()


def mark_as_used(folder: Path) -> None:
    """Note that a set is used now, so that it is kept longer than others."""
    with suppress(OSError):
        os.utime(folder)


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Show other processes that a folder is being written; the lock ends with the process.

    Yields:
        Whether this process alone has locked it; False too where there are no locks.
    """
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        is_locked = False
        with suppress(OSError):  # another process has it; or a network file system has no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = os.path.samestat(os.fstat(descriptor), folder.stat())  # another may have just renamed it
        yield is_locked
    finally:
        os.close(descriptor)


def remove_left_overs(parent: Path, except_for: Path | None = None) -> None:
    """Remove folders that killed programs have left: their names begin with a dot, and no process has locked them.

    Args:
        parent: Where they are.
        except_for: One that is kept.
    """
    for folder in _folders_in(parent):
        if folder.name.startswith(".") and folder != except_for:
            with suppress(OSError):
                if _is_left_over(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_left_over(folder: Path) -> bool:
    age = time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    if fcntl is None:
        return age > SECONDS_TO_WRITE
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return age > SECONDS_TO_WRITE
    finally:
        os.close(descriptor)
    return age > (SECONDS_TO_RESUME if folder.name.endswith(PART_SUFFIX) else SECONDS_TO_LOCK)


def max_bytes() -> int:
    """Return how large all sets in the cache may be together: ``$TINYSIGHT_CACHE_GB`` gigabytes, or 20.

    Raises:
        SettingsError: The variable is no number from 0.
    """
    text = os.environ.get(SIZE_VARIABLE) or str(MAX_GIGABYTES)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1
    if not 0 <= gigabytes < float("inf"):
        raise SettingsError(f"{SIZE_VARIABLE} is {text!r}; expected a number of gigabytes, such as {MAX_GIGABYTES:g}")
    return int(gigabytes * 1e9)


def limit_size(parent: Path, kept: Path, limit: int) -> None:
    """Remove the sets not used for longest until all are no larger than `limit` bytes together; one is kept always."""
    sets = list_sets(parent)
    total = sum(one.num_bytes for one in sets)
    for one in sorted(sets, key=lambda one: one.last_used):
        if total <= limit:
            return
        if one.folder != kept:
            shutil.rmtree(one.folder, ignore_errors=True)
            total -= one.num_bytes


def remove(path: Path) -> None:
    """Remove a folder, or whatever else is in its place, if possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def list_sets(parent: Path) -> list[CachedSet]:
    """Return the image sets in the cache, the one used last first."""
    found = []
    for folder in _folders_in(parent):
        if not folder.name.startswith("."):
            with suppress(OSError):  # another process may have removed it
                last_used = folder.stat().st_mtime
                found.append(CachedSet(folder, _source(folder), folder_bytes(folder), last_used))
    return sorted(found, key=lambda one: one.last_used, reverse=True)


def _source(folder: Path) -> str:
    try:
        return read_at_most(folder / SOURCE_FILE, MAX_TEXT_BYTES).decode(errors="backslashreplace")
    except OSError:
        return ""


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder and its subfolders; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _folders_in(parent: Path) -> list[Path]:
    """Return the folders in the user's cache, without links."""
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
