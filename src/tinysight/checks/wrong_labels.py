"""Finds labels that look wrong: those that classifiers trained on the other images contradict with confidence.

Each image is judged by a classifier that has seen neither it nor its copies. The classifier is kernel ridge regression
on pooled responses of whitened patches: one linear equation for each fold, so that 60,000 images take seconds. Source
of the features: A. Coates, H. Lee, A. Ng, "An analysis of single-layer networks in unsupervised feature learning",
AISTATS 2011; of the rule: C. Northcutt, L. Jiang, I. Chuang, "Confident learning", JAIR 70 (2021).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from ..data.kept_together import kept_together
from .patch_features import patch_features

NUM_FOLDS = 5
MIN_PER_CLASS = 5  # images of a class; with fewer, no label can be judged by the others of its class
NUM_LANDMARKS = 2_048  # images that others are compared with, at most
IMAGES_PER_LANDMARK = 3
SHARPNESS = 0.8  # of the kernel, where images have a mean distance of 1.4
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2)  # of the mean variance
MANY_IMAGES = 20_000  # for which the first ridge is the best
TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)  # by which scores are multiplied
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
        rows: Positions of images of two classes or more, in rising order.

    Returns:
        float32 ``(num_rows, num_classes)``.
    """
    labels, folds = images.labels[rows], _folds(images, rows)
    features = patch_features(images.images, rows)
    chosen = np.random.default_rng(0).choice(
        len(rows), min(-(-len(rows) // IMAGES_PER_LANDMARK), NUM_LANDMARKS), replace=False
    )
    kernel = _Kernel(features[np.sort(chosen)])
    # The equations of all images, and those of each fold
    size = len(kernel.landmarks)
    products = np.zeros((NUM_FOLDS, size, size), np.float32)
    targets = np.zeros((NUM_FOLDS, size, len(images.class_names)), np.float32)
    places = [np.flatnonzero(folds == fold) for fold in range(NUM_FOLDS)]
    for fold, some in _chunks(places):
        likeness = kernel.likeness(features[some])
        products[fold] += likeness.T @ likeness
        targets[fold] += likeness.T @ _one_hot(labels[some], len(images.class_names))
    # Each fold is judged by the solution for the others; the ridge with the lowest log loss counts
    whole, wanted = products.sum(axis=0), targets.sum(axis=0)
    found: list[tuple[float, Floats]] = []
    for ridge in RIDGES if len(rows) < MANY_IMAGES else RIDGES[:1]:
        weights = []
        for fold in range(NUM_FOLDS):
            others = whole - products[fold]
            others[np.diag_indices(size)] += ridge * np.trace(others) / size + 1e-6
            weights.append(np.linalg.solve(others, wanted - targets[fold]))
        scores = np.empty((len(rows), len(images.class_names)), np.float32)
        for fold, some in _chunks(places):
            scores[some] = kernel.likeness(features[some]) @ weights[fold]
        found.append(_calibrated(scores, labels))
    return min(found, key=lambda one: one[0])[1]


def _folds(images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each image's fold, int64 ``(num_rows,)``; copies, and images of one group, are in the same."""
    numbers = kept_together(images, images.near_duplicates)[rows]
    sets, place = np.unique(numbers, return_inverse=True)
    return np.random.default_rng(0).permutation(np.arange(len(sets)) % NUM_FOLDS)[place]


def _chunks(places: Sequence[NDArray[np.int64]]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each fold's number with a part of its places."""
    for fold, some in enumerate(places):
        for start in range(0, len(some), ROWS_AT_A_TIME):
            yield fold, some[start : start + ROWS_AT_A_TIME]


def _one_hot(labels: NDArray[np.int64], num_classes: int) -> Floats:
    """Return 1 for the label and 0 for the others, less their mean."""
    return np.eye(num_classes, dtype=np.float32)[labels] - np.float32(1 / num_classes)


class _Kernel:
    """A Gaussian kernel: the likeness of images with landmarks, less its mean."""

    def __init__(self, landmarks: Floats) -> None:
        self.landmarks, self._mean = landmarks, np.float32(0)
        self._mean = self.likeness(landmarks).mean(axis=0)

    def likeness(self, features: Floats) -> Floats:
        """Return float32 ``(num_images, num_landmarks)``."""
        squares = np.square(features).sum(axis=1)[:, None] + np.square(self.landmarks).sum(axis=1)
        return np.asarray(np.exp(SHARPNESS * (2 * features @ self.landmarks.T - squares)) - self._mean)


def _calibrated(scores: Floats, labels: NDArray[np.int64]) -> tuple[float, Floats]:
    """Return the lowest log loss of the softmax of scores times a temperature, and its probabilities."""
    lowest, best = np.inf, scores
    for temperature in TEMPERATURES:
        powers = np.exp(temperature * (scores - scores.max(axis=1, keepdims=True)))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        loss = float(-np.log(probabilities[np.arange(len(labels)), labels] + 1e-7).mean())
        if loss < lowest:
            lowest, best = loss, probabilities
    return lowest, best
