"""Finds labels that look wrong: those that classifiers trained on the other images contradict with confidence.

Each image is judged by a classifier that has seen neither it nor its copies. The classifier is kernel ridge regression
on pooled responses of whitened patches: one linear equation for each fold, so that 60,000 images take seconds. Source
of the features: A. Coates, H. Lee, A. Ng, "An analysis of single-layer networks in unsupervised feature learning",
AISTATS 2011; of the rule: C. Northcutt, L. Jiang, I. Chuang, "Confident learning", JAIR 70 (2021).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .data.dataset import ImageSet
from .data.kept_together import kept_together
from .patch_features import patch_features

NUM_FOLDS = 5
MIN_PER_CLASS = 5  # images of a class; with fewer, no label can be judged by the others of its class
MAX_IMAGES = 2**20  # of more, as many are judged
NUM_LANDMARKS = 2_048  # images that others are compared with
KERNEL_WIDTH = 0.8
RIDGE = 1e-5  # of the mean variance
TEMPERATURES = (2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)  # by which scores are multiplied
MAX_LABEL_PROBABILITY, MIN_OTHER_PROBABILITY = 0.05, 0.8  # of a label that looks wrong, and of what it looks like
ROWS_AT_A_TIME = 4_096

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class WrongLabel:
    """An image whose label looks wrong.

    Attributes:
        row: Its position in the set.
        source: Where it came from.
        label: The class that it is labelled as.
        suggestion: The class that it looks like.
        probability: The probability of `suggestion`, by a classifier that was not trained on the image.
        label_probability: The probability of `label`.
    """

    row: int
    source: str
    label: str
    suggestion: str
    probability: float
    label_probability: float


def find_wrong_labels(images: ImageSet) -> list[WrongLabel]:
    """Return the images whose label looks wrong, the surest first.

    Images of classes with fewer than `MIN_PER_CLASS` images are not judged, nor is a set whose classes cannot be told
    apart: then no probability is high.
    """
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    rows = np.flatnonzero(counts[images.labels] >= MIN_PER_CLASS)
    if len(set(images.labels[rows].tolist())) < 2:
        return []
    probabilities = out_of_fold_probabilities(images, rows)
    labels = images.labels[rows]
    own = probabilities[np.arange(len(rows)), labels]
    probabilities[np.arange(len(rows)), labels] = 0
    other, best = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero((own <= MAX_LABEL_PROBABILITY) & (best >= MIN_OTHER_PROBABILITY))
    wrong = wrong[np.lexsort((rows[wrong], own[wrong]))]
    names = images.class_names
    return [
        WrongLabel(
            int(rows[one]), images.sources[int(rows[one])], names[labels[one]], names[other[one]],
            round(float(best[one]), 4), round(float(own[one]), 4),
        )
        for one in wrong
    ]  # fmt: skip


def out_of_fold_probabilities(images: ImageSet, rows: NDArray[np.int64]) -> Floats:
    """Return for some images the probability of each class, by a classifier that was not trained on them.

    Args:
        images: The set.
        rows: Positions of images, in rising order, of two classes or more.

    Returns:
        float32 ``(num_rows, num_classes)``.
    """
    folds = _folds(images, rows)
    labels = images.labels[rows]
    scores = _out_of_fold_scores(_kernel(patch_features(images.images, rows)), labels, folds, len(images.class_names))
    return _calibrated(scores, labels)


def _folds(images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each image's fold; copies and images of one group are in the same."""
    numbers = kept_together(images, images.near_duplicates)[rows]
    return (numbers >> np.uint64(7)).astype(np.int64) % NUM_FOLDS


def _kernel(features: Floats) -> Floats:
    """Return the likeness of each image with the landmarks, float32 ``(num_images, num_landmarks)``."""
    rng = np.random.default_rng(0)
    landmarks = features[np.sort(rng.choice(len(features), min(len(features), NUM_LANDMARKS), replace=False))]
    likeness = np.empty((len(features), len(landmarks)), np.float32)
    for start in range(0, len(features), ROWS_AT_A_TIME):
        some = features[start : start + ROWS_AT_A_TIME]
        squares = np.square(some).sum(axis=1)[:, None] + np.square(landmarks).sum(axis=1)
        likeness[start : start + len(some)] = np.exp(KERNEL_WIDTH * (2 * some @ landmarks.T - squares))
    return likeness
