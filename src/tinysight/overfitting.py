"""Rules that turn scores into a verdict: does a network overfit, and does a remedy help?

docs/overfitting.md explains them. They use intervals, so that chance is not called a result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .intervals import Z_95, mean_interval, wilson_interval

WIDEST_SAMPLING = 0.05  # of an accuracy on the validation images, half the interval; wider: too few images
TOLERATED_GAP = 0.01  # between training and validation accuracy; a larger one is overfitting
LARGEST_GAP = 0.05  # that a network may have for all its interval says, to be said to fit
TOLERATED_RISE = 0.10  # of the validation loss above its lowest value, as a share of it
TOLERATED_ERROR = 0.05  # on training images
BY_HEART = 0.90  # training accuracy from which a network without any success on new images has memorised

TOO_FEW_IMAGES, TOO_FEW_SEEDS = "too few images to tell", "too few seeds to tell"
MEMORISED, UNDERFITS, OVERFITS, FITS = "memorised", "underfits", "overfits", "fits"
LOSS_ONLY = "narrows the gap in loss but not in accuracy"


@dataclass(frozen=True)
class Verdict:
    """An answer in words.

    Attributes:
        kind: One of a few words, such as ``overfits``; docs/overfitting.md lists them.
        sentence: The answer with its figures.
        advice: What to try next, in words; empty for nothing.
        changes: The settings of `TrainingSettings` to change for that.
    """

    kind: str
    sentence: str
    advice: str = ""
    changes: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Figure:
    """A mean with its interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64], confidence: float = 0.95) -> "Figure":
        """Return the mean over seeds, with the interval of Student's t distribution."""
        return cls(float(values.mean()), *mean_interval(values, confidence))

    def at_least(self, half_width: float) -> "Figure":
        """Return the same mean with an interval that reaches at least so far to both sides."""
        return Figure(self.mean, min(self.low, self.mean - half_width), max(self.high, self.mean + half_width))

    def points(self, digits: int = 2, signed: bool = False) -> str:
        """Write a share in percentage points, with its interval."""
        sign = "+" if signed else ""
        mean, low, high = (f"{100 * value:{sign}.{digits}f}" for value in (self.mean, self.low, self.high))
        return f"{mean} points (95 % interval {low} to {high})".replace("-", "−")


@dataclass(frozen=True)
class SeedScores:
    """The scores of equal trainings that differ in their seed, each float64 ``(num_seeds,)``.

    All but the last are of the last epoch.

    Attributes:
        train_accuracy: Of training images, in inference mode.
        validation_accuracy: Of validation images.
        test_accuracy: Of test images.
        train_loss: Log loss of training images.
        validation_loss: Of validation images.
        lowest_validation_loss: The lowest of any epoch.
    """

    train_accuracy: NDArray[np.float64]
    validation_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64]
    lowest_validation_loss: NDArray[np.float64]

    @property
    def accuracy_gap(self) -> NDArray[np.float64]:
        """Training minus validation accuracy."""
        return self.train_accuracy - self.validation_accuracy

    @property
    def loss_gap(self) -> NDArray[np.float64]:
        """Validation minus training loss."""
        return self.validation_loss - self.train_loss

    @property
    def loss_rise(self) -> NDArray[np.float64]:
        """How far the validation loss has risen above its lowest value, as a share of that."""
        return np.asarray(self.validation_loss / np.maximum(self.lowest_validation_loss, 1e-9) - 1)


def sampling_error(accuracy: float, num_images: int) -> float:
    """Return half the 95 % interval of an accuracy measured on some images, by Wilson."""
    low, high = wilson_interval(accuracy * num_images, num_images)
    return (high - low) / 2


def images_needed(accuracy: float, gap: float, num_images: int, num_validation: int) -> int:
    """Return about how many images would tell whether a gap is larger than `TOLERATED_GAP`, rounded up to two digits.

    Args:
        accuracy: The accuracy on the validation images.
        gap: Training minus validation accuracy.
        num_images: Number of training and validation images.
        num_validation: Number of the different validation images among them.
    """
    low, high = wilson_interval(accuracy * num_validation, num_validation)
    centre = (low + high) / 2  # nearer to one half than the accuracy, which may be 100 % of a few images
    width = min(WIDEST_SAMPLING, max(abs(gap - TOLERATED_GAP), TOLERATED_GAP))
    needed = Z_95**2 * centre * (1 - centre) / width**2 * num_images / num_validation
    unit = int(10 ** max(0, len(str(int(needed))) - 2))
    return max(ceil(needed / unit) * unit, num_images + 1)


def fit_kind(
    train_accuracy: Figure, validation_accuracy: Figure, gap: Figure, rise: Figure, commonest: float, sampling: float
) -> str:
    """Tell whether a network underfits, fits, overfits, or has memorised.

    Args:
        train_accuracy: On training images.
        validation_accuracy: On validation images.
        gap: Training minus validation accuracy.
        rise: How far the validation loss is above its lowest value, as a share of that.
        commonest: Share of the commonest class: the accuracy of always naming it.
        sampling: Half the interval that the number of validation images alone gives the accuracy.
    """
    if sampling > WIDEST_SAMPLING:
        return TOO_FEW_IMAGES
    learned = train_accuracy.mean >= BY_HEART and train_accuracy.low > commonest
    if learned and validation_accuracy.low <= commonest:
        return MEMORISED
    if 1 - train_accuracy.mean > TOLERATED_ERROR and 1 - train_accuracy.high > gap.high:
        return UNDERFITS
    if gap.low > TOLERATED_GAP or rise.low > TOLERATED_RISE:
        return OVERFITS
    if gap.high <= LARGEST_GAP:
        return FITS
    return TOO_FEW_IMAGES if sampling > 0.35 * (gap.high - gap.low) else TOO_FEW_SEEDS  # what makes it wide


class JudgedCell:
    """A cell's scores with what the rules need to know of them.

    Attributes:
        scores: The scores.
        kind: Whether it underfits, fits, overfits, or has memorised.
        gap: Training minus validation accuracy. Its interval is the wider of two: that over seeds, and that which
            follows from the number of validation images.
        loss_gap: Validation minus training loss.
        train_accuracy: On training images.
        validation_accuracy: On validation images.
        needed: About how many images would be enough, where there are too few.
    """

    def __init__(self, scores: SeedScores, num_images: int, num_validation: int, commonest: float) -> None:
        """Take the scores and the data.

        Args:
            scores: The scores.
            num_images: Number of training and validation images.
            num_validation: Number of different validation images that the seeds have among them.
            commonest: Share of the commonest class.
        """
        self.scores = scores
        sampling = sampling_error(float(scores.validation_accuracy.mean()), num_validation)
        self.gap = Figure.of(scores.accuracy_gap).at_least(sampling)
        self.loss_gap = Figure.of(scores.loss_gap)
        self.train_accuracy = Figure.of(scores.train_accuracy)
        self.validation_accuracy = Figure.of(scores.validation_accuracy).at_least(sampling)
        rise = Figure.of(scores.loss_rise)
        self.kind = fit_kind(self.train_accuracy, self.validation_accuracy, self.gap, rise, commonest, sampling)
        self.rise = rise.mean
        self.needed = images_needed(self.validation_accuracy.mean, self.gap.mean, num_images, num_validation)


def describe_fit(cell: JudgedCell) -> str:
    """Say in words how a cell fits, with the figures that the verdict rests on."""
    train, validation = (f"{100 * figure.mean:.2f} %" for figure in (cell.train_accuracy, cell.validation_accuracy))
    figures = f"{train} of the training and {validation} of the validation images are right"
    if cell.kind == TOO_FEW_IMAGES:
        return f"too few images to tell: the gap is {cell.gap.points(1)}; about {cell.needed:,} images would tell"
    if cell.kind == TOO_FEW_SEEDS:
        return f"too few seeds to tell: the gap is {cell.gap.points(1)}"
    if cell.kind == MEMORISED:
        return f"memorised: {figures}, no more than always naming the commonest class"
    gap = f"a gap of {cell.gap.points()}"
    risen = f", and the validation loss is {100 * cell.rise:.0f} % above its lowest" if cell.kind == OVERFITS else ""
    return f"{cell.kind}: {figures}, {gap}{risen if cell.rise > TOLERATED_RISE else ''}"


@dataclass(frozen=True)
class Comparison:
    """The paired differences between two cells, second minus first; intervals allow for all comparisons of a study."""

    test_accuracy: Figure
    validation_accuracy: Figure
    train_accuracy: Figure
    accuracy_gap: Figure
    loss_gap: Figure

    @classmethod
    def of(cls, first: SeedScores, second: SeedScores, confidence: float) -> "Comparison":
        """Compare two cells seed by seed; `confidence` is that of each interval."""
        names = ("test_accuracy", "validation_accuracy", "train_accuracy", "accuracy_gap", "loss_gap")
        return cls(*(Figure.of(getattr(second, name) - getattr(first, name), confidence) for name in names))


def corrected_confidence(num_comparisons: int) -> float:
    """Return the confidence that each interval needs so that all of them hold at once in 95 % of studies.

    Source: O. J. Dunn, "Multiple Comparisons among Means", JASA 56 (1961), known as Bonferroni's correction.
    """
    return 1 - 0.05 / max(1, num_comparisons)


def is_too_strong(comparison: Comparison) -> bool:
    """Whether a remedy makes the network underfit: training and validation accuracy fall with it."""
    return comparison.train_accuracy.high < -TOLERATED_GAP and comparison.validation_accuracy.high < 0


def judge_remedy(
    plain: JudgedCell, treated: JudgedCell, comparison: Comparison, remedy: str, name: str = ""
) -> Verdict:
    """Tell whether a remedy helps against overfitting.

    Args:
        plain: The cell without it.
        treated: The cell with it.
        comparison: The differences, treated minus plain.
        remedy: Its kind, such as ``dropout``.
        name: What the sentence calls it, such as ``dropout 0.5``; by default as its kind.
    """
    name = name or remedy
    if plain.kind in (TOO_FEW_IMAGES, MEMORISED):
        return Verdict(plain.kind, describe_fit(plain))
    effect = comparison.test_accuracy
    changed = f"test accuracy changes by {effect.points(signed=True)}"
    if (treated.kind == UNDERFITS and plain.kind != UNDERFITS) or is_too_strong(comparison):
        figure = f"with {name} only {100 * treated.train_accuracy.mean:.2f} % of the training images are right"
        before = f", {100 * plain.train_accuracy.mean:.2f} % without"
        return Verdict(UNDERFITS, f"underfits: {figure}{before}; {changed}")
    if effect.low > 0:
        helps = f"{name} helps: test accuracy rises by {effect.points()}"
    elif effect.high < 0:
        helps = f"{name} does not help: test accuracy falls by {_negated(effect).points()}"
    else:
        helps = f"{name} does not help as far as these seeds tell: {changed}"
    if plain.kind != OVERFITS:
        return Verdict(plain.kind, f"{describe_fit(plain)}; {helps}")
    if effect.low > 0:
        return Verdict(f"overfits and {remedy} helps", f"{describe_fit(plain)}; {helps}")
    before_after = f"from {plain.loss_gap.mean:.3f} to {treated.loss_gap.mean:.3f}"
    if comparison.loss_gap.high < 0 and not comparison.accuracy_gap.high < 0:
        narrows = f"{name} narrows the gap in loss ({before_after}) but not in accuracy"
        return Verdict(LOSS_ONLY, f"{describe_fit(plain)}; {narrows}; {helps}")
    narrowed = [
        text
        for difference, text in (
            (comparison.accuracy_gap, f"in accuracy (to {100 * treated.gap.mean:.2f} points)"),
            (comparison.loss_gap, f"in loss ({before_after})"),
        )
        if difference.high < 0
    ]
    narrows = f", although it narrows the gap {' and '.join(narrowed)}" if narrowed else ""
    return Verdict(f"overfits and {remedy} does not help", f"{describe_fit(plain)}; {helps}{narrows}")


def judge_difference(comparison: Comparison, first: str, second: str) -> Verdict:
    """Tell whether two settings differ that should not, such as two positions of dropout."""
    effect = comparison.test_accuracy
    if effect.low <= 0 <= effect.high:
        figures = effect.points(signed=True)
        return Verdict("no difference", f"no difference found between {first} and {second}: {figures} test accuracy")
    better, worse = (second, first) if effect.low > 0 else (first, second)
    size = effect if effect.low > 0 else _negated(effect)
    return Verdict("difference", f"{better} is better than {worse} by {size.points()} test accuracy")


def _negated(figure: Figure) -> Figure:
    return Figure(-figure.mean, -figure.high, -figure.low)


class _Epoch(Protocol):
    """An epoch's scores, as `EpochResult` has them."""

    @property
    def train_accuracy(self) -> float: ...
    @property
    def validation_accuracy(self) -> float: ...
    @property
    def validation_loss(self) -> float: ...


class _Settings(Protocol):
    """The settings that the advice depends on, as `ResolvedSettings` has them."""

    @property
    def recipe(self) -> str: ...
    @property
    def epochs(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def network(self) -> str: ...


def run_verdict(
    history: Sequence[_Epoch],
    best_epoch: int,
    num_train: int,
    num_validation: int,
    settings: _Settings,
    commonest: float = 0.0,
) -> Verdict:
    """Tell from one training whether its network overfits, and what to try next.

    The figures are of the epoch that was kept. The interval of the gap is Newcombe's; it holds for other validation
    images, not for other seeds.

    Args:
        history: The epochs.
        best_epoch: The one that was kept, counted from 1.
        num_train: Number of training images.
        num_validation: Number of validation images; as many training images are scored, or all if they are fewer.
        settings: The settings that were used.
        commonest: Share of the commonest class; by default a network is never said to have memorised.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17 (1998), method 10.
    """
    kept = history[best_epoch - 1]
    sizes = min(num_train, num_validation), num_validation
    train, validation = (
        Figure(share, *wilson_interval(share * size, size))
        for share, size in zip((kept.train_accuracy, kept.validation_accuracy), sizes, strict=True)
    )
    difference = train.mean - validation.mean
    below = sqrt((train.mean - train.low) ** 2 + (validation.high - validation.mean) ** 2)
    above = sqrt((train.high - train.mean) ** 2 + (validation.mean - validation.low) ** 2)
    gap = Figure(difference, difference - below, difference + above)
    none = Figure(0.0, 0.0, 0.0)  # a kept epoch's loss says little: it is chosen by accuracy, and has no interval
    sampling = (validation.high - validation.low) / 2
    kind = fit_kind(train, validation, gap, none, commonest, sampling)
    shares = f"{100 * train.mean:.2f} % of the training and {100 * validation.mean:.2f} % of the validation images"
    figures = f"{shares} are right, a gap of {gap.points()}"
    if kind == TOO_FEW_IMAGES:
        needed = images_needed(validation.mean, gap.mean, num_train + num_validation, num_validation)
        unit = "image is" if num_validation == 1 else "images are"
        why = f"{num_validation:,} validation {unit} too few to tell whether it overfits: the gap is {gap.points(1)}"
        return Verdict(kind, why, f"collect about {needed:,} images")
    if kind == MEMORISED:
        why = f"it has memorised: {shares} are right, no more than always naming the commonest class"
        return Verdict(kind, why, "check the labels: the images may not tell them")
    return Verdict(kind, f"it {kind}: {figures}", *_advice(kind, settings, len(history)))


def _advice(kind: str, settings: _Settings, num_epochs: int) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Return what to try next, and the settings to change for that.

    The recipe ``accurate`` is the strongest remedy measured (docs/experiments.md); then comes more dropout.
    """
    if kind == UNDERFITS:
        if settings.dropout >= 0.3:
            return "try less dropout", (("dropout", round(settings.dropout / 2, 2)),)
        was_stopped = num_epochs < settings.epochs
        return "try more epochs", () if was_stopped else (("epochs", 3 * settings.epochs),)
    if kind == OVERFITS:
        on_pixels = settings.network != "pretrained"  # on its features there is neither dropout nor augmentation
        if on_pixels and settings.recipe in ("fast", "tutorial"):
            return "try the recipe accurate, which acts against it", (("recipe", "accurate"), ("epochs", None))
        if on_pixels and settings.dropout < 0.3:
            return "try more dropout", (("dropout", 0.3),)
        return "more images help most", ()
    return "", ()
