"""Labels the pictures in a folder or an archive by a table: a manifest with columns ``file,label[,split][,group]``.

A file may be named with or without its folder and suffix, where that is unambiguous.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..escapes import printable
from ..preprocessing.formats import has_suffix
from ..wording import listed, plural
from . import cache
from .class_names import in_order
from .dataset import SPLITS, ImageSet
from .groups import group_numbers
from .listing import Content, LabelledPicture, Listing, Tree
from .split_names import given_split, split_name
from .tables import Table, read_table

# Names of each column, the surest first, as `tables.column_name` writes them
FILE_COLUMNS = (
    "file", "file_name", "filename", "file_path", "filepath", "path", "image_path", "img_path", "image_file", "image",
    "image_name", "img", "img_name", "picture", "photo", "source", "image_id", "img_id", "id",
)  # fmt: skip
LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "category",
    "target",
    "class_label",
    "label_name",
)
SPLIT_COLUMNS = ("split", "subset", "set", "partition", "usage", "data_set")
GROUP_COLUMNS = ("group", "group_id")
KNOWN_COLUMNS = frozenset((*FILE_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS, *GROUP_COLUMNS))
MAX_LISTED = 12  # columns in a message


class NoPictureError(DataError):
    """A manifest names no picture that is there."""


class Row(NamedTuple):
    """One labelled file of a manifest.

    Attributes:
        file: Its name, as it is written.
        label: Its class.
        split: One of `dataset.SPLITS`.
        group: Name of its group; empty if it is in none.
        line: Number of its line.
    """

    file: str
    label: str
    split: str
    group: str
    line: int


def read_manifest(path: Path) -> list[Row]:
    """Read a manifest.

    Raises:
        DataError: It cannot be read, has no columns of files and labels, or a split has an unknown name.
    """
    table = read_table(path, KNOWN_COLUMNS)
    file, label = _file_and_label(table, path)
    split, group = (_column(table.columns, names) for names in (SPLIT_COLUMNS, GROUP_COLUMNS))
    if not table.has_header and len(table.columns) == 3:
        (split,) = {0, 1, 2} - {file, label}
    rows = []
    for line, fields in enumerate(table.rows, table.first_line):
        if len(fields) <= max(file, label):
            raise DataError(f"{path}: line {line} has {len(fields)} fields; expected {len(table.columns)}")
        given = fields[split] if 0 <= split < len(fields) else ""
        name = fields[group].strip() if 0 <= group < len(fields) else ""
        where = f"{path}: line {line}"
        rows.append(Row(fields[file].strip(), fields[label].strip(), given_split(given, where), name, line))
    if not rows:
        raise DataError(f"{path}: the table has no rows; expected one for each picture")
    return rows


def is_manifest(path: Path) -> bool:
    """Tell whether a table has columns of files and labels."""
    try:
        _file_and_label(read_table(path, KNOWN_COLUMNS), path)
    except DataError:
        return False
    return True


def _column(columns: Sequence[str], names: Sequence[str]) -> int:
    """Return the number of the first of several columns that is there; −1 if none is."""
    return next((columns.index(name) for name in names if name in columns), -1)


def _file_and_label(table: Table, path: Path) -> tuple[int, int]:
    """Return the numbers of the columns with files and labels."""
    columns = table.columns
    if not table.has_header:
        first = table.rows[0]
        files = [number for number, field in enumerate(first) if has_suffix(field.strip())]
        if len(files) == 1 and len(first) in (2, 3):
            return files[0], 1 if files[0] == 0 else 0
        raise _unknown_columns(first, path)
    file = _column(columns, FILE_COLUMNS)
    labels = [number for number, name in enumerate(columns) if name in LABEL_COLUMNS and number != file]
    if "label" in columns:
        labels = [columns.index("label")]
    if file >= 0 and not labels:  # the only other column, such as `breed`
        known = (*FILE_COLUMNS, *SPLIT_COLUMNS, *GROUP_COLUMNS)
        labels = [number for number, name in enumerate(columns) if name not in known and number != file and name]
    if file < 0 or len(labels) != 1:
        raise _unknown_columns(columns, path)
    return file, labels[0]


def _unknown_columns(columns: Sequence[str], path: Path) -> DataError:
    found = listed([printable(one)[:40] for one in columns], MAX_LISTED)
    return DataError(f"{path}: its columns are {found}; expected file and label, perhaps with split and group")


def tree_of_rows(rows: Sequence[Row], folder: str) -> Tree | None:
    """Return the files that a manifest names, without looking for others; None unless all are where it says."""
    tree, digest = Tree(folder), sha256()
    names = dict.fromkeys(_normal(row.file.replace("\\", "/").removeprefix("./")) for row in rows)
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118
        try:
            status = os.stat(path)  # noqa: PTH116
        except (OSError, ValueError):
            return None
        if not name or not stat.S_ISREG(status.st_mode):
            return None
        tree.pictures.append(name)
        digest.update(
            repr((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)).encode(errors="surrogateescape")
        )
    tree.contents = lambda positions: (os.path.join(folder, tree.pictures[one]) for one in positions)  # noqa: PTH118
    tree.version = digest.hexdigest()
    return tree


def list_by_manifests(tree: Tree, manifests: Sequence[tuple[Path, str]], base: str = "") -> Listing:
    """List the pictures in a folder or an archive that manifests name.

    Args:
        tree: The files.
        manifests: Each manifest, with the split of its rows that name none.
        base: The folder that the files' names start at, below the tree.

    Raises:
        DataError: A manifest cannot be read, or names no picture that is there.
    """
    finder = _Finder(tree, base)
    found: dict[str, tuple[Row, str, int | str]] = {}
    problems, contradicted = list(tree.problems), set()
    for path, split in manifests:
        for row in read_manifest(path):  # read before, to find the tree: a table is small beside its pictures
            where = f"{path}: line {row.line}"
            place = finder.find(row.file, split if split != "all" else split_name(path.stem).split)
            if isinstance(place, str) and not os.path.isfile(place):  # noqa: PTH113 - a reason
                problems.append(f"{where}: {printable(row.file) or 'the field of the file is empty'}: {place}")
                continue
            name = tree.pictures[place] if isinstance(place, int) else place
            if not row.label:
                problems.append(f"{where}: {printable(row.file)} has no label; left out")
            elif name in found and found[name][0].label != row.label:
                other = found[name][0]
                labels = f"{printable(other.label)} (line {other.line}) and {printable(row.label)} (line {row.line})"
                problems.append(f"{path}: {printable(row.file)} has two labels, {labels}; left out")
                contradicted.add(name)
            elif name not in found:
                found[name] = row, split if row.split == "all" else row.split, place
    found = {name: one for name, one in found.items() if name not in contradicted}
    return _listing(tree, found, problems, manifests)


def _listing(
    tree: Tree, found: dict[str, tuple[Row, str, int | str]], problems: list[str], manifests: Sequence[tuple[Path, str]]
) -> Listing:
    """Return the pictures that were found, in the tree's order; those outside the tree last."""
    inside = sorted((place, name) for name, (_, _, place) in found.items() if isinstance(place, int))
    outside = [name for name, (_, _, place) in found.items() if isinstance(place, str)]
    if not found:
        reason = f"; the first: {problems[0]}" if problems else ""
        raise NoPictureError(f"{manifests[0][0]}: names no picture that is in {tree.name}{reason}")
    pictures = [
        LabelledPicture(name, printable(found[name][0].label), found[name][1], found[name][0].group)
        for name in (*(name for _, name in inside), *outside)
    ]

    def contents(positions: Sequence[int]) -> Iterator[Content]:
        yield from tree.contents([inside[position][0] for position in positions if position < len(inside)])
        yield from (outside[position - len(inside)] for position in positions if position >= len(inside))

    num_unused = len(tree.pictures) - len(inside)
    unused = f"{plural(num_unused, 'picture')} that {manifests[0][0].name} does not name"
    notes = [f"{tree.name}: {unused} skipped"] if num_unused else []
    versions = [[cache.file_fingerprint(path), split] for path, split in manifests]
    key = ("manifest", versions, tree.version, [cache.file_fingerprint(Path(one)) for one in outside])
    return Listing(pictures, contents, key, tree.name, [*tree.notes, *notes], problems)


class _Finder:
    """Finds the file that a manifest means."""

    def __init__(self, tree: Tree, base: str) -> None:
        self._tree, self._base = tree, base
        self._by_name = {name: position for position, name in enumerate(tree.pictures)}
        self._loose: dict[str, list[int]] | None = None

    def find(self, file: str, split: str) -> int | str:
        """Return a picture's position in the tree, the path of a file outside it, or why there is none."""
        name = file.replace("\\", "/").removeprefix("./")
        if not name:
            return "no name"
        for one in (f"{self._base}/{name}" if self._base else name, name):
            if (position := self._by_name.get(_normal(one))) is not None:
                return position
        if found := self._candidates(name, split):
            if len(found) == 1:
                return found[0]
            some = ", ".join(self._tree.pictures[one] for one in found[:3])
            return f"may be any of {len(found)} files ({some}); write it with its folder and suffix"
        return self._outside(file)

    def _candidates(self, name: str, split: str) -> list[int]:
        """Return the pictures whose paths end in a name, with or without its suffix; in a split's folder if any is."""
        if self._loose is None:
            self._loose = defaultdict(list)
            for position, path in enumerate(self._tree.pictures):
                last = PurePosixPath(path).name
                self._loose[last].append(position)
                if (stem := PurePosixPath(path).stem) != last:
                    self._loose[stem].append(position)
        wanted = PurePosixPath(name)
        found = [
            position
            for position in self._loose.get(wanted.name, [])
            if _ends_in(PurePosixPath(self._tree.pictures[position]).parent, wanted.parent)
        ]
        in_split = [
            one
            for one in found
            if split and split in {split_name(part).split for part in self._tree.pictures[one].split("/")[:-1]}
        ]
        return in_split or found

    def _outside(self, file: str) -> str:
        path = os.path.join(self._tree.name, self._base, file)  # noqa: PTH118 - of an absolute one, that alone is left
        return path if os.path.isfile(path) else "there is no such file"  # noqa: PTH113


def _normal(name: str) -> str:
    return os.path.normpath(name).replace(os.sep, "/") if ".." in name or "//" in name or "/./" in name else name


def _ends_in(folder: PurePosixPath, wanted: PurePosixPath) -> bool:
    parts = wanted.parts
    return not parts or folder.parts[-len(parts) :] == parts


def choose_images(images: ImageSet, path: Path) -> ImageSet:
    """Return the images that a manifest names as `ImageSet.sources` does, with its labels, splits and groups.

    Raises:
        DataError: The manifest cannot be read, or names none of the images.
    """
    rows = {row.file: row for row in read_manifest(path)}
    positions = np.array([place for place, one in enumerate(images.sources) if one in rows], np.int64)
    if not len(positions):
        first = f"such as {images.sources[0]}" if len(images) else "which are none"
        raise DataError(f"{path}: names none of the images of {images.name}, {first}")
    chosen = images.rows(positions)
    kept = [rows[one] for one in chosen.sources]
    names = in_order(printable(row.label) for row in kept)
    if set(names) <= set(images.class_names):
        names = images.class_names
    place = {name: index for index, name in enumerate(names)}
    left_out = len(rows) - len(positions)
    problems = [f"{path}: {left_out:,} rows name no image of {images.name}"] * bool(left_out)
    return replace(
        chosen,
        name=str(path),
        labels=np.array([place[printable(row.label)] for row in kept], np.int64),
        class_names=names,
        split=np.array([SPLITS.index(row.split) for row in kept], np.uint8),
        groups=group_numbers(row.group for row in kept) if any(row.group for row in kept) else None,
        skipped=images.skipped,
        unreadable=(*images.unreadable, *problems),
    )
