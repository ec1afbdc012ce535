"""Divides an image set into folds for cross-validation: each is the test set of one training."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .dataset import ImageSet
from .groups import groups_by_pattern
from .hashed_choice import random_shares
from .splits import FOR_FOLDS, TEST, UNUSED, TooFewImagesError, split_together, without_near_duplicates_if_too_few


def split_into_folds(
    images: ImageSet, folds: int, validation: float = 0.1, seed: int = 0, group: str = ""
) -> list[ImageSet]:
    """Split a set once for each fold, which is then the test set; each image is in one fold.

    Images that stay together, see `split_images`, are in one fold. Each class is divided evenly.

    Args:
        images: A set without test and validation images of its own.
        folds: Number of folds, 2 or more.
        validation: Share of the other folds' images that chooses the best epoch; at least one image of each class.
        seed: Seed of the random choice.
        group: Regular expression for groups, as for `split_images`.

    Returns:
        The same images with `split` decided, once for each fold.

    Raises:
        DataError: The set has test or validation images of its own, or too few different images of a class.
        SettingsError: `group` is no regular expression, or finds nothing.
    """
    for name in ("test", "validation"):
        if num_images := len(images.indices(name)):
            raise DataError(
                f"{images.name}: has {num_images:,} {name} images of its own; cross-validation is for sets without: "
                "leave out --folds"
            )
    near_duplicates = images.near_duplicates
    if group:
        images = replace(images, groups=groups_by_pattern(images.sources, group))
    return without_near_duplicates_if_too_few(
        images, near_duplicates, lambda together: _each_fold(images, together, folds, validation, seed)
    )


def _each_fold(
    images: ImageSet, together: NDArray[np.uint64], folds: int, validation: float, seed: int
) -> list[ImageSet]:
    fold_of = assign_folds(images, together, folds, seed)
    by_fold = [np.where(fold_of == fold, TEST, images.split).astype(np.uint8) for fold in range(folds)]
    if empty := [fold for fold, split in enumerate(by_fold) if not (split == TEST).any()]:
        raise TooFewImagesError(
            f"{images.name}: has too few different images for {folds} folds; expected {folds - len(empty)} at most"
        )
    return [split_together(replace(images, split=split), together, validation, 0, seed) for split in by_fold]


def assign_folds(images: ImageSet, together: NDArray[np.uint64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each image, int64 ``(num_images,)``; −1 for one that is not used.

    The largest sets of images that stay together come first, equal ones in random order. Each goes to the fold that has
    least of its classes, and among these to the fold with the fewest images.
    """
    used = np.flatnonzero(images.split != UNUSED)
    numbers, sets, sizes = np.unique(together[used], return_inverse=True, return_counts=True)
    pairs, counts = np.unique(sets * len(images.class_names) + images.labels[used], return_counts=True)
    labels = pairs % len(images.class_names)
    starts = np.searchsorted(pairs, np.arange(len(numbers) + 1) * len(images.class_names))
    class_sizes = np.bincount(images.labels[used], minlength=len(images.class_names))
    held, totals = np.zeros((folds, len(images.class_names))), np.zeros(folds)
    found = np.empty(len(numbers), np.int64)
    for one in np.lexsort((random_shares(numbers, seed, FOR_FOLDS), -sizes)).tolist():
        pair = slice(starts[one], starts[one + 1])
        shares = (held[:, labels[pair]] / class_sizes[labels[pair]]).max(axis=1)
        fold = int(np.lexsort((totals, shares))[0])
        held[fold, labels[pair]] += counts[pair]
        totals[fold] += sizes[one]
        found[one] = fold
    folds_of_images = np.full(len(images), -1, np.int64)
    folds_of_images[used] = found[sets]
    return folds_of_images
