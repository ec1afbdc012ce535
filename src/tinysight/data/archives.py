"""Lists the files in ZIP and TAR archives, and reads them as streams: nothing is extracted.

Names that lead outside the archive, links and devices are named and left out.
"""

import bz2
import gzip
import lzma
import math
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import DataError, PictureError
from ..preprocessing.formats import NUM_START_BYTES, has_suffix, is_picture_content
from ..preprocessing.inputs import MAX_FILE_BYTES
from ..zip_members import ARCHIVE_ERRORS, is_folder, is_link, is_picture_member, read_member
from . import cache
from .image_folder import HIDDEN
from .listing import Content, Tree

TAR_ERRORS = (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError, RecursionError)
PART_BYTES = 2**20
# How compressed files begin
OPENERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
# A compressed archive that unpacks to more than so many times its size, and to more than so many bytes, is a bomb: gzip
# reaches 1,000 times, pictures 30 times (blank ones, uncompressed)
MAX_RATIO, MAX_BYTES_AT_ANY_RATIO = 200, 2**28


def read_archive(path: Path) -> Tree:
    """Return what is in an archive, without what is hidden.

    Raises:
        DataError: It cannot be read.
    """
    tree = Tree(str(path), version=repr(cache.file_fingerprint(path)))
    if zipfile.is_zipfile(path):
        _read_zip(path, tree)
    else:
        _read_tar(path, tree)
    return tree


def is_archive(path: Path) -> bool:
    """Tell whether a file is a ZIP or TAR archive by its content."""
    try:
        return zipfile.is_zipfile(path) or is_tar(path)
    except OSError:
        return False


def _add(tree: Tree, name: str, as_folder: bool) -> str:
    """Return a member's name below the archive; empty if it is hidden or leads outside, which is named."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or ".." in parts or (parts and parts[0].endswith(":")):
        tree.problems.append(f"{tree.name}/{name}: its name leads outside the archive; left out")
        return ""
    if any(part.startswith(HIDDEN) for part in parts):
        return ""
    if not parts and not as_folder:
        tree.notes.append(f"{tree.name}: a file without a name; skipped")
    for end in range(1, len(parts) + as_folder):
        tree.folders["/".join(parts[:end])] = None
    return "/".join(parts)


def _add_other(tree: Tree, name: str) -> None:
    folder, _, last = name.rpartition("/")
    tree.others[folder].append(last)


def _read_zip(path: Path, tree: Tree) -> None:
    members: list[zipfile.ZipInfo] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not (name := _add(tree, member.filename, is_folder(member))) or is_folder(member):
                    continue
                if is_link(member):
                    tree.notes.append(f"{path}/{name}: a link; skipped")
                elif has_suffix(name) or is_picture_member(archive, member):
                    tree.pictures.append(name)
                    members.append(member)
                else:
                    _add_other(tree, name)
    except ARCHIVE_ERRORS as error:
        raise DataError(f"{path}: not a ZIP archive that can be read ({error})") from None

    def contents(positions: Sequence[int]) -> Iterator[Content]:
        with zipfile.ZipFile(path) as archive:
            for position in positions:
                yield read_member(archive, members[position], f"{path}/{tree.pictures[position]}")

    tree.contents = contents


class _Limited:
    """What a compressed file unpacks to, up to a limit."""

    def __init__(self, stream: IO[bytes], path: Path, limit: float) -> None:
        self._stream, self._path, self._limit, self._done = stream, path, limit, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, PART_BYTES) if size >= 0 else PART_BYTES)
        self._done += len(data)
        if self._done > self._limit:
            raise DataError(
                f"{self._path}: unpacks to more than {MAX_RATIO} times its size, as no pictures do; unpack it and give "
                f"the folder if it is meant so"
            )
        return data


def packing(path: Path) -> Callable[[Path], Any] | None:
    """Return what opens a compressed file; None if it is not compressed."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be read from its start to its end, unpacked if it is compressed.

    Raises:
        DataError: It unpacks to too much; raised where it is read.
    """
    opener = packing(path)
    limit = max(MAX_BYTES_AT_ANY_RATIO, MAX_RATIO * path.stat().st_size) if opener else math.inf
    with opener(path) if opener else path.open("rb") as stream:
        yield _Limited(stream, path, limit)  # type: ignore[misc]


def is_tar(path: Path) -> bool:
    """Tell whether a file, perhaps compressed, is a TAR archive by its first header."""
    try:
        with unpacked(path) as stream:
            tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except TAR_ERRORS:
        return False
    return True


def tar_members(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield the members of a TAR archive, in order; each can be read until the next is asked for.

    Raises:
        DataError: The archive is damaged, or it is a bomb.
    """
    try:
        with unpacked(path) as stream, tarfile.open(fileobj=stream, mode="r|", errorlevel=1) as archive:
            while (member := archive.next()) is not None:
                yield archive, member
                archive.members.clear()  # type: ignore[attr-defined]
    except DataError:
        raise
    except TAR_ERRORS as error:
        raise DataError(f"{path}: not a TAR archive that can be read to its end ({error})") from None


def read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bytes | PictureError:
    """Return a file in an archive, or why it cannot be read."""
    if member.size > MAX_FILE_BYTES:
        return PictureError(f"{name}: the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
    file = archive.extractfile(member)
    return file.read() if file else PictureError(f"{name}: not a file")


def _read_tar(path: Path, tree: Tree) -> None:
    places: list[int] = []  # of each picture among the archive's members
    for place, (archive, member) in enumerate(tar_members(path)):
        if not (name := _add(tree, member.name, member.isdir())) or member.isdir():
            continue
        if not member.isreg():
            kind = "a link" if member.issym() or member.islnk() else "a pipe or a device"
            tree.notes.append(f"{path}/{name}: {kind}; skipped")
        elif has_suffix(name) or _is_picture(archive, member):
            tree.pictures.append(name)
            places.append(place)
        else:
            _add_other(tree, name)

    def contents(positions: Sequence[int]) -> Iterator[Content]:
        wanted = iter(positions)
        position = next(wanted, None)
        for place, (archive, member) in enumerate(tar_members(path)):
            if position is None:
                return
            if place == places[position]:
                yield read_tar_member(archive, member, f"{path}/{tree.pictures[position]}")
                position = next(wanted, None)

    tree.contents = contents


def _is_picture(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    file = archive.extractfile(member)
    return bool(file) and is_picture_content(member.name, file.read(NUM_START_BYTES))  # type: ignore[union-attr]
