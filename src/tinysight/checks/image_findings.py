"""Findings on the images of a set: copies, contradicting labels, blank ones, classes and their balance."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.cache import release_pages, row_slices
from ..data.dataset import SPLITS, ImageSet, hash_numbers
from ..data.kept_together import connected_components
from ..wording import listed, plural
from .findings import Finding

BLANK_RANGE = 8  # grey levels from the darkest to the lightest pixel
UNBALANCED = 4.0  # times as many images in the largest class as in the smallest
COARSE_STEP = 8  # pixels between those that are looked at first
MAX_SHOWN = 4  # images of one set of copies in a line
SEPARATORS = str.maketrans("", "", " _-.")
TEST_SHARE = 0.2  # of a split at random, to which the number of near-duplicates on both sides is given

Groups = list[NDArray[np.int64]]


def class_findings(images: ImageSet) -> Iterator[Finding]:
    """Yield what the classes' names and sizes say."""
    alike = defaultdict(list)
    for name in images.class_names:
        alike[_bare(name)].append(name)
    if doubtful := tuple(" / ".join(map(repr, names)) for names in alike.values() if len(names) > 1):
        message = f"{plural(len(doubtful), 'class', 'classes')} under several names (case, spacing or accents differ)"
        yield Finding("class_names", message, doubtful)
    counts = class_counts(images)
    totals = counts.sum(axis=1)
    if len(totals) > 1 and totals.max() >= UNBALANCED * totals.min():
        most, least = (images.class_names[int(place)] for place in (totals.argmax(), totals.argmin()))
        share = totals.max() / totals.sum()
        message = (
            f"unbalanced classes: always answering {most!r} would be right for {100 * share:.2f} % of the images; "
            "see --class-weight balanced"
        )
        yield Finding("unbalanced", message, (f"{most}: {totals.max():,} images", f"{least}: {totals.min():,} images"))
    for split in ("train", "validation", "test"):
        column = counts[:, SPLITS.index(split)]
        if column.any() and not column.all() and (split != "train" or not counts[:, SPLITS.index("all")].any()):
            missing = tuple(images.class_names[place] for place in np.flatnonzero(column == 0))
            message = f"{plural(len(missing), 'class', 'classes')} without {split} images"
            yield Finding(f"no_{split}_images", message, missing)


def _bare(name: str) -> str:
    """Return a class's name without case, spaces, hyphens and accents."""
    letters = unicodedata.normalize("NFKD", name)
    return "".join(one for one in letters if not unicodedata.combining(one)).casefold().translate(SEPARATORS) or name


def class_counts(images: ImageSet) -> NDArray[np.int64]:
    """Return the number of images, int64 ``(num_classes, len(SPLITS))``."""
    places = images.labels * len(SPLITS) + images.split
    return np.bincount(places, minlength=len(images.class_names) * len(SPLITS)).reshape(-1, len(SPLITS))


def pixel_findings(images: ImageSet) -> Iterator[Finding]:
    """Yield which images are blank, and whether some have colour and others not."""
    is_blank, is_grey = facts = np.zeros((2, len(images)), bool)
    for some in row_slices(images.images):
        pixels = images.images[some]
        found = _blank_and_grey(pixels[:, ::COARSE_STEP, ::COARSE_STEP])
        unsure = found.any(axis=0)  # most images are told by these few pixels
        found[:, unsure] = _blank_and_grey(pixels[unsure])
        facts[:, some] = found
        release_pages(images.images)
    yield from _of_rows(images, "blank", np.flatnonzero(is_blank), "blank: nearly one colour")
    if images.images.ndim == 4 and is_grey.any() and not is_grey.all():
        is_few = is_grey.mean() > 0.5
        rows = np.flatnonzero(~is_grey if is_few else is_grey)
        yield from _of_rows(images, "mixed_colour", rows, f"{'in colour' if is_few else 'grey'}, unlike the others")


def _blank_and_grey(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which images are nearly of one colour, and which of those with channels are grey: ``(2, num_images)``."""
    axes = tuple(range(1, pixels.ndim))
    is_blank = pixels.max(axis=axes) - pixels.min(axis=axes) < BLANK_RANGE
    has_channels = pixels.ndim == 4
    is_grey = (pixels[..., :1] == pixels[..., 1:]).all(axis=axes) if has_channels else np.zeros(len(pixels), bool)
    return np.stack([is_blank, is_grey])


def _of_rows(images: ImageSet, kind: str, rows: NDArray[np.int64], what: str) -> Iterator[Finding]:
    if len(rows):
        items = tuple(images.sources[int(row)] for row in rows)
        yield Finding(kind, f"{plural(len(rows), 'image')} {what}", items, tuple((int(row),) for row in rows))


def equal_images(images: ImageSet) -> Groups:
    """Return the positions of the images of each set of equal ones."""
    return _grouped(np.unique(hash_numbers(images.hashes), return_inverse=True)[1])


def near_duplicates(images: ImageSet, pairs: NDArray[np.int64]) -> Groups:
    """Return the positions of the images of each set of near-duplicates that are not all equal.

    Args:
        images: The set.
        pairs: int64 ``(num_pairs, 2)``, positions of images that are copies.
    """
    numbers = hash_numbers(images.hashes)
    return [
        group for group in _grouped(connected_components(len(images), pairs)) if len(set(numbers[group].tolist())) > 1
    ]


def _grouped(numbers: NDArray[np.int64]) -> Groups:
    """Return the positions of each number that occurs more than once, in the order of their first ones."""
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    groups = [group for group in np.split(order, ends) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def contradiction_finding(
    images: ImageSet, groups: Groups, kind: str = "two_labels", like: str = ""
) -> Iterator[Finding]:
    """Yield which sets of copies have more than one label.

    Args:
        images: The set.
        groups: Positions of copies.
        kind: The finding's.
        like: ``nearly`` if the copies are not equal.
    """
    chosen = [group for group in groups if len(set(images.labels[group].tolist())) > 1]
    if chosen:
        message = f"{plural(len(chosen), 'picture is', 'pictures are')} {like}in more than one class"
        yield _of_groups(images, chosen, kind, message)


def copies_findings(images: ImageSet, groups: Groups, kind: str, what: str) -> Iterator[Finding]:
    """Yield how many images have copies, within and across splits.

    Args:
        images: The set, as it was loaded.
        groups: Positions of copies.
        kind: ``duplicates`` or ``near_duplicates``.
        what: What the copies are in words.
    """
    held_out = np.isin(images.split, [SPLITS.index("test"), SPLITS.index("validation")])
    across = [group for group in groups if held_out[group].any() and len(set(images.split[group].tolist())) > 1]
    if across:
        count = sum(int(held_out[group].sum()) for group in across)
        images_are = plural(count, "test or validation image is", "test or validation images are")
        message = f"{images_are} {what} of images in another split"
        yield _of_groups(images, across, f"{kind}_across_splits", message)
    others = [group for group in groups if len(set(images.split[group].tolist())) == 1]
    if others:
        count = sum(len(group) for group in others)
        message = f"{plural(count, 'image is', 'images are')} {what} of one another, in {plural(len(others), 'set')}"
        if is_open := [group for group in others if images.split[group[0]] == SPLITS.index("all")]:
            sizes = np.array([len(group) for group in is_open], np.float64)
            straddling = float((1 - TEST_SHARE**sizes - (1 - TEST_SHARE) ** sizes).sum())
            if straddling >= 0.5:
                both = f"about {straddling:.0f} of these sets"
                message += f"; a split at random would put {both} on both sides, train keeps each on one"
        yield _of_groups(images, others, kind, message)


def _of_groups(images: ImageSet, groups: Groups, kind: str, message: str) -> Finding:
    items = tuple(_written(images, group) for group in groups)
    return Finding(kind, message, items, tuple(tuple(map(int, group[:MAX_SHOWN])) for group in groups))


def _written(images: ImageSet, group: NDArray[np.int64]) -> str:
    names = [images.sources[int(row)] for row in group[:MAX_SHOWN]]
    more = f" = … ({len(group)} in all)" if len(group) > MAX_SHOWN else ""
    return " = ".join(names) + more


def quick_lines(findings: Sequence[Finding]) -> list[str]:
    """Return findings as lines, each with its first items."""
    return [f"{one.message}: {listed(one.items)}" if one.items else one.message for one in findings]
