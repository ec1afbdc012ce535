"""Chooses the framing of a set of images from some of them, tells photographs, and leaves out images without ink."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PictureError
from ..preprocessing.decode import read_picture, without_warnings
from ..preprocessing.drawings import is_drawing
from ..preprocessing.ink import BLANK, NOTHING
from ..wording import plural
from .array_forms import ReadyImages
from .dataset import SPLITS
from .listing import Listing

SAMPLE_SIZE = 200  # images that decide, at most
ROUNDS = (25, 50)  # of these are looked at before it is asked whether more are needed; then all others
CERTAINTY = 4.0  # standard deviations of a share that is one half: where more than that is on one side, no more are
NUM_PHOTOGRAPHS = 16  # pictures that tell whether a set is one of photographs; large ones take a tenth of a second each
MIN_PHOTOGRAPH_SIDE = 64  # pixels; smaller pictures are icons, or thumbnails that show too little

TEST, UNUSED = SPLITS.index("test"), SPLITS.index("unused")


def choose_framing(sample: Iterable[Image.Image]) -> str:
    """Return ``ink`` where most pictures of a sample show one drawn character on an even background, else ``whole``.

    Of a large sample no more pictures are taken than are needed to be certain.
    """
    majority, ends = 0, [*accumulate(ROUNDS)]  # how many more are drawings than are not
    for number, picture in enumerate(sample, 1):
        majority += 1 if is_drawing(picture) else -1
        if number in ends and abs(majority) > CERTAINTY * sqrt(number):
            break
    return "ink" if majority > 0 else "whole"


def are_photographs(sample: Iterable[Image.Image]) -> bool:
    """Tell whether most pictures of a sample have `MIN_PHOTOGRAPH_SIDE` pixels or more a side, as photographs have."""
    found = [min(picture.size) >= MIN_PHOTOGRAPH_SIDE for picture in sample]
    return sum(found) > len(found) / 2


def array_sample(images: ReadyImages) -> Iterator[Image.Image]:
    """Yield some of many images, see `_rounds`."""
    return (Image.fromarray(images.rows([row])[0]) for rows in _rounds(len(images)) for row in rows)


def picture_sample(listing: Listing, most: int = SAMPLE_SIZE) -> Iterator[Image.Image]:
    """Yield some of the training pictures, see `_rounds`; those that cannot be read are passed over."""
    for_training = [row for row, one in enumerate(listing.pictures) if one.split != "test"]
    rows = for_training or range(len(listing.pictures))
    with without_warnings():
        for places in _rounds(len(rows), most):
            for content in listing.contents([rows[place] for place in places]):
                with suppress(PictureError):
                    if not isinstance(content, PictureError):
                        yield read_picture(content)


def _rounds(num_images: int, most: int = SAMPLE_SIZE) -> Iterator[list[int]]:
    """Yield the rows of a sample at equal distances: in each round rising ones, since archives are read in order."""
    left = _at_equal_distances(range(num_images), most)
    for size in (*ROUNDS, most):
        if left:
            yield (rows := _at_equal_distances(left, size))
            left = [row for row in left if row not in rows]


def _at_equal_distances(rows: Sequence[int], most: int) -> list[int]:
    places = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int)
    return [rows[place] for place in places.tolist()]


def leave_out_blank(split: NDArray[np.integer], faults: Mapping[int, str], sources: Sequence[str]) -> list[str]:
    """Mark training images without ink as unused; test images are kept, since `predict` would be asked about such.

    Args:
        split: Indices into `SPLITS`, ``(num_images,)``; changed.
        faults: What is wrong with some images, by their positions.
        sources: Where each image came from.

    Returns:
        A line for each kind of fault: how many images have it, and whether they are left out.
    """
    rows: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for row, fault in faults.items():
        rows[fault, fault in (BLANK, NOTHING) and split[row] != TEST].append(row)
    for (_, is_left_out), some in rows.items():
        split[some] = UNUSED if is_left_out else split[some]
    return [
        f"{plural(len(some), 'image')} {'left out' if is_left_out else 'kept'}: {fault}; the first is "
        f"{sources[some[0]]}"
        for (fault, is_left_out), some in rows.items()
    ]
