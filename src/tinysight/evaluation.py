"""Scores a classifier on labelled images: figures with intervals, tables, mistakes."""

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .data.cache import release_pages, row_slices
from .data.dataset import ImageSet, leading_bytes
from .errors import DataError
from .onnx_file import DataSource
from .training.scores import log_loss

Z_95 = 1.959964  # quantile of the normal distribution that leaves 2.5 % on either side
MAX_MISTAKES_LISTED = 200


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class; None where a figure would divide by zero."""

    class_name: str
    num_images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Mistake:
    """An image that was predicted as another class; `index` is its position in the images scored."""

    index: int
    source: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """The scores of a classifier on a set of images.

    Attributes:
        data_name: What the images were loaded from.
        split: Which of them were scored, such as ``test``.
        num_images: How many.
        num_correct: How many of them were classified correctly.
        accuracy: `num_correct` / `num_images`.
        accuracy_interval: Wilson's 95 % interval of the accuracy.
        log_loss: Mean of −ln(probability of the true class), as `training.scores.log_loss` computes it.
        class_scores: One row a class.
        confusion_matrix: Count of images of the row's class that were predicted as the column's.
        mistakes: The images classified wrongly, the most confident mistakes first, at most 200.
        notes: What a reader must know to trust the figures.
    """

    data_name: str
    split: str
    num_images: int
    num_correct: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    log_loss: float
    class_names: tuple[str, ...]
    class_scores: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as what JSON can hold."""
        return asdict(self)


def evaluate(
    classifier: Classifier,
    images: ImageSet,
    split: str = "test",
    notes: tuple[str, ...] = (),
    probabilities: NDArray[np.float32] | None = None,
) -> Evaluation:
    """Score a classifier on images that it was not trained on.

    Args:
        classifier: What to score.
        images: Labelled images of the classifier's shape; classes are matched by name.
        split: What the report calls the images. All of them are scored.
        notes: What the report should say beside the figures.
        probabilities: The classifier's probabilities for the images, float32 ``(num_images, num_classes)``, where they
            are known already.

    Returns:
        The figures.

    Raises:
        DataError: There are no images, or a class that the classifier does not know.
    """
    if not len(images):
        raise DataError(f"{images.name}: holds no images to evaluate on")
    labels = _labels_for(classifier, images)
    if probabilities is None:
        probabilities = _probabilities(classifier, images.images)
    # Confusion matrix, from which most figures follow
    predicted = probabilities.argmax(axis=1)
    num_classes = len(classifier.class_names)
    confusion = np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, -1)
    num_correct = int(np.trace(confusion))
    # Classes that the images lack
    absent = sorted(set(classifier.class_names) - set(images.class_names))
    if absent:
        notes = (*notes, f"no images of {', '.join(absent)}")
    if no_better := _no_better_than_one_class(classifier.class_names, confusion):
        notes = (*notes, no_better)
    return Evaluation(
        data_name=images.name,
        split=split,
        num_images=len(labels),
        num_correct=num_correct,
        accuracy=num_correct / len(labels),
        accuracy_interval=wilson_interval(num_correct, len(labels)),
        log_loss=log_loss(probabilities, labels),
        class_names=classifier.class_names,
        class_scores=_class_scores(classifier.class_names, confusion),
        confusion_matrix=tuple(tuple(int(count) for count in row) for row in confusion),
        mistakes=_mistakes(classifier, images, labels, probabilities),
        notes=notes,
    )


def _no_better_than_one_class(class_names: tuple[str, ...], confusion: NDArray[np.int64]) -> str:
    """Return a note where always answering the commonest class would be right as often; else an empty text."""
    counts = confusion.sum(axis=1)
    commonest = int(counts.argmax())
    if np.count_nonzero(counts) < 2 or np.trace(confusion) > counts[commonest]:
        return ""
    share = counts[commonest] / counts.sum()
    advice = "train with --recipe accurate, another --framing, or more images of the other classes"
    return f"no better than always answering {class_names[commonest]} ({100 * share:.2f} % of the images): {advice}"


def _probabilities(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities for images that may be a mapped file larger than memory."""
    probabilities = np.empty((len(images), len(classifier.class_names)), np.float32)
    for rows in row_slices(images):
        probabilities[rows] = classifier.probabilities(images[rows])
        release_pages(images)
    return probabilities


def wilson_interval(num_correct: int, num_images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of successes.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    share = num_correct / num_images
    spread = Z_95 * sqrt(share * (1 - share) / num_images + Z_95**2 / (4 * num_images**2))
    middle = share + Z_95**2 / (2 * num_images)
    scale = 1 + Z_95**2 / num_images
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _labels_for(classifier: Classifier, images: ImageSet) -> NDArray[np.int64]:
    """Turn labels, which are positions in the set's class names, into positions in the classifier's."""
    position = {class_name: index for index, class_name in enumerate(classifier.class_names)}
    unknown = [class_name for class_name in images.class_names if class_name not in position]
    if unknown:
        known = ", ".join(classifier.class_names[:12]) + (", …" if len(classifier.class_names) > 12 else "")
        raise DataError(
            f"{images.name}: has classes that the classifier does not know: {', '.join(unknown[:5])} "
            f"(it knows {known}); rename their folders, or train on these images"
        )
    labels: NDArray[np.int64] = np.array([position[name] for name in images.class_names], np.int64)[images.labels]
    return labels


def _class_scores(class_names: tuple[str, ...], confusion: NDArray[np.int64]) -> tuple[ClassScore, ...]:
    rows = zip(class_names, confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0), strict=True)
    return tuple(
        ClassScore(
            class_name,
            int(num_images),
            precision=_ratio(hits, num_predicted),
            recall=_ratio(hits, num_images),
            f1=_ratio(2 * hits, num_images + num_predicted),
        )
        for class_name, hits, num_images, num_predicted in rows
    )


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _mistakes(
    classifier: Classifier, images: ImageSet, labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> tuple[Mistake, ...]:
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_MISTAKES_LISTED]
    names = classifier.class_names
    return tuple(
        Mistake(int(row), images.sources[int(row)], names[labels[row]], names[predicted[row]], float(confidence[row]))
        for row in wrong
    )


def unseen_images(classifier: Classifier, images: ImageSet) -> tuple[ImageSet, str, tuple[str, ...]]:
    """Choose from a set the images that a classifier was not trained on.

    Args:
        classifier: What is to be scored.
        images: A set as `load_images` returns it.

    Returns:
        The test images of the set, or all its images if it has none. Those that trained the classifier or chose its
        best epoch are left out; they are recognised by the hashes of their pixels. Then a name for the images, and
        notes for the report.

    Raises:
        DataError: The classifier was trained on all of them.
    """
    has_test_images = bool(len(images.indices("test")))
    images = images.subset("test") if has_test_images else images
    known = classifier.metadata.training_hashes
    is_known = np.isin(leading_bytes(images.hashes), known)
    unseen = images.rows(np.flatnonzero(~is_known))
    if not len(unseen):
        raise DataError(f"{images.name}: the classifier was trained on all of these images; they prove nothing")
    if is_known.any():
        note = f"{is_known.sum():,} of the {len(images):,} images are left out: the classifier was trained on them"
        is_own_set = classifier.metadata.data == DataSource(images.name, images.data_hash)
        return unseen, "test" if is_own_set else "unseen", (note,)
    if has_test_images:
        return unseen, "test", ()
    unknown = "" if len(known) else ", and the classifier does not tell which images it was trained on"
    return unseen, "all", (f"the set has no test images of its own; all were used{unknown}",)
