"""Reads a folder of class folders full of pictures; does not know what the pictures are for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import PictureError
from .pixels import SUFFIXES, Framing, frame_picture, read_picture

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


def pictures_below(folder: Path) -> list[Path]:
    """Return the files below a folder that have a picture's name, sorted, hidden ones left out."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in paths if path.is_file() and not _is_hidden(path, folder))


def list_picture_files(folder: Path) -> tuple[list[PictureFile], list[str]]:
    """Walk a folder of class folders, with or without train, validation and test folders above them.

    Returns:
        The picture files in a fixed order, and a line for each thing that was skipped. Hidden files and folders
        are passed over.
    """
    tops = _subfolders(folder)
    is_split = bool(tops) and all(top.name.lower() in PART_FOLDERS for top in tops)
    groups = [(PART_FOLDERS[top.name.lower()], _subfolders(top)) for top in tops] if is_split else [("all", tops)]
    files: list[PictureFile] = []
    skipped: list[str] = []
    for split, class_folders in groups:
        for class_folder in class_folders:
            pictures = pictures_below(class_folder)
            num_files = sum(path.is_file() and not _is_hidden(path, folder) for path in class_folder.rglob("*"))
            others = num_files - len(pictures)
            if not pictures:
                skipped.append(f"{class_folder}: no pictures in it; not a class")
            elif others:
                skipped.append(f"{class_folder}: {others} file(s) that are no pictures passed over")
            files += [PictureFile(path, class_folder.name, split) for path in pictures]
    return files, skipped


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _is_hidden(path: Path, below: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(below).parts)


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
    with ThreadPoolExecutor(cpu_count()) as pool:
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
