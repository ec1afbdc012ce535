"""Parts an image set into training, validation and test images that do not leak; does not know models.

Images with the same pixels go to the same side, and each class is parted in the same proportion.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .dataset import SPLITS, ImageSet

TRAIN, VALIDATION, TEST, ALL, UNUSED = range(len(SPLITS))


def split_images(images: ImageSet, validation: float = 0.1, test: float = 0.2, seed: int = 0) -> ImageSet:
    """Decide for each image whether it trains, chooses the best epoch, or tests.

    Test images that the source brought stay test images; so do validation images. Other images with the pixels of one
    of those are not used. A set that is split already is returned as it is.

    Args:
        images: The set.
        validation: Share of the images that are not test images, at least one a class.
        test: Share of all images of a set without test images of its own, at least one a class.
        seed: Start of the random choice.

    Returns:
        The same images with `split` decided.

    Raises:
        DataError: There are fewer than two classes, or too few different images of one.
    """
    _check_counts(images)
    groups = _groups_of_equal_images(images)
    split = images.split.copy()
    split[split == ALL] = TRAIN
    for held_out, others in ((TEST, (TRAIN, VALIDATION)), (VALIDATION, (TRAIN,))):
        copies = np.isin(groups, groups[split == held_out]) & np.isin(split, others)
        split[copies] = UNUSED
    rng = np.random.default_rng(seed)
    brings_validation = bool((split == VALIDATION).any())
    if not (split == TEST).any():
        _hold_out(images, split, groups, test, TEST, leave=1 if brings_validation else 2, rng=rng)
    if not brings_validation:
        _hold_out(images, split, groups, validation, VALIDATION, leave=1, rng=rng)
    for class_name, label in zip(images.class_names, range(len(images.class_names)), strict=True):
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
    poorest = int(counts.argmin())
    if counts[poorest] < 1 + len(missing):
        found = f"{counts[poorest]} image{'' if counts[poorest] == 1 else 's'}"
        raise DataError(
            f"{images.name}: class {images.class_names[poorest]!r} has {found} to train on ({len(images):,} images, "
            f"{len(images.class_names)} classes); expected {1 + len(missing)} or more of each class, "
            f"for {', '.join(['training', *missing])}"
        )


def _groups_of_equal_images(images: ImageSet) -> NDArray[np.int64]:
    """Number the images so that equal pixels have equal numbers.

    The first 8 bytes of their hashes serve: that two of 6 million different images share them has a chance of 1 in a
    million, and would only keep those two on one side.
    """
    leading = np.ascontiguousarray(images.hashes[:, :8]).view(np.uint64).ravel()
    _, groups = np.unique(leading, return_inverse=True)
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
    """Move a share of each class's training images to `target`, whole groups of equal images at a time.

    At least one group of each class is moved, and at least `leave` groups stay.
    """
    order = rng.permutation(np.flatnonzero(split == TRAIN))
    for label, class_name in enumerate(images.class_names):
        candidates = groups[order[(images.labels[order] == label) & (split[order] == TRAIN)]]
        numbers, first, sizes = np.unique(candidates, return_index=True, return_counts=True)
        in_turn = np.argsort(first)  # the groups as the permutation meets them
        if len(numbers) <= leave:
            raise _too_few(images, class_name)
        reached = np.cumsum(sizes[in_turn])
        nearest = int((reached - sizes[in_turn] / 2 <= share * len(candidates)).sum())
        chosen = numbers[in_turn[: min(max(nearest, 1), len(numbers) - leave)]]
        split[np.isin(groups, chosen) & (split == TRAIN)] = target


def _too_few(images: ImageSet, class_name: str) -> DataError:
    return DataError(
        f"{images.name}: class {class_name!r} has too few different images to train on, after those for validation and "
        f"test; add some"
    )
