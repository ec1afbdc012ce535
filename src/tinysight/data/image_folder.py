"""Lists and decodes the pictures in a folder of class folders."""

import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from os import cpu_count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, PictureError
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
    loose_files, folders = _entries(folder)
    skipped = [f"{folder}: {len(loose_files)} file(s) in no class folder skipped"] if loose_files else []
    split_folders = [top for top in folders if _is_split_folder(top)]
    if any(SPLIT_FOLDERS[top.name.lower()] == "train" for top in split_folders):
        first = split_folders[0].name
        skipped += [f"{top}: skipped, since it is beside {first}" for top in folders if top not in split_folders]
        num_loose = {top: len(_entries(top)[0]) for top in split_folders}
        skipped += [f"{top}: {n} file(s) in no class folder skipped" for top, n in num_loose.items() if n]
        splits = [(SPLIT_FOLDERS[top.name.lower()], _entries(top)[1]) for top in split_folders]
    else:
        splits = [("all", folders)]

    # List the pictures of each class
    files: list[PictureFile] = []
    for split, class_folders in splits:
        for class_folder in class_folders:
            below = _files_below(class_folder)
            pictures = [path for path in below if is_picture_file(path)]
            if not pictures:
                skipped.append(f"{class_folder}: no pictures in it; not a class")
            elif len(below) > len(pictures):
                skipped.append(f"{class_folder}: {len(below) - len(pictures)} file(s) that are no pictures skipped")
            class_name = unicodedata.normalize("NFC", class_folder.name)  # macOS writes accents apart
            files += [PictureFile(path, class_name, split) for path in pictures]
    return files, skipped


def _is_split_folder(folder: Path) -> bool:
    """Tell the folder of a split, such as ``train/``, from a class of that name: it has most pictures in subfolders."""
    if folder.name.lower() not in SPLIT_FOLDERS:
        return False
    files, folders = _entries(folder)
    num_below = sum(_num_pictures(_files_below(below)) for below in folders)
    return bool(folders) and (num_below > _num_pictures(files) or not _num_pictures(files))


def _num_pictures(files: list[Path]) -> int:
    return sum(is_picture_file(path) for path in files)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders in a folder, sorted, without hidden ones."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
        return [path for path in paths if path.is_file()], [path for path in paths if path.is_dir()]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def _files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders, sorted; links to folders are not followed."""
    files, folders = _entries(folder)
    return files + [path for below in folders if not below.is_symlink() for path in _files_below(below)]


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
