"""Stores what belongs to the images of a set beside them in the cache, and opens it again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..preprocessing.framing import Framing
from . import cache
from .cache import release_pages, row_slices
from .dataset import ImageSet, RowSources, WholeImages

GROUPS_FILE = "groups.npy"  # only of a set that has groups
WHOLE_HASHES_FILE = "whole-hashes.npy"  # only of a set that has the pictures whole too


@dataclass(frozen=True)
class Stored:
    """What belongs to the images of a set.

    Attributes:
        labels: int64 ``(num_images,)``, indices into `class_names`.
        split: uint8 ``(num_images,)``, indices into `dataset.SPLITS`.
        class_names: Name of each class.
        framing: The images' framing.
        sources: Name of each picture; or each file that images came from, with its number of rows.
        groups: As in `ImageSet`.
        unreadable: A line for each picture that could not be read.
        notes: A line for each group of images that is left out, or kept in spite of a fault, and on what was changed.
    """

    labels: NDArray[np.int64]
    split: NDArray[np.uint8]
    class_names: Sequence[str]
    framing: Framing
    sources: Sequence[str] | Sequence[tuple[str, int]]
    groups: NDArray[np.int64] | None = None
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def store(folder: Path, stored: Stored) -> None:
    """Write what belongs to the images in `folder`."""
    shape = (len(stored.labels), *stored.framing.image_shape)
    np.save(folder / "labels.npy", stored.labels)
    np.save(folder / "split.npy", stored.split)
    np.save(folder / "hashes.npy", _hashes(cache.finish_images(folder, shape)))
    if (folder / cache.WHOLE_FILE).exists():
        np.save(folder / WHOLE_HASHES_FILE, _hashes(cache.finish_images(folder, shape[:3], cache.WHOLE_FILE)))
    if stored.groups is not None:
        np.save(folder / GROUPS_FILE, stored.groups)
    about = {"class_names": stored.class_names, "framing": asdict(stored.framing), "sources": stored.sources}
    about |= {"unreadable": stored.unreadable, "notes": stored.notes}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _hashes(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the SHA-256 of each image's pixels, uint8 ``(num_images, 32)``."""
    hashes = np.empty((len(images), 32), np.uint8)
    for chunk in row_slices(images):
        digests = b"".join(sha256(image).digest() for image in images[chunk])
        hashes[chunk] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
        release_pages(images)
    return hashes


def open_stored(folder: Path, name: str) -> ImageSet:
    """Open what `store` wrote; its images are mapped, not read."""
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    framing = Framing(**about["framing"])
    labels = np.load(folder / "labels.npy")
    images = cache.open_images(folder, (len(labels), *framing.image_shape))
    stored = about["sources"]
    sources = stored if stored and isinstance(stored[0], str) else RowSources(stored)
    split, hashes = np.load(folder / "split.npy"), np.load(folder / "hashes.npy")
    groups = np.load(folder / GROUPS_FILE) if (folder / GROUPS_FILE).exists() else None
    class_names, notes, unreadable = (tuple(about[entry]) for entry in ("class_names", "notes", "unreadable"))
    whole = None
    if (folder / cache.WHOLE_FILE).exists():
        whole_images = cache.open_images(folder, images.shape[:3], cache.WHOLE_FILE)
        whole = WholeImages(whole_images, np.load(folder / WHOLE_HASHES_FILE))
    return ImageSet(
        name, images, labels, class_names, sources, split, hashes, framing, notes, unreadable, groups, whole
    )  # fmt: skip


def open_cached(key: str, name: str) -> ImageSet | None:
    """Open a cached set; None if it is not there or damaged."""
    folder = cache.checked_folder(key)
    try:
        return open_stored(folder, name) if folder else None
    except (OSError, EOFError, ValueError, KeyError, TypeError):  # another process may have removed it
        return None
