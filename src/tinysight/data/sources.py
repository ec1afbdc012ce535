"""Finds out what a path holds: labelled pictures, or arrays of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..wording import listed
from . import cache, parquet
from .archives import is_archive, is_tar, read_archive
from .array_forms import SplitArrays
from .csv_pixels import find_layout, read_pixels
from .idx import IdxFiles, find_idx_files, is_idx_name, read_idx_files, with_emnist_names
from .image_folder import HIDDEN, read_folder
from .listing import Listing, Tree, chosen_contents, list_class_folders
from .manifest import is_manifest, list_by_manifests, read_manifest, tree_of_rows
from .numpy_files import read_npy_files, read_npz
from .split_names import split_name
from .tables import is_table
from .webdataset import is_shard, list_shards

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # of Hugging Face's image folders
TEXT_SUFFIXES = (".txt", ".lst")  # tables with another suffix
TAR_SUFFIXES = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
MAX_FOLDERS_SEARCHED = 8  # for IDX files: more are folders of classes
MAX_DEPTH_SEARCHED = 3
MAX_LISTED = 8  # files in a message
FORMS_ADVICE = "docs/data.md lists the forms"
FORMS = (
    "class folders, an archive of them, a table with columns file and label, or of pixels, IDX, NumPy or Parquet files"
)

Arrays = tuple[list[SplitArrays], Sequence[str] | None, list[str]]  # of each split, the classes' names, notes


@dataclass(frozen=True)
class ArraySource:
    """A source that holds arrays of images.

    Attributes:
        name: What messages call it.
        key: What identifies its content, for the cache.
        read: Reads its arrays, the names of the labels 0, 1, … if it has them, and notes; called only if they are not
            in the cache.
        framing: Method of framing, see `Framing`; None: chosen from the images.
        is_framed: Whether its images have been framed by its authors, as MNIST's are.
    """

    name: str
    key: object
    read: Callable[[], Arrays]
    framing: str | None = None
    is_framed: bool = False


def find_source(path: Path) -> Listing | ArraySource:
    """Find out what a path that exists holds.

    Raises:
        DataError: It holds nothing that is known, cannot be read, or is ambiguous.
    """
    return _in_folder(path) if path.is_dir() else _in_file(path)


def list_manifest(path: Path, root: Path | None = None) -> Listing:
    """List the pictures that a manifest names.

    Args:
        path: The manifest.
        root: The folder or the archive in which they are; by default the manifest's folder.

    Raises:
        DataError: The manifest cannot be read, or names no picture that is there.
    """
    folder = root or path.parent
    if not folder.is_dir():
        return list_by_manifests(read_archive(folder), [(path, "all")])
    tree = tree_of_rows(read_manifest(path), str(folder)) or read_folder(str(folder))
    return list_by_manifests(tree, [(path, "all")])


# Files


def _in_file(path: Path) -> Listing | ArraySource:
    name = path.name.lower()
    start = _start(path)
    if name.endswith(".npz") or (start.startswith(b"PK") and _holds_arrays_only(path)):
        return ArraySource(str(path), cache.file_fingerprint(path), lambda: read_npz(path))
    if name.endswith(".npy") or start.startswith(b"\x93NUMPY"):
        return _numpy_files(sorted(path.parent.glob("*.npy")), str(path))
    if name.endswith(".parquet") or start.startswith(b"PAR1"):
        return _parquet_files([path], str(path)) if parquet.has_pictures(path) else list_manifest(path)
    if is_idx_name(path.name):
        return _idx_source(find_idx_files(path), str(path))
    if name.endswith((".zip", *TAR_SUFFIXES)) or is_archive(path):
        return _in_archive(path)
    if is_table(path) or name.endswith(TEXT_SUFFIXES):
        return _pixel_tables([path], str(path)) or list_manifest(path)
    raise DataError(f"{path}: is a file of an unknown kind; expected {FORMS} (docs/data.md)")


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _holds_arrays_only(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        return bool(names) and all(name.endswith(".npy") for name in names)
    except Exception:  # zipfile raises anything on damaged archives
        return False


def _in_archive(path: Path) -> Listing:
    if (path.name.lower().endswith(TAR_SUFFIXES) or is_tar(path)) and is_shard(path):
        return list_shards([path], _splits_of_files([path]), str(path))
    return list_class_folders(read_archive(path))


# Folders


def _in_folder(folder: Path) -> Listing | ArraySource:
    """Find out what a folder holds: the surest first, class folders before tables beside them."""
    files, folders = _entries(folder)
    if idx_files := _idx_files_below(folder, files, folders):
        return _idx_source(idx_files, str(folder))
    tree = read_folder(str(folder))
    if metadata := _metadata(tree, folder, folders):
        return metadata
    listing, reason = None, None
    try:
        listing = list_class_folders(tree)
        if len({picture.class_name for picture in listing.pictures}) > 1:
            return listing
    except DataError as error:
        reason = error
    found = (_manifest_beside(tree, files) if tree.pictures else None) or _data_files(folder, files, folders)
    if found or listing:
        return found or listing  # type: ignore[return-value]
    raise _nothing_known(tree, reason) from None


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders in a folder, sorted, without what is hidden."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(HIDDEN))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None
    return [path for path in paths if path.is_file()], [path for path in paths if path.is_dir()]


def _idx_files_below(folder: Path, files: list[Path], folders: list[Path], depth: int = 0) -> IdxFiles:
    """Return the IDX files in a folder, or else in its subfolders if they are few, such as ``MNIST/raw``."""
    if any(is_idx_name(path.name) for path in files):
        return find_idx_files(folder)
    found: IdxFiles = {}
    if depth < MAX_DEPTH_SEARCHED and len(folders) <= MAX_FOLDERS_SEARCHED:
        for one in folders:
            for split, pair in _idx_files_below(one, *_entries(one), depth + 1).items():
                found[split] = {**pair, **found.get(split, {})}
    return found


def _idx_source(files: IdxFiles, name: str) -> ArraySource:
    paths = [path for pair in files.values() for path in pair.values()]

    def read() -> Arrays:
        splits, notes = read_idx_files(files, name)
        return with_emnist_names(splits, files), None, notes

    return ArraySource(name, [cache.file_fingerprint(path) for path in paths], read)


def _metadata(tree: Tree, folder: Path, folders: list[Path]) -> Listing | None:
    """List by Hugging Face's metadata files, in a folder or in its subfolders of splits."""
    found = [path for path in (folder / name for name in METADATA) if path.is_file()]
    if found and is_manifest(found[0]):
        return list_by_manifests(tree, [(found[0], "all")])
    below = [(one, path) for one in folders for path in (one / name for name in METADATA) if path.is_file()]
    splits = {one: split_name(one.name).split for one, _ in below}
    if not below or not all(splits.values()) or not all(is_manifest(path) for _, path in below):
        return None
    listings = [list_by_manifests(tree, [(path, splits[one])], one.name) for one, path in below]
    return _joined(tree, listings)


def _joined(tree: Tree, listings: Sequence[Listing]) -> Listing:
    """Return the pictures of several listings of one tree, each with its own part of it."""
    positions = {name: position for position, name in enumerate(tree.pictures)}
    pictures = [picture for one in listings for picture in one.pictures if picture.name in positions]
    pictures.sort(key=lambda picture: positions[picture.name])
    chosen = np.array([positions[picture.name] for picture in pictures], np.int64)
    problems = list(dict.fromkeys(line for one in listings for line in one.problems))
    keys = [one.key for one in listings]
    return Listing(pictures, chosen_contents(tree.contents, chosen), keys, tree.name, tree.notes, problems)


def _manifest_beside(tree: Tree, files: list[Path]) -> Listing | None:
    """List by the table beside pictures that lie in no class folders, if there is one."""
    tables = [path for path in files if is_table(path) and "submission" not in path.name.lower()]
    manifests = [path for path in tables if not _has_pixels(path) and is_manifest(path)]
    splits = [split_name(path.name.split(".")[0]).split for path in manifests]
    if len(manifests) > 1 and not (all(splits) and len(set(splits)) == len(splits)):
        names = ", ".join(path.name for path in manifests)
        raise DataError(
            f"{tree.name}: any of {names} may say what the pictures show; give the table instead of the folder"
        )
    if len(manifests) == 1:
        splits = ["all"]
    return list_by_manifests(tree, list(zip(manifests, splits, strict=True))) if manifests else None


def _has_pixels(path: Path) -> bool:
    is_text = not path.name.lower().removesuffix(".gz").endswith((".parquet", ".jsonl", ".ndjson"))
    return is_text and find_layout(path) is not None


def _data_files(folder: Path, files: list[Path], folders: list[Path]) -> Listing | ArraySource | None:
    """Find files that hold images themselves, perhaps one for each split."""
    return (
        _numpy_files_in(folder, files)
        or _parquet_files_below(folder, files, folders)
        or _pixel_tables([path for path in files if is_table(path) and _has_pixels(path)], str(folder))
        or _archives_in(folder, files)
    )


def _numpy_files_in(folder: Path, files: list[Path]) -> ArraySource | Listing | None:
    found = [path for path in files if path.suffix.lower() in (".npy", ".npz")]
    if len(found) == 1 and found[0].suffix.lower() == ".npz":
        return _in_file(found[0])
    return _numpy_files(found, str(folder)) if found else None


def _archives_in(folder: Path, files: list[Path]) -> Listing | None:
    """List an archive in a folder, or several WebDataset shards."""
    archives = [path for path in files if path.name.lower().endswith((".zip", *TAR_SUFFIXES))]
    if len(archives) == 1:
        return _in_archive(archives[0])
    if not archives:
        return None
    if all(is_tar(path) and is_shard(path) for path in archives):
        return list_shards(archives, _splits_of_files(archives), str(folder))
    names = ", ".join(path.name for path in archives[:4])
    raise DataError(f"{folder}: holds {len(archives)} archives ({names}); give one of them")


def _numpy_files(paths: list[Path], name: str) -> ArraySource:
    return ArraySource(name, [cache.file_fingerprint(path) for path in paths], lambda: read_npy_files(paths, name))


def _splits_of_files(paths: Sequence[Path]) -> list[str]:
    """Return the split that each file's name tells, or else ``all``."""
    return [split_name(path.name.split(".")[0]).split or "all" for path in paths]


def _parquet_files_below(folder: Path, files: list[Path], folders: list[Path]) -> Listing | None:
    """List the Parquet files with pictures in a folder or in one of its subfolders, such as ``data``."""
    found = {folder: files}
    if len(folders) <= MAX_FOLDERS_SEARCHED:
        found |= {one: _entries(one)[0] for one in folders}
    tables = {one: [path for path in paths if path.suffix.lower() == ".parquet"] for one, paths in found.items()}
    tables = {one: paths for one, paths in tables.items() if paths and parquet.has_pictures(paths[0])}
    if len(tables) > 1:
        names = ", ".join(one.name for one in tables)
        raise DataError(f"{folder}: {names} each hold Parquet files; give one of these folders")
    return _parquet_files(next(iter(tables.values())), str(folder)) if tables else None


def _parquet_files(paths: list[Path], name: str) -> Listing:
    return parquet.list_pictures(paths, _splits_of_files(paths), name)


def _pixel_tables(paths: list[Path], name: str) -> ArraySource | None:
    """Return the images in tables of pixels; None if there are none."""
    layouts = {path: layout for path in paths if (layout := find_layout(path))}
    labelled = [path for path, layout in layouts.items() if layout.label >= 0]
    if not layouts:
        return None
    if not labelled:
        first = next(iter(layouts))
        raise DataError(f"{first}: has pixels, but no column label; expected one (Kaggle's test.csv has none)")
    notes = [f"{path}: has no column label; skipped" for path in layouts if path not in labelled]
    splits = _splits_of_files(labelled) if len(labelled) > 1 else ["all"]

    def read() -> Arrays:
        read_tables = [read_pixels(one, layouts[one], split) for one, split in zip(labelled, splits, strict=True)]
        return [one for one, _ in read_tables], None, [*notes, *(note for _, some in read_tables for note in some)]

    return ArraySource(name, [[cache.file_fingerprint(path) for path in labelled], splits], read)


def _nothing_known(tree: Tree, reason: DataError | None) -> DataError:
    """Say what a folder holds instead of labelled images."""
    if tree.pictures and reason and "no pictures in class folders" not in str(reason):
        return reason
    others = [name for names in tree.others.values() for name in names]
    beside = f"; it holds {listed(others, MAX_LISTED)}" if others else ""
    expected = f"holds no pictures in class folders (such as {Path(tree.name, 'CLASS', 'PICTURE.png')})"
    return DataError(f"{tree.name}: {expected}, nor another form that is known{beside}; {FORMS_ADVICE}")
