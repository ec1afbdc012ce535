"""ImageSet: labelled images with their class names, sources and splits."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..preprocessing.framing import Framing
from .cache import select_rows
from .stored_pairs import find_near_duplicates

SPLITS = ("train", "validation", "test", "all", "unused")
Progress = Callable[[str, int, int], None]  # what is under way, how much is done, how much there is (0: unknown)


class RowSources(Sequence[str]):
    """Sources of images that are rows of a few files, such as ``images.idx[7]``.

    Each name is made when it is read, so that millions of images take no memory for their names.
    """

    def __init__(self, files: Sequence[tuple[str, int]]) -> None:
        """Take each file's name and number of rows."""
        self._files = files
        self._ends = list(accumulate(rows for _, rows in files))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: Any) -> Any:
        """Return one name."""
        position = range(len(self))[index]
        file = bisect_right(self._ends, position)
        return f"{self._files[file][0]}[{position - (self._ends[file - 1] if file else 0)}]"

    def __iter__(self) -> Iterator[str]:
        return (f"{name}[{row}]" for name, rows in self._files for row in range(rows))


class SelectedSources(Sequence[str]):
    """The sources of some of a set's images: a view, which copies no names."""

    def __init__(self, sources: Sequence[str], chosen: NDArray[np.int64]) -> None:
        """Take the sources of all images, and the positions of some."""
        self._sources, self._chosen = sources, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: Any) -> Any:
        """Return one name."""
        return self._sources[int(self._chosen[index])]


class WholeImages(NamedTuple):
    """The pictures of a set in grey, whole, while the set has them framed otherwise.

    Attributes:
        images: uint8 ``(num_images, height, width)``; may be memory-mapped.
        hashes: uint8 ``(num_images, 32)``, SHA-256 of each image's pixels.
    """

    images: NDArray[np.uint8]
    hashes: NDArray[np.uint8]


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, all of one size.

    Attributes:
        name: The name or path that the set was loaded from, as the user wrote it.
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, 3)``; may be memory-mapped.
        labels: int64 ``(num_images,)``, indices into `class_names`.
        class_names: Name of each class.
        sources: Where each image came from: a file's path below the folder, or a file's name and the row in it.
        split: uint8 ``(num_images,)``, indices into `SPLITS`; ``all`` where the split is not decided yet,
            ``unused`` where a marked test or validation image is a copy, or where framing found no ink.
        hashes: uint8 ``(num_images, 32)``, SHA-256 of each image's pixels.
        framing: How a picture is framed to become an image like these.
        skipped: A line for each folder or group of files that is not part of the set, and for each group of images
            that framing could not treat as the others.
        unreadable: A line for each picture that could not be read.
        groups: int64 ``(num_images,)``, the number of each image's group, by `groups.group_numbers`; −1 for an image
            in no group. Images of one group, such as one person's, stay in one split. None: there are no groups.
        whole: The same pictures framed as ``whole``, where they are framed otherwise: there copies are found better,
            since framing changes a resized character more than resizing does. None: there are none.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sources: Sequence[str]
    split: NDArray[np.uint8]
    hashes: NDArray[np.uint8]
    framing: Framing
    skipped: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    whole: WholeImages | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.images)

    def indices(self, split: str) -> NDArray[np.int64]:
        """Return the positions of the images of one of `SPLITS`."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def subset(self, split: str) -> "ImageSet":
        """Return the images of one of `SPLITS` as a set."""
        return self.rows(self.indices(split))

    def rows(self, chosen: NDArray[np.int64]) -> "ImageSet":
        """Return the images at some positions as a set.

        Args:
            chosen: The positions, in rising order, none of them twice.

        Raises:
            ValueError: They are in another order, or outside the set.
        """
        return ImageSet(
            self.name, select_rows(self.images, chosen), self.labels[chosen], self.class_names,
            SelectedSources(self.sources, chosen), self.split[chosen], self.hashes[chosen], self.framing,
            groups=None if self.groups is None else self.groups[chosen],
        )  # fmt: skip

    def in_content_order(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return rows in the order of their images' hashes, then labels.

        Random choices are made among rows in this order. So they are the same whatever kind of source the images came
        from, and in whatever order it lists them.
        """
        return rows[np.lexsort((self.labels[rows], hash_numbers(self.hashes[rows])))]

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of images, labels and class names, in hexadecimal; equal for equal sets in any order."""
        digest = sha256(json.dumps([self.images.shape, self.class_names]).encode())
        rows = self.in_content_order(np.arange(len(self)))
        digest.update(np.ascontiguousarray(self.labels[rows]).data)
        digest.update(np.ascontiguousarray(self.hashes[rows]).data)
        return digest.hexdigest()

    @cached_property
    def near_duplicates(self) -> NDArray[np.int64]:
        """Pairs of positions of images that are near-duplicates, int64 ``(num_pairs, 2)``."""
        compared = self.whole or self
        return find_near_duplicates(compared.images, compared.hashes)

    @cached_property
    def split_hash(self) -> str:
        """SHA-256 of `data_hash` and the split of each image, in hexadecimal; equal for equal sets in any order."""
        rows = np.lexsort((self.split, self.labels, hash_numbers(self.hashes)))
        return sha256(self.data_hash.encode() + self.split[rows].tobytes()).hexdigest()


def hash_numbers(hashes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the first eight bytes of each hash, uint8 ``(num_images, 32)``, as a number, uint64 ``(num_images,)``.

    Among 6 million images, two different ones have the same number with a chance of 1 in a million.
    """
    return np.ascontiguousarray(hashes[:, :8]).view(">u8").ravel().astype(np.uint64)
