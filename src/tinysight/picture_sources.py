"""Finds the pictures that names mean: files, folders, patterns, ZIP archives, standard input."""

import glob
import os
import sys
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from .errors import PictureError
from .links import FollowedLinks
from .preprocessing.formats import has_suffix, is_picture_file
from .preprocessing.inputs import MAX_FILE_BYTES
from .wording import plural
from .zip_members import ARCHIVE_ERRORS, is_folder, is_picture_member, member_fault

STANDARD_INPUT = "-"


class ArchiveMember(NamedTuple):
    """A picture in a ZIP archive, to be read by `read_member` when it is needed.

    Attributes:
        archive: Path of the archive.
        position: The member's place in the archive's list.
        num_bytes: Size that its entry tells; the most that is unpacked.
    """

    archive: str
    position: int
    num_bytes: int


class PassedOver(str):
    """A line on what was found beside the pictures of a folder or an archive."""

    __slots__ = ()


# A picture's name, and where it is, its content, or why it cannot be read; or a folder's name, and what was passed over
Source = tuple[str, str | ArchiveMember | bytes | PictureError | PassedOver]


def find_sources(names: list[str]) -> Iterator[Source]:
    """Yield each picture that names mean, as it is found; no more than one folder's names are in memory.

    After the pictures of a folder or an archive comes a line on what was passed over in it, if anything was.

    Args:
        names: Paths of pictures, folders or ZIP archives, patterns such as ``*.png``, or ``-`` for standard input.
    """
    for name in names:
        if name == STANDARD_INPUT:
            yield name, _read_standard_input()
        elif glob.has_magic(name) and not os.path.lexists(name):
            try:
                matches = sorted(glob.iglob(name, recursive=True))  # noqa: PTH207 - keeps the name as it was typed
            except RecursionError:
                yield _failure(name, "the folders are nested too deep for a pattern; give the folder itself")
                continue
            if "**" in name:  # it matches the files in folders too
                matches = [match for match in matches if not os.path.isdir(match)]  # noqa: PTH112
            found = (source for match in matches for source in _expand(match))  # a file called "-" is a file here
            yield from _or_failure(found, name, "no file matches this pattern")
        else:
            yield from _expand(name)


def count_sources(names: list[str]) -> int:
    """Return the number of pictures that names mean, or 0 where it is known only after reading them."""
    if any(name == STANDARD_INPUT or name.lower().endswith(".zip") for name in names):
        return 0
    return sum(not isinstance(content, PassedOver) for _, content in find_sources(names))


def _expand(name: str) -> Iterator[Source]:
    """Yield the pictures in a folder or an archive, or else the file of this name."""
    if os.path.isdir(name):  # noqa: PTH112 - Path's own raises where a name is too long
        yield from _or_failure(_find_below(str(Path(name))), name, "no pictures in this folder")
    elif name.lower().endswith(".zip") and os.path.isfile(name):  # noqa: PTH113
        yield from _or_failure(_in_archive(name), name, "no pictures in this archive")
    else:
        yield name, name


def _or_failure(sources: Iterator[Source], name: str, reason: str) -> Iterator[Source]:
    """Yield sources; where there are none, yield the reason."""
    is_empty = True
    for source in sources:
        is_empty = is_empty and isinstance(source[1], PassedOver)
        yield source
    if is_empty:
        yield _failure(name, reason)


def _failure(name: str, reason: str) -> Source:
    return name, PictureError(f"{name}: {reason}")


def _find_below(folder: str) -> Iterator[Source]:
    """Yield the pictures below a folder, sorted, without hidden ones; then what was passed over.

    Links to folders outside are followed, see `FollowedLinks`.
    """
    top, waiting, links = folder, [folder], FollowedLinks(folder)
    num_others = num_links = 0
    while waiting:
        folder = waiting.pop()
        files, folders = [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "__")):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112 - a loop raises nothing
                        if links.follow(entry.path):
                            folders.append(entry.name)
                        else:
                            num_links += 1
                    elif _is_picture(entry):
                        files.append(entry.name)
                    else:
                        num_others += 1
        except OSError as error:
            yield _failure(folder, f"cannot be read ({error.strerror})")
            continue
        start = "" if folder == os.curdir else os.path.join(folder, "")  # noqa: PTH118
        for name in sorted(files):
            yield start + name, start + name
        waiting += [start + name for name in sorted(folders, reverse=True)]
    yield from _passed_over(top, num_others, num_links)


def _is_picture(entry: os.DirEntry[str]) -> bool:
    if has_suffix(entry.name):
        return entry.is_symlink() or entry.is_file()  # a link that leads nowhere is named as a failure
    return os.path.isfile(entry.path) and is_picture_file(entry.path)  # noqa: PTH113 - as above


def _passed_over(name: str, num_others: int, num_links: int = 0) -> Iterator[Source]:
    others = plural(num_others, "file that is no picture", "files that are no pictures")
    links = plural(num_links, "link to a folder that is read anyway", "links to folders that are read anyway")
    if found := [what for count, what in ((num_others, others), (num_links, links)) if count]:
        yield name, PassedOver(f"{name}: {' and '.join(found)} skipped")


def _read_standard_input() -> bytes | PictureError:
    if sys.stdin is None:
        return PictureError("standard input: it is closed")
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)[:MAX_FILE_BYTES]


def read_member(member: ArchiveMember) -> bytes:
    """Return the content of a picture in a ZIP archive; nothing is written to disk.

    Raises:
        OSError: It cannot be read. The error's text is why, without the name, to be put into a message.
    """
    try:
        archive = _open_archive(member.archive)
        with archive.open(archive.infolist()[member.position]) as file:
            return file.read(member.num_bytes)
    except ARCHIVE_ERRORS as error:
        raise OSError(f"cannot be read from the archive ({error})") from None


@lru_cache(1)
def _open_archive(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _in_archive(name: str) -> Iterator[Source]:
    """Yield the pictures in a ZIP archive."""
    num_others = 0
    try:
        with zipfile.ZipFile(name) as archive:
            for position, member in enumerate(archive.infolist()):
                if is_folder(member) or any(part.startswith((".", "__")) for part in Path(member.filename).parts):
                    continue
                if has_suffix(member.filename) or is_picture_member(archive, member):
                    yield f"{name}/{member.filename}", _checked_member(name, position, member)
                else:
                    num_others += 1
    except ARCHIVE_ERRORS as error:
        yield _failure(name, f"not a ZIP archive that can be read ({error})")
    yield from _passed_over(name, num_others)


def _checked_member(archive: str, position: int, member: zipfile.ZipInfo) -> ArchiveMember | PictureError:
    if fault := member_fault(member):
        return PictureError(f"{archive}/{member.filename}: {fault}")
    return ArchiveMember(archive, position, member.file_size)
