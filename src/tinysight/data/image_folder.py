"""Lists the files in a folder: pictures, and what else is there."""

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256

from ..errors import DataError
from ..links import FollowedLinks
from ..preprocessing.formats import has_suffix, is_picture_file
from .listing import Contents, Tree

HIDDEN = (".", "__")  # how hidden names begin: .DS_Store, __MACOSX


def files_in(folder: str, names: Sequence[str]) -> Contents:
    """Return a function that yields the paths of files in a folder."""
    start = os.path.join(folder, "")  # noqa: PTH118 - a Path of its own for each of a million pictures takes time

    def paths(positions: Sequence[int]) -> Iterator[str]:
        return (start + names[position] for position in positions)

    return paths


def read_folder(folder: str) -> Tree:
    """Return what is in a folder and its subfolders, without what is hidden.

    Links to folders outside are followed, see `FollowedLinks`.

    Raises:
        DataError: A folder cannot be read.
    """
    tree, links, digest = Tree(folder), FollowedLinks(folder), sha256()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        if below:
            tree.folders[below] = None
        start = f"{below}/" if below else ""
        folders, versions = [], [below]
        for entry in _entries(os.path.join(folder, below)):  # noqa: PTH118
            name = start + entry.name
            is_link = entry.is_symlink()
            if os.path.isdir(entry) if is_link else entry.is_dir():  # noqa: PTH112 - raises nothing where links loop
                if not is_link or links.follow(entry.path):
                    folders.append(name)
                else:
                    tree.notes.append(f"{entry.path}: a link to a folder that is read anyway; skipped")
            elif not (os.path.isfile(entry) if is_link else entry.is_file()):  # noqa: PTH113
                _add_odd(tree, entry)
            elif has_suffix(name) or is_picture_file(entry.path):
                tree.pictures.append(name)
                status = entry.stat()
                versions.append(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}")
            else:
                tree.others[below].append(entry.name)
        digest.update("\n".join(versions).encode(errors="surrogateescape"))
        waiting += reversed(folders)
    tree.contents, tree.version = files_in(folder, tree.pictures), f"{os.path.abspath(folder)} {digest.hexdigest()}"  # noqa: PTH100
    return tree


def _entries(path: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted, without what is hidden."""
    try:
        with os.scandir(path) as entries:
            return sorted((one for one in entries if not one.name.startswith(HIDDEN)), key=lambda one: one.name)
    except OSError as error:
        raise DataError(f"{path.rstrip('/')}: cannot be read ({error.strerror})") from None


def _add_odd(tree: Tree, entry: os.DirEntry[str]) -> None:
    """Name a thing that is neither a file nor a folder."""
    if entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
        line = f"{entry.path}: a link that leads nowhere"
        if has_suffix(entry.name):
            tree.problems.append(line)
        else:
            tree.notes.append(f"{line}; skipped")
    else:
        tree.notes.append(f"{entry.path}: a pipe, a socket or a device; skipped")
