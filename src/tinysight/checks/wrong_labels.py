"""Finds labels that look wrong: those that classifiers trained on the other images contradict with confidence.

Each image is judged by a classifier that has seen neither it nor its copies. The classifier is kernel ridge regression
on pooled responses of whitened patches: one linear equation for each fold, so that 60,000 images take seconds. Source
of the features: A. Coates, H. Lee, A. Ng, "An analysis of single-layer networks in unsupervised feature learning",
AISTATS 2011; of the rule: C. Northcutt, L. Jiang, I. Chuang, "Confident learning", JAIR 70 (2021).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from ..data.kept_together import kept_together
from ..preprocessing.blas_threads import one_blas_thread
from ..process_pool import num_cores
from .patch_features import patch_features

NUM_FOLDS = 5
MIN_PER_CLASS = 5  # images of a class; with fewer, no label can be judged by the others of its class
NUM_LANDMARKS, NUM_LANDMARKS_OF_MANY = 2_048, 1_024  # images that others are compared with, at most
IMAGES_PER_LANDMARK = 3
SHARPNESS = 0.8  # of the kernel, where images have a mean distance of 1.4
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2)  # of the mean variance
MANY_IMAGES = 20_000  # for which the first ridge is the best, and fewer landmarks do
TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)  # by which scores are multiplied
MAX_LABEL_PROBABILITY, MIN_OTHER_PROBABILITY = 0.05, 0.8  # of a label that looks wrong, and of what it looks like
ROWS_AT_A_TIME = 2_048  # of each thread

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
    kernel = _Kernel(features[_landmarks(len(rows))])
    targets = _one_hot(labels, len(images.class_names))
    places = [np.flatnonzero(folds == fold) for fold in range(NUM_FOLDS)]
    with one_blas_thread(), ThreadPoolExecutor(num_cores()) as pool:
        # The equations of each fold, and of all images
        equations = list(pool.map(lambda some: _equations(kernel, features, targets, some), places))
        whole = _Equations(*(np.sum(parts, axis=0) for parts in zip(*equations, strict=True)))
        # Each fold is judged by the solution for the others; the ridge with the lowest log loss counts
        found: list[tuple[float, Floats]] = []
        for ridge in RIDGES if len(rows) < MANY_IMAGES else RIDGES[:1]:
            scores = np.empty_like(targets)
            weights = pool.map(lambda own, ridge=ridge: _solution(whole, own, ridge), equations)
            judged = pool.map(lambda some, found: _scores(kernel, features, found, some), places, weights)
            for some, of_fold in zip(places, judged, strict=True):
                scores[some] = of_fold
            found.append(_calibrated(scores, labels))
    return min(found, key=lambda one: one[0])[1]


def _landmarks(num_images: int) -> NDArray[np.int64]:
    """Return the positions of some images, in rising order."""
    most = NUM_LANDMARKS if num_images < MANY_IMAGES else NUM_LANDMARKS_OF_MANY
    count = min(-(-num_images // IMAGES_PER_LANDMARK), most)
    return np.sort(np.random.default_rng(0).choice(num_images, count, replace=False))


class _Equations(NamedTuple):
    """What the sum of squared errors over some images depends on.

    Attributes:
        products: float32 ``(num_landmarks, num_landmarks)``.
        targets: float32 ``(num_landmarks, num_classes)``.
    """

    products: Floats
    targets: Floats


def _equations(kernel: "_Kernel", features: Floats, targets: Floats, places: NDArray[np.int64]) -> _Equations:
    size = len(kernel.landmarks)
    sums = _Equations(np.zeros((size, size), np.float32), np.zeros((size, targets.shape[1]), np.float32))
    for some in _chunks(places):
        likeness = kernel.likeness(features[some])
        sums.products[:] += likeness.T @ likeness
        sums.targets[:] += likeness.T @ targets[some]
    return sums


def _solution(whole: _Equations, own: _Equations, ridge: float) -> Floats:
    """Return the weights that fit all images but those of one fold."""
    others = whole.products - own.products
    others[np.diag_indices(len(others))] += ridge * np.trace(others) / len(others) + 1e-6
    return np.asarray(np.linalg.solve(others, whole.targets - own.targets))


def _scores(kernel: "_Kernel", features: Floats, weights: Floats, places: NDArray[np.int64]) -> Floats:
    return np.concatenate([kernel.likeness(features[some]) @ weights for some in _chunks(places)])


def _folds(images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each image's fold, int64 ``(num_rows,)``; copies, and images of one group, are in the same."""
    numbers = kept_together(images, images.near_duplicates)[rows]
    sets, place = np.unique(numbers, return_inverse=True)
    return np.random.default_rng(0).permutation(np.arange(len(sets)) % NUM_FOLDS)[place]


def _chunks(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(places, range(ROWS_AT_A_TIME, len(places), ROWS_AT_A_TIME))


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
        values = features @ (2 * SHARPNESS * self.landmarks.T)
        values -= SHARPNESS * np.square(features).sum(axis=1)[:, None]
        values -= SHARPNESS * np.square(self.landmarks).sum(axis=1)
        np.exp(values, out=values)
        values -= self._mean
        return values


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
