"""Reads a folder of class folders full of pictures; does not know what the pictures are for."""

import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, PictureError
from ..preprocessing.decode import SUFFIXES, read_picture, without_warnings
from ..preprocessing.framing import Framing, frame_picture

# What people call the parts of a set
PART_FOLDERS = {
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
    """Walk a folder of class folders, with or without train, validation and test folders above them.

    Returns:
        The picture files in a fixed order, and a line for each thing that was passed over. Hidden files and folders
        are passed over without a line.

    Raises:
        DataError: A folder cannot be read.
    """
    here, tops = _entries(folder)
    skipped = [f"{folder}: {len(here)} file(s) in no class folder passed over"] if here else []
    parts = [top for top in tops if _is_part(top)]
    if any(PART_FOLDERS[part.name.lower()] == "train" for part in parts):
        skipped += [f"{top}: passed over, since it is beside {parts[0].name}" for top in tops if top not in parts]
        strays = {part: len(_entries(part)[0]) for part in parts}
        skipped += [f"{part}: {n} file(s) in no class folder passed over" for part, n in strays.items() if n]
        groups = [(PART_FOLDERS[part.name.lower()], _entries(part)[1]) for part in parts]
    else:
        groups = [("all", tops)]
    files: list[PictureFile] = []
    for split, class_folders in groups:
        for class_folder in class_folders:
            below = _files_below(class_folder)
            pictures = [path for path in below if path.suffix.lower() in SUFFIXES]
            if not pictures:
                skipped.append(f"{class_folder}: no pictures in it; not a class")
            elif len(below) > len(pictures):
                skipped.append(f"{class_folder}: {len(below) - len(pictures)} file(s) that are no pictures passed over")
            class_name = unicodedata.normalize("NFC", class_folder.name)  # macOS writes accents apart
            files += [PictureFile(path, class_name, split) for path in pictures]
    return files, skipped


def _is_part(folder: Path) -> bool:
    """Tell a part such as ``train/`` from a class of that name: a part's pictures, but for strays, are in folders."""
    if folder.name.lower() not in PART_FOLDERS:
        return False
    files, folders = _entries(folder)
    num_below = sum(_num_pictures(_files_below(below)) for below in folders)
    return bool(folders) and (num_below > _num_pictures(files) or not _num_pictures(files))


def _num_pictures(files: list[Path]) -> int:
    return sum(path.suffix.lower() in SUFFIXES for path in files)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders in a folder, sorted, without hidden ones."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
        return [path for path in paths if path.is_file()], [path for path in paths if path.is_dir()]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def _files_below(folder: Path) -> list[Path]:
    files, folders = _entries(folder)
    return files + [path for below in folders if not below.is_symlink() for path in _files_below(below)]


def decode_files(
    files: list[PictureFile], framing: Framing, images: NDArray[np.uint8], progress: Callable[[int], None]
) -> list[str]:
    """Decode each file into its row of `images`, on all cores.

    Args:
        files: What to decode.
        framing: How each picture is framed.
        images: uint8 ``(len(files), *framing.image_shape)``, filled row by row.
        progress: Called with the number of files done.

    Returns:
        What is wrong with each file, empty where nothing is.
    """
    problems = []
    with without_warnings(), ThreadPoolExecutor(cpu_count()) as pool:
        for row, outcome in enumerate(_in_chunks(pool, files, framing)):
            if isinstance(outcome, str):
                problems.append(outcome)
            else:
                images[row] = outcome
                problems.append("")
            progress(row + 1)
    return problems


def _in_chunks(
    pool: ThreadPoolExecutor, files: list[PictureFile], framing: Framing, chunk: int = 512
) -> Iterator[NDArray[np.uint8] | str]:
    """Decode in order, with no more than one chunk of pictures in memory."""

    def decode(file: PictureFile) -> NDArray[np.uint8] | str:
        try:
            return frame_picture(read_picture(file.path), framing)[0]
        except PictureError as error:
            return str(error)

    for start in range(0, len(files), chunk):
        yield from pool.map(decode, files[start : start + chunk])
