"""Splits an image set into training, validation and test images without leaks.

Images with the same pixels are in the same split, and each class is divided in the same proportion. The same images and
seed give the same split, in whatever order the images come.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .dataset import SPLITS, ImageSet, hash_numbers

TRAIN, VALIDATION, TEST, ALL, UNUSED = range(len(SPLITS))


def split_images(images: ImageSet, validation: float = 0.1, test: float = 0.2, seed: int = 0) -> ImageSet:
    """Decide which images are for training, for validation (choosing the best epoch), and for testing.

    Test and validation images that the source has marked so are kept; other images with the same pixels are not used.
    A set that is split already is returned as it is.

    Args:
        images: The set.
        validation: Share of the images that are not test images; at least one image of each class.
        test: Share of all images, for a set without marked test images; at least one image of each class.
        seed: Seed of the random choice.

    Returns:
        The same images with `split` decided.

    Raises:
        DataError: There are fewer than two classes, or too few different images of one.
    """
    _check_counts(images)

    # Keep the marked images; leave out others that equal one of them
    groups = _groups_of_equal_images(images)
    split = images.split.copy()
    split[split == ALL] = TRAIN
    for held_out, others in ((TEST, (TRAIN, VALIDATION)), (VALIDATION, (TRAIN,))):
        copies = np.isin(groups, groups[split == held_out]) & np.isin(split, others)
        split[copies] = UNUSED

    # Choose test and validation images where none are marked
    rng = np.random.default_rng(seed)
    has_validation = bool((split == VALIDATION).any())
    if not (split == TEST).any():
        _hold_out(images, split, groups, test, TEST, leave=1 if has_validation else 2, rng=rng)
    if not has_validation:
        _hold_out(images, split, groups, validation, VALIDATION, leave=1, rng=rng)

    # Each class must have training images left
    for label, class_name in enumerate(images.class_names):
        if not ((split == TRAIN) & (images.labels == label)).any():
            raise _too_few(images, class_name)
    return images if (split == images.split).all() else replace(images, split=split)


def _check_counts(images: ImageSet) -> None:
    """Raise `DataError` unless there are two classes or more, with enough images of each."""
    if len(images.class_names) < 2:
        only = f" ({images.class_names[0]!r})" if images.class_names else ""
        raise DataError(f"{images.name}: has {len(images.class_names)} class{only}; expected 2 or more")
    missing = [name for name, code in (("validation", VALIDATION), ("test", TEST)) if not (images.split == code).any()]
    undecided = images.labels[(images.split == TRAIN) | (images.split == ALL)]
    counts = np.bincount(undecided, minlength=len(images.class_names))
    smallest = int(counts.argmin())
    if counts[smallest] < 1 + len(missing):
        found = f"{counts[smallest]} image{'' if counts[smallest] == 1 else 's'}"
        raise DataError(
            f"{images.name}: class {images.class_names[smallest]!r} has {found} to train on ({len(images):,} images, "
            f"{len(images.class_names)} classes); expected {1 + len(missing)} or more of each class, "
            f"for {', '.join(['training', *missing])}"
        )


def _groups_of_equal_images(images: ImageSet) -> NDArray[np.int64]:
    """Return a number for each image, int64 ``(num_images,)``, the same for images with the same pixels.

    It comes from `hash_numbers`. Two different images with the same number would be in the same split, which does no
    harm.
    """
    _, groups = np.unique(hash_numbers(images.hashes), return_inverse=True)
    return groups.astype(np.int64)


def _hold_out(
    images: ImageSet,
    split: NDArray[np.uint8],
    groups: NDArray[np.int64],
    share: float,
    target: int,
    leave: int,
    rng: np.random.Generator,
) -> None:
    """Move a share of each class's training images to the split `target`, in whole groups of equal images.

    At least one group of each class is moved, and at least `leave` groups stay.
    """
    order = rng.permutation(images.in_content_order(np.flatnonzero(split == TRAIN)))
    for label, class_name in enumerate(images.class_names):
        candidates = groups[order[(images.labels[order] == label) & (split[order] == TRAIN)]]
        # The class's groups, in the order in which the permutation meets them
        numbers, first, sizes = np.unique(candidates, return_index=True, return_counts=True)
        in_turn = np.argsort(first)
        if len(numbers) <= leave:
            raise _too_few(images, class_name)
        # As many of them as come nearest to the share
        reached = np.cumsum(sizes[in_turn])
        nearest = int((reached - sizes[in_turn] / 2 <= share * len(candidates)).sum())
        chosen = numbers[in_turn[: min(max(nearest, 1), len(numbers) - leave)]]
        split[np.isin(groups, chosen) & (split == TRAIN)] = target


def _too_few(images: ImageSet, class_name: str) -> DataError:
    return DataError(
        f"{images.name}: class {class_name!r} has too few different images: none would be left for training, beside "
        f"those for validation and test; add some"
    )
