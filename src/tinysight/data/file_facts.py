"""Collects what picture files say beside their pixels, on all cores, and what is hidden among them."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..preprocessing.formats import has_suffix
from ..preprocessing.picture_facts import PictureFacts, picture_facts
from ..process_pool import map_in_processes, num_cores
from .archives import is_archive
from .dataset import Progress
from .image_folder import HIDDEN
from .listing import Content, Listing
from .manifest import NoPictureError
from .named_sets import NAMES
from .python_arrays import is_arrays
from .sources import find_source, list_manifest

FILES_AT_A_TIME = 512  # handed to a process
MIN_FOR_PROCESSES = 2_000  # fewer are read sooner than processes are started


class FileFacts(NamedTuple):
    """What is known of a source's picture files.

    Attributes:
        names: Name of each picture below its source, those that cannot be read included.
        facts: What is known of each.
        root: The folder or archive in which they are.
    """

    names: Sequence[str]
    facts: Sequence[PictureFacts]
    root: str


def listing_of(source: object, root: str | Path | None = None) -> Listing | None:
    """Return the picture files of a source that `loading.load_images` takes; None where it holds arrays, or nothing.

    Raises:
        DataError: It cannot be read.
    """
    path = Path(str(source))
    if is_arrays(source) or str(source) in NAMES or not path.exists():
        return None
    if root is None:
        found = find_source(path)
        return found if isinstance(found, Listing) else None
    folder = Path(root)
    is_in_folder = folder.is_dir() or (folder.is_file() and is_archive(folder))
    if not path.is_file() or str(root) in NAMES or not is_in_folder:
        return None
    try:
        return list_manifest(path, folder)
    except NoPictureError:  # it names rows in files of arrays
        return None


def read_facts(listing: Listing, *, with_sharpness: bool, progress: Progress | None = None) -> FileFacts:
    """Read what is known of each picture.

    Args:
        listing: The pictures.
        with_sharpness: Whether they are decoded too, and their sharpness measured.
        progress: Called while they are read.
    """
    count = len(listing.pictures)
    read = partial(_read, with_sharpness=with_sharpness)
    tasks = _tasks(listing, count)
    num_processes = _num_processes(count, with_sharpness)
    results = map_in_processes(lambda: read, tasks, num_processes) if num_processes else map(read, tasks)
    facts: list[PictureFacts] = []
    for some in results:
        facts += some
        if progress:
            progress("reading headers", len(facts), count)
    return FileFacts([one.name for one in listing.pictures], facts, listing.root)


def _num_processes(count: int, with_sharpness: bool) -> int:
    """Return how many processes read files; 0 for this one. Forking is safe on Linux, beside no other threads."""
    if (
        sys.platform != "linux"
        or "tensorflow" in sys.modules
        or count < MIN_FOR_PROCESSES // (20 if with_sharpness else 1)
    ):
        return 0
    return num_cores()


def _tasks(listing: Listing, count: int) -> Iterator[list[Content]]:
    some: list[Content] = []
    for content in listing.contents(range(count)):
        some.append(content)
        if len(some) == FILES_AT_A_TIME or (isinstance(content, bytes) and len(some) >= 16):
            yield some
            some = []
    if some:
        yield some


def _read(contents: Sequence[Content], with_sharpness: bool) -> list[PictureFacts]:
    return [
        picture_facts(content, with_sharpness=with_sharpness) if isinstance(content, (str, bytes)) else PictureFacts()
        for content in contents
    ]


def hidden_in(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of hidden files and folders below a folder: those that are or hold pictures, and others."""
    pictures: list[str] = []
    others: list[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(folder, below)) as entries:  # noqa: PTH118
            for entry in sorted(entries, key=lambda one: one.name):
                name = os.path.join(below, entry.name)  # noqa: PTH118
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name.startswith(HIDDEN):
                    (pictures if _holds_pictures(entry.path, is_folder) else others).append(name + "/" * is_folder)
                elif is_folder:
                    waiting.append(name)
    return pictures, others


def _holds_pictures(path: str, is_folder: bool) -> bool:
    if not is_folder:
        return has_suffix(path)
    walk: Callable[[str], Iterator[tuple[str, list[str], list[str]]]] = os.walk
    return any(has_suffix(name) for _, _, files in walk(path) for name in files)
