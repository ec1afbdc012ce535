"""Scores a classifier on labelled images: figures with intervals, tables, mistakes."""

from dataclasses import asdict, dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration_error import Calibration, measure_calibration
from .classifier import Classifier
from .data.cache import release_pages, row_slices
from .data.dataset import ImageSet
from .errors import DataError
from .intervals import bootstrap_interval, mean_share_interval, wilson_interval
from .rejection import CoveragePoint, OutsideScore, coverage_at, coverage_curve, score_outside
from .training.calibration import apply_temperature
from .training.scores import EPSILON, log_loss, log_losses

MAX_MISTAKES_LISTED, MAX_CONFUSIONS_LISTED = 200, 20
MAX_CLASSES_IN_MATRIX = 200  # of more, only the counts that are not 0 are kept: most are 0
TOP_K = (2, 3, 5)


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class; None where a figure would divide by zero."""

    class_name: str
    num_images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class TopKAccuracy:
    """The share of images whose class is among the `k` most probable, with Wilson's 95 % interval."""

    k: int
    accuracy: float
    accuracy_interval: tuple[float, float]


@dataclass(frozen=True)
class Confusion:
    """How many images of the class `label` were predicted as another one."""

    count: int
    label: str
    predicted: str


@dataclass(frozen=True)
class Mistake:
    """An image that was predicted as another class; `index` is its position in the images scored."""

    index: int
    source: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class FoldScore:
    """The accuracy on one fold's images of the network that was not trained on them; `fold` is counted from 1."""

    fold: int
    num_images: int
    num_correct: int
    accuracy: float


@dataclass(frozen=True)
class FoldScores:
    """The scores of a cross-validation.

    Attributes:
        folds: One entry for each fold.
        mean: Mean of the folds' accuracies.
        deviation: Their standard deviation.
        interval: 95 % interval of the mean by Student's t distribution, within 0…1.
    """

    folds: tuple[FoldScore, ...]
    mean: float
    deviation: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Evaluation:
    """The scores of a classifier on a set of images.

    Attributes:
        data_name: What the images were loaded from.
        split: Which of them were scored, such as ``test``; ``folds`` after a cross-validation.
        num_images: How many.
        num_correct: How many of them were classified correctly.
        accuracy: `num_correct` / `num_images`.
        accuracy_interval: Wilson's 95 % interval of the accuracy.
        balanced_accuracy: Mean of the classes' recalls, of those that have images.
        balanced_accuracy_interval: Its 95 % interval, see `intervals.mean_share_interval`.
        top_k: How often the class is among the most probable ones; for k of 2, 3 and 5 below the number of classes.
        log_loss: Mean of −ln(probability of the true class), as `training.scores.log_loss` computes it.
        log_loss_interval: Its 95 % interval, see `intervals.bootstrap_interval`.
        log_loss_unscaled: The log loss before temperature scaling; None where the temperature is not known.
        calibration: How far confidence is from accuracy.
        calibration_unscaled: The same before temperature scaling; None where the temperature is not known.
        coverage: The reject option at rising thresholds, at most 100 of them.
        reject_below: The classifier's threshold; 0 where it has none.
        at_reject_below: The reject option at that threshold.
        outside: How well images of no class are told from those of the classes; None where none were given.
        class_scores: One row a class.
        confusion_matrix: Count of images of the row's class that were predicted as the column's; empty if there are
            more than 200 classes.
        confusion_counts: For more than 200 classes: row, column and count, for each count that is not 0. `matrix`
            gives the whole.
        confusions: The most frequent pairs of true and predicted class, at most 20.
        mistakes: The images classified wrongly, the most confident mistakes first, at most 200.
        notes: What a reader must know to trust the figures.
        fold_scores: The scores of each fold after a cross-validation, else None.
    """

    data_name: str
    split: str
    num_images: int
    num_correct: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    balanced_accuracy_interval: tuple[float, float]
    top_k: tuple[TopKAccuracy, ...]
    log_loss: float
    log_loss_interval: tuple[float, float]
    log_loss_unscaled: float | None
    calibration: Calibration
    calibration_unscaled: Calibration | None
    coverage: tuple[CoveragePoint, ...]
    reject_below: float
    at_reject_below: CoveragePoint
    outside: OutsideScore | None
    class_names: tuple[str, ...]
    class_scores: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    confusion_counts: tuple[tuple[int, int, int], ...]
    confusions: tuple[Confusion, ...]
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...] = ()
    fold_scores: FoldScores | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as what JSON can hold."""
        return asdict(self)

    def matrix(self) -> NDArray[np.int64]:
        """Return the confusion matrix, int64 ``(num_classes, num_classes)``, however many classes there are."""
        if self.confusion_matrix:
            return np.array(self.confusion_matrix, np.int64)
        whole = np.zeros((len(self.class_names), len(self.class_names)), np.int64)
        rows, columns, counts = np.array(self.confusion_counts, np.int64).T
        whole[rows, columns] = counts
        return whole


def evaluate(
    classifier: Classifier,
    images: ImageSet,
    split: str = "test",
    notes: tuple[str, ...] = (),
    probabilities: NDArray[np.float32] | None = None,
    outside: ImageSet | None = None,
) -> Evaluation:
    """Score a classifier on images that it was not trained on.

    Args:
        classifier: What to score.
        images: Labelled images of the classifier's shape; classes are matched by name.
        split: What the report calls the images. All of them are scored.
        notes: What the report should say beside the figures.
        probabilities: The classifier's probabilities for the images, float32 ``(num_images, num_classes)``, where they
            are known already.
        outside: Images of the classifier's shape that belong to none of its classes; their labels are not used.

    Returns:
        The figures.

    Raises:
        DataError: There are no images, or a class that the classifier does not know.
    """
    if not len(images):
        raise DataError(f"{images.name}: holds no images to evaluate on")
    labels = labels_for(classifier, images)
    if probabilities is None:
        probabilities = probabilities_of(classifier, images.images)
    notes = (*notes, *_notes(classifier, images, outside))
    return _score(classifier, images, labels, probabilities, split, notes, outside)


def _score(
    classifier: Classifier,
    images: ImageSet,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    split: str,
    notes: tuple[str, ...],
    outside: ImageSet | None,
) -> Evaluation:
    # Answers: the confusion matrix has the figures of predicted classes
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    is_correct = predicted == labels
    num_correct = int(is_correct.sum())
    num_classes = len(classifier.class_names)
    confusion = np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, -1)
    balanced_accuracy, balanced_accuracy_interval = _balanced_accuracy(confusion)
    if no_better := _no_better_than_one_class(classifier, confusion):
        notes = (*notes, no_better)
    # Probabilities, also before temperature scaling
    losses = log_losses(probabilities, labels)
    log_loss_unscaled, calibration_unscaled = _unscaled(classifier, probabilities, labels)
    return Evaluation(
        data_name=images.name,
        split=split,
        num_images=len(labels),
        num_correct=num_correct,
        accuracy=num_correct / len(labels),
        accuracy_interval=wilson_interval(num_correct, len(labels)),
        balanced_accuracy=balanced_accuracy,
        balanced_accuracy_interval=balanced_accuracy_interval,
        top_k=_top_k(probabilities, labels),
        log_loss=float(losses.mean()),
        log_loss_interval=_log_loss_interval(losses),
        log_loss_unscaled=log_loss_unscaled,
        calibration=measure_calibration(confidence, is_correct),
        calibration_unscaled=calibration_unscaled,
        coverage=coverage_curve(confidence, is_correct),
        reject_below=classifier.reject_below,
        at_reject_below=coverage_at(confidence, is_correct, classifier.reject_below),
        outside=None if outside is None else _outside(classifier, confidence, outside),
        class_names=classifier.class_names,
        class_scores=_class_scores(classifier.class_names, confusion),
        confusion_matrix=tuple(map(tuple, confusion.tolist())) if num_classes <= MAX_CLASSES_IN_MATRIX else (),
        confusion_counts=() if num_classes <= MAX_CLASSES_IN_MATRIX else _counts(confusion),
        confusions=_confusions(classifier.class_names, confusion),
        mistakes=_mistakes(classifier, images, labels, probabilities),
        notes=notes,
    )


def _notes(classifier: Classifier, images: ImageSet, outside: ImageSet | None) -> list[str]:
    """Return a note where the images lack classes, and one where images of no class have a class's name."""
    notes = []
    present = {images.class_names[label] for label in np.unique(images.labels)}
    if absent := [name for name in classifier.class_names if name not in present]:
        more = f" and {len(absent) - 10} more classes" if len(absent) > 10 else ""
        notes.append(f"no images of {', '.join(absent[:10])}{more}")
    known = [name for name in classifier.class_names if outside is not None and name in outside.class_names]
    if outside is not None and known:
        names = ", ".join(known[:5])
        notes.append(f"{outside.name} should hold other things, but has the classifier's classes {names}")
    return notes


def _balanced_accuracy(confusion: NDArray[np.int64]) -> tuple[float, tuple[float, float]]:
    """Return the mean recall of the classes that have images, and its interval."""
    present = confusion.any(axis=1)
    hits, counts = confusion.diagonal()[present], confusion.sum(axis=1)[present]
    return float((hits / counts).mean()), mean_share_interval(hits, counts)


def _outside(classifier: Classifier, confidence: NDArray[np.float32], images: ImageSet) -> OutsideScore:
    if not len(images):
        raise DataError(f"{images.name}: holds no images to compare with")
    others = probabilities_of(classifier, images.images).max(axis=1)
    return score_outside(images.name, confidence, others, classifier.reject_below)


def _unscaled(
    classifier: Classifier, probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[float | None, Calibration | None]:
    """Return log loss and calibration before temperature scaling, where the classifier stores its temperature."""
    temperature = classifier.metadata.temperature
    if temperature is None:
        return None, None
    unscaled = apply_temperature(probabilities, 1 / temperature)
    calibration = measure_calibration(unscaled.max(axis=1), probabilities.argmax(axis=1) == labels)
    return log_loss(unscaled, labels), calibration


def _log_loss_interval(losses: NDArray[np.float64]) -> tuple[float, float]:
    low, high = bootstrap_interval(losses)
    return max(low, 0.0), min(high, -log(EPSILON))  # a single loss lies between these


def _top_k(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[TopKAccuracy, ...]:
    """Return top-k accuracies; of equally probable classes the first counts as more probable, as for the answer."""
    of_label = probabilities[np.arange(len(labels)), labels][:, None]
    is_earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    ranks = ((probabilities > of_label) | ((probabilities == of_label) & is_earlier)).sum(axis=1)
    scores = []
    for k in TOP_K:
        if k < probabilities.shape[1]:
            num_correct = int((ranks < k).sum())
            scores.append(TopKAccuracy(k, num_correct / len(labels), wilson_interval(num_correct, len(labels))))
    return tuple(scores)


def _counts(confusion: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """Return row, column and count of each cell that is not 0."""
    rows, columns = np.nonzero(confusion)
    return tuple(zip(rows.tolist(), columns.tolist(), confusion[rows, columns].tolist(), strict=True))


def _confusions(class_names: tuple[str, ...], confusion: NDArray[np.int64]) -> tuple[Confusion, ...]:
    others = confusion.copy()
    np.fill_diagonal(others, 0)
    rows, columns = np.nonzero(others)
    order = np.argsort(-others[rows, columns], kind="stable")[:MAX_CONFUSIONS_LISTED]
    return tuple(
        Confusion(int(others[row, column]), class_names[row], class_names[column])
        for row, column in zip(rows[order], columns[order], strict=True)
    )


def _no_better_than_one_class(classifier: Classifier, confusion: NDArray[np.int64]) -> str:
    """Return a note where always answering the commonest class would be right as often; else an empty text."""
    counts = confusion.sum(axis=1)
    commonest = int(counts.argmax())
    if np.count_nonzero(counts) < 2 or np.trace(confusion) > counts[commonest]:
        return ""
    share = counts[commonest] / counts.sum()
    recipe = "" if classifier.metadata.settings.get("network") == "pretrained" else " --recipe accurate,"
    advice = f"train with --class-weight balanced,{recipe} or more images of the other classes"
    name = classifier.class_names[commonest]
    return f"no better than always answering {name} ({100 * share:.2f} % of the images): {advice}"


def probabilities_of(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities for images that may be a mapped file larger than memory."""
    probabilities = np.empty((len(images), len(classifier.class_names)), np.float32)
    for rows in row_slices(images):
        probabilities[rows] = classifier.probabilities(images[rows])
        release_pages(images)
    return probabilities


def labels_for(classifier: Classifier, images: ImageSet, name: str = "the classifier") -> NDArray[np.int64]:
    """Turn labels, which are positions in the set's class names, into positions in the classifier's.

    Args:
        classifier: Whose classes.
        images: Whose labels.
        name: What error messages call the classifier.

    Raises:
        DataError: The classifier does not know a class of one of the images.
    """
    position = {class_name: index for index, class_name in enumerate(classifier.class_names)}
    positions = np.array([position.get(class_name, -1) for class_name in images.class_names], np.int64)
    labels: NDArray[np.int64] = positions[images.labels]
    if (labels < 0).any():
        unknown = [images.class_names[label] for label in np.unique(images.labels[labels < 0])]
        known = ", ".join(classifier.class_names[:12]) + (", …" if len(classifier.class_names) > 12 else "")
        raise DataError(
            f"{images.name}: has classes that {name} does not know: {', '.join(unknown[:5])} "
            f"(it knows {known}); rename their folders, or train on these images"
        )
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
