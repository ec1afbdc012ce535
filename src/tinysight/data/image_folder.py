"""Lists and decodes the pictures in a folder of class folders."""

import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from os import cpu_count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, PictureError
from ..escapes import printable
from ..preprocessing.decode import read_picture, without_warnings
from ..preprocessing.formats import is_picture_file
from ..preprocessing.framing import Framed, Framing, frame_picture

# The split by the name of a folder of class folders
SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class PictureFile:
    """One labelled picture file in a folder of class folders."""

    path: Path
    class_name: str
    split: str


def list_picture_files(folder: Path) -> tuple[list[PictureFile], list[str]]:
    """List the pictures in class folders, with or without train, validation and test folders above them.

    Returns:
        The picture files in a fixed order, and a line for each folder or group of files that is skipped. Hidden files
        and folders are skipped without a line.

    Raises:
        DataError: A folder cannot be read.
    """
    # Find the class folders of each split
    top = _entries(folder)
    skipped = _describe_loose(folder, top)
    split_folders = [path for path in top.folders if _is_split_folder(path)]
    if any(SPLIT_FOLDERS[path.name.lower()] == "train" for path in split_folders):
        first = split_folders[0].name
        skipped += [f"{path}: skipped, since it is beside {first}" for path in top.folders if path not in split_folders]
        splits = []
        for path in split_folders:
            below = _entries(path)
            skipped += _describe_loose(path, below)
            splits.append((SPLIT_FOLDERS[path.name.lower()], below.folders))
    else:
        splits = [("all", top.folders)]

    # List the pictures of each class
    files: list[PictureFile] = []
    for split, class_folders in splits:
        for class_folder in class_folders:
            found, others = _files_below(class_folder)
            pictures = [path for path in found if is_picture_file(path)]
            if not pictures:
                skipped.append(f"{class_folder}: no pictures in it; not a class")
            elif len(found) > len(pictures):
                skipped.append(f"{class_folder}: {len(found) - len(pictures)} file(s) that are no pictures skipped")
            skipped += others
            class_name = printable(unicodedata.normalize("NFC", class_folder.name))  # macOS writes accents apart
            files += [PictureFile(path, class_name, split) for path in pictures]
    return files, skipped


def _describe_loose(folder: Path, entries: "_Entries") -> list[str]:
    """Return a line on the files that are in no class folder, and one on each thing that is no file."""
    num_files = len(entries.files)
    return [f"{folder}: {num_files} file(s) in no class folder skipped"] * bool(num_files) + entries.others


def _is_split_folder(folder: Path) -> bool:
    """Tell the folder of a split, such as ``train/``, from a class of that name: it has most pictures in subfolders."""
    if folder.name.lower() not in SPLIT_FOLDERS:
        return False
    files, folders, _ = _entries(folder)
    num_below = sum(_num_pictures(_files_below(below)[0]) for below in folders)
    return bool(folders) and (num_below > _num_pictures(files) or not _num_pictures(files))


def _num_pictures(files: list[Path]) -> int:
    return sum(is_picture_file(path) for path in files)


class _Entries(NamedTuple):
    """What is in a folder, sorted, without what is hidden: files, folders, and a line for each other thing."""

    files: list[Path]
    folders: list[Path]
    others: list[str]


def _entries(folder: Path) -> _Entries:
    try:
        entries = _Entries([], [], [])
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__"))):
            if path.is_file():
                entries.files.append(path)
            elif path.is_dir():
                entries.folders.append(path)
            else:
                kind = (
                    "a link that leads nowhere"
                    if path.is_symlink() and not path.exists()
                    else "a pipe, a socket or a device"
                )
                entries.others.append(f"{path}: {kind}; skipped")
        return entries
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def _files_below(folder: Path) -> tuple[list[Path], list[str]]:
    """Return all files in a folder and its subfolders, sorted, and a line for each thing that is skipped."""
    files, others, waiting = [], [], [folder]
    while waiting:
        entries = _entries(waiting.pop())
        files += entries.files
        others += entries.others
        others += [f"{path}: a link to a folder; skipped" for path in entries.folders if path.is_symlink()]
        waiting += [path for path in reversed(entries.folders) if not path.is_symlink()]
    return files, others


def decode_files(
    files: list[PictureFile], framing: Framing, images: NDArray[np.uint8], progress: Callable[[int], None]
) -> tuple[list[str], dict[int, str]]:
    """Decode each file into its row of `images`, on all cores.

    Args:
        files: The pictures.
        framing: How each picture is framed.
        images: uint8 ``(len(files), *framing.image_shape)``, filled row by row; of a file with a problem the row stays.
        progress: Called with the number of files done.

    Returns:
        Why each file could not be read, empty if it could; and what is wrong with what some show, by their numbers.
    """
    problems, faults = [], {}
    with without_warnings(), ThreadPoolExecutor(cpu_count()) as pool:
        for row, decoded in enumerate(_decoded(pool, files, framing)):
            if isinstance(decoded, str):
                problems.append(decoded)
            else:
                images[row] = decoded.pixels
                problems.append("")
                if decoded.fault:
                    faults[row] = decoded.fault
            progress(row + 1)
    return problems, faults


def _decoded(
    pool: ThreadPoolExecutor, files: list[PictureFile], framing: Framing, chunk_size: int = 512
) -> Iterator[Framed | str]:
    """Yield each file's framed picture, or its problem, in order; no more than one chunk is in memory."""
    decode = partial(_decode, framing=framing)
    for start in range(0, len(files), chunk_size):
        yield from pool.map(decode, files[start : start + chunk_size])


def _decode(file: PictureFile, framing: Framing) -> Framed | str:
    try:
        return frame_picture(read_picture(file.path), framing)
    except PictureError as error:
        return str(error)
    except MemoryError:
        return f"{file.path}: there is not enough memory for it; make it smaller"
    except Exception as error:  # a fault of ours, that other pictures shall not suffer from
        return f"{file.path}: unexpected {type(error).__name__}; please report it"
