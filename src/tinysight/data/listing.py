"""Lists the labelled pictures of a source, before they are decoded: their folders tell their classes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, PictureError
from ..escapes import printable
from ..wording import listed, plural
from .split_folders import ClassFolder, Layout, find_layout

MAX_NAMED = 30  # files that are no pictures, of a class
# A picture's path, its file's bytes, or why it cannot be read
Content = str | bytes | PictureError


class LabelledPicture(NamedTuple):
    """One labelled picture.

    Attributes:
        name: What it is called below its source, with ``/``.
        class_name: Its class.
        split: One of `dataset.SPLITS`; ``all`` where the source does not say.
        group: Name of its group; empty if it is in none.
    """

    name: str
    class_name: str
    split: str = "all"
    group: str = ""


# Yields the content of the pictures at some positions, which are in rising order
Contents = Callable[[Sequence[int]], Iterator[Content]]


@dataclass(frozen=True)
class Listing:
    """The labelled pictures of a source.

    Attributes:
        pictures: They, in a fixed order.
        contents: Yields what some of them hold.
        key: What identifies this version of them and of their labels, for the cache.
        root: What messages put before their names.
        notes: A line for each thing that is not used.
        problems: A line for each picture that is known to be unreadable.
    """

    pictures: Sequence[LabelledPicture]
    contents: Contents
    key: object
    root: str
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def chosen_contents(contents: Contents, chosen: NDArray[np.int64]) -> Contents:
    """Return a function that yields the content of some of the pictures, which are at `chosen`, in rising order."""
    return lambda positions: contents(chosen[np.asarray(positions, np.int64)].tolist())


@dataclass
class Tree:
    """The files in a folder or an archive. Each name is below it, with ``/``.

    Attributes:
        name: What messages call it.
        pictures: Names of the files that are pictures, in a fixed order.
        folders: Names of all folders, without itself.
        others: Names of the other files, without their folder, by folder.
        notes: A line for each thing that is no file.
        problems: A line for each picture that is known to be unreadable.
        contents: Yields what some of the pictures hold.
        version: What identifies this version of the pictures.
    """

    name: str
    contents: Contents = lambda _: iter(())
    version: str = ""
    pictures: list[str] = field(default_factory=list)
    folders: dict[str, None] = field(default_factory=dict)  # as an ordered set
    others: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def list_class_folders(tree: Tree) -> Listing:
    """List the pictures in class folders, perhaps below folders of splits.

    Raises:
        DataError: There is no picture in a class folder; or folders look like splits, but do not say which.
    """
    counts = Counter(name.rpartition("/")[0] for name in tree.pictures)
    layout = find_layout(counts, tree.name)
    class_of_folder = _by_folder({one.path: one for one in layout.classes}, set(counts) | set(tree.others))
    labels = {folder: (printable(one.class_name), one.split) for folder, one in class_of_folder.items() if one}
    folders = (name.rpartition("/")[0] for name in tree.pictures)
    chosen = np.flatnonzero(np.fromiter((folder in labels for folder in folders), bool, len(tree.pictures)))
    names = (tree.pictures[position] for position in chosen)
    pictures = [LabelledPicture(name, *labels[name.rpartition("/")[0]]) for name in names]
    if not pictures:
        raise DataError(f"{tree.name}: holds no pictures in class folders (such as {tree.name}/CLASS/PICTURE.png)")
    notes = [*tree.notes, *_notes(tree, counts, layout, class_of_folder)]
    contents = chosen_contents(tree.contents, chosen)
    return Listing(pictures, contents, ("folders", tree.version, layout.classes), tree.name, notes, tree.problems)


def _by_folder(classes: dict[str, ClassFolder], folders: set[str]) -> dict[str, ClassFolder | None]:
    """Return the class of each folder: that of the class folder which it is, or lies in."""
    found: dict[str, ClassFolder | None] = {}
    for folder in folders:
        found[folder] = next((classes[one] for one in _with_parents(folder) if one in classes), None)
    return found


def _notes(
    tree: Tree, counts: Counter[str], layout: Layout, class_of_folder: dict[str, ClassFolder | None]
) -> list[str]:
    """Return a line for each folder, and each group of files, that is not used."""
    notes = [f"{_path(tree, folder)}: {reason}" for folder, reason in layout.skipped.items()]
    # Files in no class folder, and files in class folders that are no pictures
    loose: Counter[str] = Counter()
    others: dict[str, list[str]] = defaultdict(list)
    for folder, found in class_of_folder.items():
        if found:
            others[found.path] += tree.others.get(folder, [])
        elif not _is_below(folder, layout.skipped):
            loose[folder] += counts[folder] + len(tree.others.get(folder, []))
    notes += [
        f"{_path(tree, folder)}: {plural(number, 'file')} in no class folder skipped"
        for folder, number in sorted(loose.items())
    ]
    notes += [f"{_path(tree, folder)}: {_no_pictures(names)}" for folder, names in sorted(others.items()) if names]
    # Folders beside the classes that hold no pictures
    holding = {folder for below in counts for folder in _with_parents(below)}
    empty = [one for one in tree.folders if one.rpartition("/")[0] in layout.parents and one not in holding]
    return notes + [f"{_path(tree, folder)}: no pictures in it; not a class" for folder in empty]


def _no_pictures(names: list[str]) -> str:
    are = plural(len(names), "file that is no picture", "files that are no pictures")
    return f"{are} skipped: {listed(names, MAX_NAMED)}"


def _path(tree: Tree, folder: str) -> str:
    return f"{tree.name}/{folder}" if folder else tree.name


def _with_parents(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _is_below(folder: str, others: Collection[str]) -> bool:
    return any(one in others for one in _with_parents(folder))
