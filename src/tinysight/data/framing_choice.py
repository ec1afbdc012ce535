"""Chooses the framing of a set of images from some of them, tells photographs, and leaves out images without ink."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

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

SAMPLE_SIZE = 200  # images that decide; they take about a second
MIN_DRAWINGS = 0.5  # of the sample
NUM_PHOTOGRAPHS = 16  # pictures that tell whether a set is one of photographs; large ones take a tenth of a second each
MIN_PHOTOGRAPH_SIDE = 64  # pixels; smaller pictures are icons, or thumbnails that show too little

TEST, UNUSED = SPLITS.index("test"), SPLITS.index("unused")


def choose_framing(sample: Iterable[Image.Image]) -> str:
    """Return ``ink`` where most pictures of a sample show one drawn character on an even background, else ``whole``."""
    found = [is_drawing(np.asarray(picture.convert("L"))) for picture in sample]
    return "ink" if sum(found) > MIN_DRAWINGS * len(found) else "whole"


def are_photographs(sample: Iterable[Image.Image]) -> bool:
    """Tell whether most of a sample, which are no drawings, have `MIN_PHOTOGRAPH_SIDE` pixels or more a side."""
    found = [min(picture.size) >= MIN_PHOTOGRAPH_SIDE for picture in sample]
    return sum(found) > len(found) / 2


def array_sample(images: ReadyImages) -> Iterator[Image.Image]:
    """Yield some of many images, at equal distances."""
    return (Image.fromarray(images.rows([row])[0]) for row in _sample(len(images)))


def picture_sample(listing: Listing, most: int = SAMPLE_SIZE) -> Iterator[Image.Image]:
    """Yield some of the training pictures, at equal distances; those that cannot be read are passed over."""
    for_training = [row for row, one in enumerate(listing.pictures) if one.split != "test"]
    rows = for_training or range(len(listing.pictures))
    with without_warnings():
        for content in listing.contents([rows[place] for place in _sample(len(rows), most)]):
            with suppress(PictureError):
                if not isinstance(content, PictureError):
                    yield read_picture(content)


def _sample(num_images: int, most: int = SAMPLE_SIZE) -> list[int]:
    rows = np.linspace(0, num_images - 1, min(num_images, most)).round().astype(int)
    return [int(row) for row in rows]


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
