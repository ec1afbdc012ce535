"""Tells folders of classes from folders of splits, by what they hold.

Folders of splits, such as ``training_set`` and ``test_set``, hold no pictures of their own, and folders of the same
names: the classes. What is known of a folder or an archive here is how many pictures each of its folders holds.
"""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import DataError
from ..wording import listed
from .split_names import says_no_class, split_name, splits_of

MANIFEST_ADVICE = "or give a manifest with columns file,label,split (docs/data.md)"
MAX_NAMES = 4  # in a message
MIN_SHARED = 0.5  # of all names of subfolders must be in several folders, to take folders of unknown names for splits


@dataclass
class _Node:
    """A folder: its path, how many pictures it holds itself and in all, and its subfolders by name."""

    path: tuple[str, ...]
    num_own: int = 0
    num_all: int = 0
    children: "dict[str, _Node]" = field(default_factory=dict)

    @property
    def has_classes(self) -> bool:
        """Whether most of its pictures are in subfolders."""
        return self.num_all > 2 * self.num_own


class ClassFolder(NamedTuple):
    """A folder that holds the pictures of a class."""

    path: str
    class_name: str
    split: str


class Layout(NamedTuple):
    """What the folders in a folder stand for.

    Attributes:
        classes: The folders of classes.
        parents: The folders that hold them: what lies loose there is in no class.
        skipped: Folders with pictures that are not used, and why.
    """

    classes: list[ClassFolder]
    parents: list[str]
    skipped: dict[str, str]


def find_layout(counts: Mapping[str, int], name: str) -> Layout:
    """Find out what folders stand for.

    Args:
        counts: The number of pictures directly in each folder, by its path with ``/``; empty for the topmost.
        name: What messages call the topmost folder.

    Raises:
        DataError: Folders look like splits, but their names do not say which.
    """
    top = _without_wrappers(_tree(counts))
    folders = {child.path[-1]: child for child in top.children.values() if child.num_all}
    parts = {key: _without_wrappers(child, key) for key, child in folders.items() if child.has_classes}
    if len(parts) == len(folders) and _are_splits_below(parts.values()):
        return _splits_below_classes(top, parts)
    splits = _splits_of_parts(parts, folders, name)
    if not splits:
        _refuse_flat_splits(top, folders, name)
        return Layout([_class_folder(child, "all") for child in folders.values()], [_joined(top)], {})
    first = next(iter(splits))
    classes = [_class_folder(child, split) for key, split in splits.items() for child in parts[key].children.values()]
    skipped = {_joined(folders[key]): f"skipped, since it is beside {first}" for key in folders if key not in splits}
    return Layout(classes, [_joined(top), *(_joined(parts[key]) for key in splits)], skipped)


def _tree(counts: Mapping[str, int]) -> _Node:
    root = _Node(())
    for path, count in counts.items():
        node = root
        node.num_all += count
        for part in path.split("/") if path else ():
            node = node.children.setdefault(part, _Node((*node.path, part)))
            node.num_all += count
        node.num_own += count
    return root


def _joined(node: _Node) -> str:
    return "/".join(node.path)


def _without_wrappers(node: _Node, of_split: str | None = None) -> _Node:
    """Step down while a folder holds nothing but one other folder of folders.

    Args:
        node: The folder.
        of_split: Its name, where it holds a split. Then only folders of that name, or of names such as ``images``, are
            stepped into: others may be the only class. Without it, all but folders of splits are.
    """
    while not node.num_own:
        inner = [child for child in node.children.values() if child.num_all]
        if len(inner) != 1 or not inner[0].has_classes:
            break
        name = inner[0].path[-1]
        if split_name(name).is_whole if of_split is None else not (name == of_split or says_no_class(name)):
            break
        node = inner[0]
    return node


def _class_folder(node: _Node, split: str, class_name: str | None = None) -> ClassFolder:
    # macOS writes accents apart from their letters
    return ClassFolder(_joined(node), unicodedata.normalize("NFC", class_name or node.path[-1]), split)


def _are_splits_below(parts: Collection[_Node]) -> bool:
    """Tell whether there are folders of classes, each with its own folders of splits."""
    names = {child.path[-1] for part in parts for child in part.children.values() if child.num_all}
    splits = splits_of(sorted(names))
    return (
        len(parts) > 1
        and len({one.split for one in splits.values()}) > 1
        and all(one.is_whole for one in splits.values())
    )


def _splits_below_classes(top: _Node, parts: Mapping[str, _Node]) -> Layout:
    names = sorted({key for part in parts.values() for key in part.children})
    splits = splits_of(names)
    classes = [
        _class_folder(child, splits[key].split, class_name)
        for class_name, part in parts.items()
        for key, child in part.children.items()
    ]
    return Layout(classes, [_joined(top), *map(_joined, parts.values())], {})


def _names_below(node: _Node) -> set[str]:
    """Return the names of the folders with pictures in a folder, without differences of case and accents' form."""
    return {
        unicodedata.normalize("NFC", child.path[-1]).casefold() for child in node.children.values() if child.num_all
    }


def _splits_of_parts(parts: Mapping[str, _Node], folders: Mapping[str, _Node], name: str) -> dict[str, str]:
    """Return the split of each folder that holds one, by its name; empty if the folders are classes."""
    below = {key: _names_below(part) for key, part in parts.items()}
    all_names = set().union(*below.values())
    shared = {one for one in all_names if sum(one in names for names in below.values()) > 1}
    known = splits_of(parts)
    splits = {key: one.split for key, one in known.items() if one.is_whole or (one.split and below[key] & shared)}
    if splits:
        named = set().union(*(below[key] for key in splits))
        unknown = [key for key in parts if key not in splits and below[key] & named]
    else:
        looks_split = len(all_names) > 1 and len(shared) >= MIN_SHARED * len(all_names) and len(parts) == len(folders)
        unknown = [key for key in parts if looks_split and below[key] & shared]
    if unknown:
        holding = f"hold{'s' * (len(unknown) == 1)} folders of the same names ({listed(sorted(shared), MAX_NAMES)})"
        as_known = f" as {listed([*splits], MAX_NAMES)}" if splits else ""
        raise DataError(
            f"{name}: {listed([*unknown], MAX_NAMES)} {holding}{as_known}, as splits of one set do, "
            f"but the names do not say which; rename them to train, validation or test, {MANIFEST_ADVICE}"
        )
    return splits


def _refuse_flat_splits(top: _Node, folders: Mapping[str, _Node], name: str) -> None:
    """Refuse folders with the names of splits that hold pictures, but no classes."""
    splits = splits_of(folders)
    is_flat = all(one.is_whole for one in splits.values()) and len({one.split for one in splits.values()}) > 1
    if is_flat:
        raise DataError(
            f"{name}: {listed([*folders], MAX_NAMES)} hold pictures, but no class folders; expected such as "
            f"{next(iter(folders))}/CLASS/PICTURE.png, {MANIFEST_ADVICE}"
        )
