"""Splits an image set into training, validation and test images without leaks.

Images that are equal, near-duplicates or of one group stay in one split. Where such a set of images goes follows from a
hash of it and the seed. So the same images give the same split in whatever order they come, and new images move no old
ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..wording import listed, plural
from .dataset import SPLITS, ImageSet, hash_numbers
from .groups import NO_GROUP, groups_by_pattern
from .hashed_choice import TooFewSetsError, choose_sets, random_shares
from .kept_together import kept_together
from .scarce_classes import hold_out_of_pairs

TRAIN, VALIDATION, TEST, ALL, UNUSED = range(len(SPLITS))
NO_PAIRS = np.empty((0, 2), np.int64)
FOR_VALIDATION, FOR_TEST, FOR_FOLDS = range(3)  # purposes of `random_shares`
MAX_NAMES = 5  # in a message
Divided = TypeVar("Divided")


class TooFewImagesError(DataError):
    """A class has too few sets of images that stay together."""


def split_images(
    images: ImageSet, validation: float = 0.1, test: float = 0.2, seed: int = 0, group: str = ""
) -> ImageSet:
    """Decide which images are for training, for validation (choosing the best epoch), and for testing.

    Test and validation images that the source has marked so are kept; equal images and near-duplicates of them are not
    used. A set that is split already is returned as it is, less equal images.

    Args:
        images: The set.
        validation: Share of the images that are not test images; at least one image of each class.
        test: Share of all images, for a set without marked test images; at least one image of each class. 0: none.
        seed: Seed of the random choice.
        group: Regular expression that finds the groups in `images.sources`, see `groups_by_pattern`; these groups
            replace the set's own.

    Returns:
        The same images with `split` decided. A class of two images, or of two sets of images that stay together, has
        one to train on and the other to test or to validate.

    Raises:
        DataError: There are fewer than two classes, or too few different images of one.
        SettingsError: `group` is no regular expression, or finds nothing.
    """
    near_duplicates = images.near_duplicates if missing_splits(images, test) else NO_PAIRS
    if group:
        images = replace(images, groups=groups_by_pattern(images.sources, group))
    try:
        return without_near_duplicates_if_too_few(
            near_duplicates, lambda pairs: split_together(images, pairs, validation, test, seed)
        )
    except TooFewImagesError as error:
        found = _split_with_pairs(images, kept_together(images, near_duplicates), validation, test, seed)
        if found is None:
            raise error from None
        return found


def without_near_duplicates_if_too_few(
    near_duplicates: NDArray[np.int64], divide: Callable[[NDArray[np.int64]], Divided]
) -> Divided:
    """Divide images with near-duplicates kept together; if that is impossible, without.

    Very simple pictures may all be near-duplicates of one another, by way of others. `find_leaks` then counts those
    that training has seen.

    Args:
        near_duplicates: The pairs of near-duplicates.
        divide: Called with the pairs that count.

    Raises:
        DataError: There are too few images without near-duplicates, too.
    """
    try:
        return divide(near_duplicates)
    except TooFewImagesError:
        if not len(near_duplicates):
            raise
        return divide(NO_PAIRS)


def split_together(
    images: ImageSet, near_duplicates: NDArray[np.int64], validation: float, test: float, seed: int
) -> ImageSet:
    """Do what `split_images` does, where the pairs of near-duplicates are known already.

    Args:
        images: The set.
        near_duplicates: Positions in the set, int64 ``(num_pairs, 2)``.
        validation: As for `split_images`.
        test: Likewise.
        seed: Likewise.

    Raises:
        DataError: There are fewer than two classes, or too few different images of one.
    """
    missing = missing_splits(images, test)
    _check_counts(images, missing)

    # Keep the marked images; leave out copies of them
    split = images.split.copy()
    split[split == ALL] = TRAIN
    numbers = hash_numbers(images.hashes)
    for held_out, others in ((TEST, (TRAIN, VALIDATION)), (VALIDATION, (TRAIN,))):
        copies = np.isin(numbers, numbers[split == held_out]) | has_pair_in(near_duplicates, split == held_out)
        split[copies & np.isin(split, others)] = UNUSED

    # Choose test and validation images where none are marked
    together = kept_together(images, near_duplicates) if missing_splits(images, test) else numbers
    _hold_out_missing(images, split, split == TRAIN, together, {"validation": validation, "test": test}, seed)
    _check_training(images, split)
    return images if (split == images.split).all() else replace(images, split=split)


def has_pair_in(pairs: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of each image whether it is in a pair with a chosen one, bool ``(num_images,)`` as `chosen`."""
    found = np.zeros(len(chosen), np.bool_)
    for one, other in (pairs.T, pairs.T[::-1]):
        found[one[chosen[other]]] = True
    return found


def _split_with_pairs(
    images: ImageSet, together: NDArray[np.uint64], validation: float, test: float, seed: int
) -> ImageSet | None:
    """Split a set in which some classes have two sets of images only; None where that is not why it cannot be split."""
    if missing_splits(images, test) != ["test", "validation"]:
        return None
    split = np.where(images.split == ALL, TRAIN, images.split).astype(np.uint8)
    used = np.flatnonzero(split == TRAIN)
    found = hold_out_of_pairs(images.labels[used], together[used], random_shares(together[used], seed, FOR_TEST))
    of_pairs, for_test, for_validation = (used[rows] for rows in found)
    split[for_test], split[for_validation] = TEST, VALIDATION
    is_candidate = split == TRAIN
    is_candidate[of_pairs] = False
    try:
        _hold_out_missing(images, split, is_candidate, together, {"validation": validation, "test": test}, seed)
    except TooFewImagesError:
        return None
    counts = np.bincount(split, minlength=len(SPLITS))
    return replace(images, split=split) if counts[TEST] and counts[VALIDATION] else None


def _hold_out_missing(
    images: ImageSet,
    split: NDArray[np.uint8],
    is_candidate: NDArray[np.bool_],
    together: NDArray[np.uint64],
    shares: Mapping[str, float],
    seed: int,
) -> None:
    """Choose test and validation images among the candidates, where none are marked."""
    missing = missing_splits(images, shares["test"])
    for number, name in enumerate(missing, start=1):
        draws = random_shares(together, seed, FOR_TEST if name == "test" else FOR_VALIDATION)
        leave, rows = 1 + len(missing) - number, np.flatnonzero(is_candidate & (split == TRAIN))
        if len(rows):
            split[_chosen_rows(images, rows, together, draws, shares[name], leave)] = SPLITS.index(name)


def missing_splits(images: ImageSet, test: float) -> list[str]:
    """Return which of test and validation are to be chosen, since no image is marked so; no test with a share of 0."""
    wanted = ("test", "validation") if test else ("validation",)
    return [name for name in wanted if not len(images.indices(name))]


def _chosen_rows(
    images: ImageSet,
    rows: NDArray[np.int64],
    together: NDArray[np.uint64],
    draws: NDArray[np.float64],
    share: float,
    leave: int,
) -> NDArray[np.int64]:
    """Return a share of the rows, where images that are kept together are chosen together."""
    _, first, sets = np.unique(together[rows], return_index=True, return_inverse=True)
    classes, labels = np.unique(images.labels[rows], return_inverse=True)
    try:
        chosen = choose_sets(labels, sets, draws[rows[first]], share, leave)
    except TooFewSetsError as error:
        raise TooFewImagesError(_too_few(images, int(classes[error.label]), error.num_sets, leave + 1)) from None
    return rows[chosen[sets]]


def _too_few(images: ImageSet, label: int, num_sets: int, needed: int) -> str:
    has_groups = images.groups is not None and (images.groups != NO_GROUP).any()
    kinds = "equal, nearly equal or of one group" if has_groups else "equal or nearly equal"
    advice = "add some, or group by something smaller" if has_groups else "add some"
    return (
        f"{images.name}: class {images.class_names[label]!r} has {num_sets} different image{'s' * (num_sets != 1)} to "
        f"divide (images that are {kinds} stay together); expected {needed} or more, one for each split; {advice}"
    )


def _check_counts(images: ImageSet, missing: list[str]) -> None:
    """Raise `DataError` unless there are two classes or more, with enough images of each for the missing splits."""
    if len(images.class_names) < 2:
        only = f" ({images.class_names[0]!r})" if images.class_names else ""
        raise DataError(f"{images.name}: has {len(images.class_names)} class{only}; expected 2 or more")
    num_classes = len(images.class_names)
    undecided = images.labels[(images.split == TRAIN) | (images.split == ALL)]
    counts = np.bincount(undecided, minlength=num_classes)
    held_out = np.bincount(images.labels[(images.split == TEST) | (images.split == VALIDATION)], minlength=num_classes)
    if unknown := np.flatnonzero((counts == 0) & (held_out > 0)).tolist():
        names = _names(images, unknown)
        only_trained = _names(images, np.flatnonzero((counts > 0) & (held_out == 0)).tolist())
        hint = f" (only training has {only_trained})" if only_trained else ""
        raise DataError(
            f"{images.name}: no images to train on of {names}, which validation or test has{hint}; classes are the "
            "same only if their names are: rename or remove some"
        )
    smallest = int(counts.argmin())
    if counts[smallest] < 1 + len(missing):
        found = plural(counts[smallest], "image")
        raise TooFewImagesError(
            f"{images.name}: class {images.class_names[smallest]!r} has {found} to train on ({len(images):,} images, "
            f"{num_classes} classes); expected {1 + len(missing)} or more of each class, "
            f"for {', '.join(['training', *missing[::-1]])}"
        )


def _names(images: ImageSet, labels: list[int]) -> str:
    return listed([repr(images.class_names[label]) for label in labels], MAX_NAMES)


def _check_training(images: ImageSet, split: NDArray[np.uint8]) -> None:
    """Raise `TooFewImagesError` unless each class has training images left."""
    counts = np.bincount(images.labels[split == TRAIN], minlength=len(images.class_names))
    if empty := np.flatnonzero(counts == 0).tolist():
        raise TooFewImagesError(
            f"{images.name}: no images to train on are left of {_names(images, empty)}: all equal validation or test "
            "images; add others"
        )


class Leaks(NamedTuple):
    """Training and validation images that are like test images.

    Attributes:
        num_near_duplicates: Number of training and validation images that are near-duplicates of test images.
        num_in_groups: Number of those in a group that test images are in.
    """

    num_near_duplicates: int
    num_in_groups: int


def find_leaks(images: ImageSet, loaded: ImageSet) -> Leaks:
    """Count what test images share with others: where the source has marked all splits, or a class has few images.

    Args:
        images: The set as `split_images` returned it.
        loaded: The set given to it.
    """
    is_test = images.split == TEST
    is_seen = (images.split == TRAIN) | (images.split == VALIDATION)
    near = has_pair_in(loaded.near_duplicates, is_test)
    in_groups = np.zeros(len(images), np.bool_)
    if images.groups is not None:
        in_groups = np.isin(images.groups, images.groups[is_test]) & (images.groups != NO_GROUP)
    return Leaks(int((near & is_seen).sum()), int((in_groups & is_seen).sum()))
