"""Parts an image set into training, validation and test images that do not leak; does not know models.

Images with the same pixels go to the same side, and each class is parted in the same proportion.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .images import SPLITS, ImageSet

TRAIN, VALIDATION, TEST, ALL = range(len(SPLITS))


def split_images(images: ImageSet, validation: float = 0.1, test: float = 0.2, seed: int = 0) -> ImageSet:
    """Decide for each image whether it trains, chooses the best epoch, or tests.

    Test images that the source brought stay test images; so do validation images. A set that is split already is
    returned as it is.

    Args:
        images: The set.
        validation: Share of the images that are not test images, at least one a class.
        test: Share of all images of a set without test images of its own, at least one a class.
        seed: Start of the random choice.

    Returns:
        The same images with `split` decided.

    Raises:
        DataError: There are fewer than two classes, or too few images of one.
    """
    check_trainable(images, needs_test=not (images.split == TEST).any())
    if (images.split == VALIDATION).any() and (images.split == TEST).any():
        return images
    split = images.split.copy()
    groups = _groups_of_equal_images(images)
    rng = np.random.default_rng(seed)
    if not (split == TEST).any():
        _move(split, images.labels, groups, test, TEST, rng)
    if not (split == VALIDATION).any():
        _move(split, images.labels, groups, validation, VALIDATION, rng)
    split[split == ALL] = TRAIN
    for index, class_name in enumerate(images.class_names):
        if not ((split == TRAIN) & (images.labels == index)).any():
            raise DataError(f"{images.name}: class {class_name!r} has too few different images to train on; add some")
    return replace(images, split=split)


def check_trainable(images: ImageSet, needs_test: bool) -> None:
    """Raise `DataError` unless there are two classes or more, with enough images of each."""
    if len(images.class_names) < 2:
        only = f" ({images.class_names[0]!r})" if images.class_names else ""
        raise DataError(f"{images.name}: has {len(images.class_names)} class{only}; expected 2 or more")
    needed, purpose = (3, "training, validation and test") if needs_test else (2, "training and validation")
    if (images.split == VALIDATION).any():
        needed, purpose = needed - 1, purpose.replace("validation", "").strip(" ,")
    counts = np.bincount(images.labels[images.split != TEST], minlength=len(images.class_names))
    poorest = int(counts.argmin())
    if counts[poorest] < needed:
        found = f"{counts[poorest]} image{'' if counts[poorest] == 1 else 's'}"
        class_name, num_classes = images.class_names[poorest], len(images.class_names)
        raise DataError(
            f"{images.name}: class {class_name!r} has {found} ({len(images):,} images, {num_classes} classes); "
            f"expected {needed} or more of each class, for {purpose}"
        )


def _groups_of_equal_images(images: ImageSet) -> NDArray[np.int64]:
    """Number the images so that equal pixels have equal numbers."""
    _, groups = np.unique(np.ascontiguousarray(images.hashes).view("V32").ravel(), return_inverse=True)
    return groups.astype(np.int64)


def _move(
    split: NDArray[np.uint8],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    share: float,
    target: int,
    rng: np.random.Generator,
) -> None:
    """Move a share of each class's undecided images to `target`, whole groups at a time, at least one image."""
    undecided = np.flatnonzero((split == ALL) | (split == TRAIN))
    order = rng.permutation(undecided)
    for label in np.unique(labels):
        candidates = order[labels[order] == label]
        wanted = max(1, round(share * len(candidates))) if len(candidates) > 1 else 0
        chosen_groups = groups[candidates[:wanted]]
        split[np.isin(groups, chosen_groups) & (split != TEST) & (split != VALIDATION)] = target
