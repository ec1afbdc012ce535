"""Decodes labelled pictures into the cache, as a classifier's input."""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..preprocessing import DEFAULT_IMAGE_SIZE
from ..preprocessing.framing import Framing
from . import cache
from .cache import Entry, release_pages, row_slices
from .class_names import in_order
from .dataset import SPLITS, ImageSet, Progress
from .decoding import Decoded, Decoder, decode_pictures
from .framing_choice import NUM_PHOTOGRAPHS, are_photographs, choose_framing, leave_out_blank, picture_sample
from .groups import group_numbers
from .journal import Journal
from .listing import Listing
from .stored_sets import Stored, open_cached, open_stored, store
from .wanted import Wanted

JOURNAL_FILE = "journal.jsonl"


def load_pictures(listing: Listing, name: str, wanted: Wanted, listed_name: str, progress: Progress | None) -> ImageSet:
    """Load labelled pictures.

    Unless it is said how many channels are wanted, they are stored in grey where no picture has any colour.

    Args:
        listing: The pictures.
        name: What the user calls them.
        wanted: How the user wants them to be framed.
        listed_name: What `tinysight cache list` calls them.
        progress: Called while they are read.

    Raises:
        DataError: None of them can be read.
    """
    wanted, method = _settled(listing, name, wanted)
    key = _key(listing, wanted)
    if (cached := open_cached(key, name)) is None:
        cached = _decode(listing, key, name, replace(wanted, framing=method), listed_name, progress)
    skipped, unreadable = (*listing.notes, *cached.skipped), (*listing.problems, *cached.unreadable)
    return replace(cached, skipped=skipped, unreadable=unreadable)


def _key(listing: Listing, wanted: Wanted) -> str:
    return cache.fingerprint("pictures", listing.key, asdict(wanted))


def _settled(listing: Listing, name: str, wanted: Wanted) -> tuple[Wanted, str | None]:
    """Return what is wanted, less the size of photographs where there are none: one cached set then serves everyone.

    Returns:
        That, and the method of framing if it is known.
    """
    if not wanted.photograph_size or open_cached(_key(listing, wanted), name):
        return wanted, wanted.framing
    without = replace(wanted, photograph_size=None)
    cached = open_cached(_key(listing, without), name)
    if (cached and cached.framing.method == "ink") or not are_photographs(picture_sample(listing, NUM_PHOTOGRAPHS)):
        return without, wanted.framing
    method = wanted.framing or choose_framing(picture_sample(listing))
    return (wanted if method == "whole" else without), method


def _decode(
    listing: Listing, key: str, name: str, wanted: Wanted, listed_name: str, progress: Progress | None
) -> ImageSet:
    framing, channels = _framing(listing, wanted)
    num_pictures = len(listing.pictures)
    shape = (num_pictures, *replace(framing, channels=channels).image_shape)
    has_whole = framing.method != "whole" and not wanted.like  # with a classifier's framing nothing is split
    with cache.building(key, shape, listed_name, has_whole=has_whole) as entry:
        # Decode each picture into its row; begin again if one has colour and that was not expected
        journal = Journal(entry.folder / JOURNAL_FILE)
        report = progress or (lambda *_: None)

        def decode(framing: Framing, stops_at_colour: bool) -> Decoded:
            return _decode_rows(
                listing, framing, stops_at_colour, entry, journal,
                lambda done: report("reading pictures", done, num_pictures),
            )  # fmt: skip

        is_open = channels != framing.channels
        decoded = decode(framing, True) if is_open and journal.channels != channels else Decoded(has_colour=True)
        if is_open and decoded.has_colour:
            framing = replace(framing, channels=channels)
            decoded = decode(framing, False)
        elif not is_open:
            decoded = decode(framing, False)
        journal.remove()

        # Keep the rows that could be read, and store what belongs to them
        good = np.setdiff1d(np.arange(num_pictures), list(decoded.problems))
        problems = [decoded.problems[row] for row in sorted(decoded.problems)]
        if not len(good):
            raise DataError(f"{name}: none of its {num_pictures} pictures can be read; the first: {problems[0]}")
        for images in _writable(entry.folder, (num_pictures, *framing.image_shape)):
            if images is not None:
                _move_to_front(images, good)
        store(entry.folder, _about(listing, good, framing, decoded, problems, bool(wanted.like)))
    return open_stored(entry.folder, name)


def _framing(listing: Listing, wanted: Wanted) -> tuple[Framing, int]:
    """Return how pictures are framed, and the number of channels if one of them has colour."""
    if wanted.like:
        return wanted.like, wanted.like.channels
    method = wanted.framing or choose_framing(picture_sample(listing))
    large = wanted.photograph_size if method == "whole" else None
    framing = Framing(method, *(wanted.image_size or large or DEFAULT_IMAGE_SIZE), wanted.channels or 1)
    return framing, wanted.channels or (3 if method == "whole" else 1)


def _decode_rows(
    listing: Listing, framing: Framing, stops_at_colour: bool, entry: Entry, journal: Journal,
    progress: Callable[[int], None],
) -> Decoded:  # fmt: skip
    pictures = listing.pictures
    images, whole = _writable(entry.folder, (len(pictures), *framing.image_shape))
    journal.begin(framing.channels)
    entry.is_resumable = True

    def name_of(row: int) -> str:
        return os.path.join(listing.root, pictures[row].name)  # noqa: PTH118

    decoder = Decoder(images, framing, stops_at_colour, name_of, whole)
    return decode_pictures(listing.contents, len(pictures), decoder, journal, progress)


def _writable(folder: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Map the images, and those of the pictures whole if there are any, to be filled."""
    has_whole = (folder / cache.WHOLE_FILE).exists()
    whole = cache.writable_images(folder, shape[:3], cache.WHOLE_FILE) if has_whole else None
    return cache.writable_images(folder, shape), whole


def _move_to_front(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
    """Move rows, in rising order, to the beginning of an array: none is overwritten before it has been copied."""
    if len(rows) == len(images):
        return
    for chunk in row_slices(images[: len(rows)]):
        images[chunk] = images[rows[chunk]]
        release_pages(images)


def _about(
    listing: Listing, good: NDArray[np.int64], framing: Framing, decoded: Decoded, problems: list[str], is_like: bool
) -> Stored:
    """Return what belongs to the images of the pictures that could be read."""
    kept = [listing.pictures[row] for row in good]
    class_names = in_order(one.class_name for one in kept)
    index_of_class = {class_name: index for index, class_name in enumerate(class_names)}
    labels = np.array([index_of_class[one.class_name] for one in kept], np.int64)
    codes = np.array([SPLITS.index(one.split) for one in kept], np.uint8)
    names = [one.name for one in kept]
    places = np.searchsorted(good, list(decoded.faults)).tolist()  # only pictures that could be read have faults
    faults = dict(zip(places, decoded.faults.values(), strict=True))
    notes = [] if is_like else leave_out_blank(codes, faults, names)
    groups = group_numbers(one.group for one in kept) if any(one.group for one in kept) else None
    return Stored(labels, codes, class_names, framing, names, groups, problems, notes)
