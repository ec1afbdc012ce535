"""Frames arrays of images into the cache, as pictures would be."""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from ..escapes import printable
from ..preprocessing.decode import read_picture
from ..preprocessing.framing import Framing, frame_pictures
from . import cache
from .array_forms import ReadyImages, label_indices, label_values, ready_images
from .cache import release_pages
from .dataset import SPLITS, ImageSet, Progress, RowSources
from .framing_choice import array_sample, choose_framing, leave_out_blank
from .sources import ArraySource
from .stored_sets import Stored, open_cached, open_stored, store
from .wanted import Wanted


def load_arrays(source: ArraySource, wanted: Wanted, listed_name: str, progress: Progress | None) -> ImageSet:
    """Load arrays, framed as pictures are; images keep their size unless another is wanted.

    Raises:
        DataError: They cannot be read, or are no labelled images.
    """
    key = cache.fingerprint("arrays", source.key, source.framing, source.is_framed, asdict(wanted))
    if (cached := open_cached(key, source.name)) is not None:
        return cached

    # Read and check all splits
    splits, named, notes = source.read()
    images, more_notes = ready_images(splits, source.name)
    called = [source.name if one.split == "all" else f"{source.name}: {one.split}" for one in splits]
    values = [label_values(one.labels, len(one.images), name) for one, name in zip(splits, called, strict=True)]
    labels, class_names = label_indices(values, named, source.name)
    framing = wanted.like or _framing(source, wanted, images)

    # Frame them into the cache, then store what belongs to them
    images_shape = (len(labels), *framing.image_shape)
    with cache.building(key, images_shape, listed_name) as entry:
        rows = cache.writable_images(entry.folder, images_shape)
        faults = _frame_into(rows, images, framing, source.is_framed, progress)
        del rows
        codes = np.repeat([SPLITS.index(one.split) for one in splits], [len(one.images) for one in splits])
        sources = [(one.source, len(one.images)) for one in splits]
        left_out = [] if wanted.like else leave_out_blank(codes, faults, RowSources(sources))
        names = [printable(name) for name in class_names]
        all_notes = [*notes, *more_notes, *left_out]
        store(entry.folder, Stored(labels, codes.astype(np.uint8), names, framing, sources, notes=all_notes))
    return open_stored(entry.folder, source.name)


def _framing(source: ArraySource, wanted: Wanted, images: list[ReadyImages]) -> Framing:
    """Return how images are framed: as their authors did, as it is wanted, or as some of them suggest."""
    height, width, *channels = images[0].image_shape
    method = wanted.framing or source.framing or choose_framing(array_sample(images[0]))
    size = wanted.image_size or (height, width)
    return Framing(method, *size, wanted.channels or (3 if channels else 1))


def _frame_into(
    rows: NDArray[np.uint8], images: list[ReadyImages], framing: Framing, is_framed: bool, progress: Progress | None
) -> dict[int, str]:
    """Write the images of all splits, framed as prediction would frame their pictures, one after the other.

    Returns:
        What is wrong with some, by their positions.
    """
    start, faults = 0, {}
    keeps = is_framed or framing.method == "whole"
    for split in images:
        for chunk in split.slices():
            some = split.rows(chunk)
            if some.shape[1:] != framing.image_shape or not keeps:
                framed = frame_pictures(map(read_picture, some), framing)
                faults.update({start + row: one.fault for row, one in enumerate(framed) if one.fault})
                some = np.stack([one.pixels for one in framed])
            rows[start : start + len(some)] = some
            start += len(some)
            if progress:
                progress("framing images", start, len(rows))
            split.release()
            release_pages(rows)
    return faults
