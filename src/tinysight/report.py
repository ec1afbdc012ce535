"""Turns an evaluation into one self-contained HTML page, which needs no script and no other file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from .background_plots import draw_here
from .errors import MissingExtraError
from .evaluation import ClassScore, Evaluation
from .gallery import Gallery
from .intervals import wilson_interval
from .plots import (
    STYLE,
    Curve,
    clean_text,
    plot_coverage,
    plot_curves,
    plot_matrix,
    plot_reliability,
)

if TYPE_CHECKING:  # an import would load TensorFlow
    from .training.progress import EpochResult

Interval = tuple[float, float]
MAX_CLASSES_IN_TABLE = 25  # a larger confusion matrix is drawn as a heat map
MAX_CLASSES_AT_ONCE = 40  # of more classes the worst come first, and all of them in a part to open
NUM_WORST_CLASSES = 20


@dataclass(frozen=True)
class RunFacts:
    """What a report says about a training, beside its evaluation.

    Attributes:
        verdict: Whether the network overfits, in a sentence; it comes first.
        history: The epochs, in order.
        best_epoch: The epoch that was kept, counted from 1.
        lines: Lines on network, images and training, by name.
        settings: Every setting, by name.
    """

    verdict: str = ""
    history: "Sequence[EpochResult]" = ()
    best_epoch: int = 0
    lines: Mapping[str, str] | None = None
    settings: Mapping[str, Any] | None = None


def render_report(
    evaluation: Evaluation,
    run: RunFacts | None = None,
    gallery: Gallery | None = None,
    missing: str = "",
    drawings: Callable[[], list[str]] | None = None,
) -> str:
    """Return an evaluation as one HTML page.

    Args:
        evaluation: The figures.
        run: The training, for the learning curves and the settings; by default the page has neither.
        gallery: The images to show.
        missing: Why there is no gallery.
        drawings: Returns the drawings of `plots_of`, if they are being made already.

    Returns:
        The page's text; it loads no other file.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    check_installed()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinysight"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_finalize,
    )  # fmt: skip
    environment.filters.update(percent=percent, interval=interval, probability=probability)
    run = run or RunFacts()
    is_table = _has_table(evaluation)
    reliability, coverage, *others = (drawings or draw_here(plots_of(evaluation, run)))()
    matrix_plot = "" if is_table else others.pop(0)
    matrix = evaluation.matrix()
    hits, predicted = matrix.diagonal().tolist(), matrix.sum(axis=0).tolist()
    scores = [_with_intervals(*of_class) for of_class in zip(evaluation.class_scores, hits, predicted, strict=True)]
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        run=run,
        gallery=gallery,
        missing=missing,
        figures=_figures(evaluation),
        learning_curves=others,
        matrix_rows=_matrix_rows(evaluation) if is_table else [],
        matrix_plot=matrix_plot,
        scores=scores,
        worst_scores=_worst(scores) if len(scores) > MAX_CLASSES_AT_ONCE else [],
        reliability=reliability,
        coverage=coverage,
        plot_style=STYLE,
    )


def plots_of(evaluation: Evaluation, run: RunFacts | None = None) -> list[partial[str]]:
    """Return how to draw the plots of a report; arguments as for `render_report`."""
    matrix = [] if _has_table(evaluation) else [_matrix_plot(evaluation)]
    return [_reliability(evaluation), _coverage(evaluation), *matrix, *_learning_curves(run or RunFacts())]


def _has_table(evaluation: Evaluation) -> bool:
    """Tell whether the confusion matrix is shown as a table."""
    return len(evaluation.class_names) <= MAX_CLASSES_IN_TABLE


def check_installed() -> None:
    """Check that what a report is made with is installed, before anything is computed.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    if not all(map(find_spec, ("jinja2", "matplotlib"))):
        raise MissingExtraError("writing a report", "train")


def _finalize(value: object) -> object:
    """Clean a text before it is escaped; what is marked as safe is a plot."""
    return clean_text(value) if type(value) is str else value


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share as a percentage."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def probability(share: float) -> str:
    """Write a probability; none is certain, least of all that of a mistake."""
    return ">\u00a099.9\u00a0%" if share > 0.9994 else percent(share, 1)


def interval(ends: Interval | None, digits: int = 2) -> str:
    """Write an interval of shares as percentages."""
    return "" if ends is None else f"{100 * ends[0]:.{digits}f} to {100 * ends[1]:.{digits}f}\u00a0%"


def _figures(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    """Return rows of name, value, 95 % interval, and what it is."""
    share, ends = percent, interval
    rows = [
        ("accuracy", share(evaluation.accuracy), ends(evaluation.accuracy_interval), "share of images that are right")
    ]
    if folds := evaluation.fold_scores:
        what = f"mean of {len(folds.folds)} networks, each on its own fold; standard deviation {share(folds.deviation)}"
        rows.append(("accuracy of the folds", share(folds.mean), ends(folds.interval), what))
    balanced = share(evaluation.balanced_accuracy), ends(evaluation.balanced_accuracy_interval)
    rows.append(("balanced accuracy", *balanced, "the same for each class, then the mean over the classes"))
    for top in evaluation.top_k:
        what = f"the true class is among the {top.k} most probable"
        rows.append((f"top-{top.k} accuracy", share(top.accuracy), ends(top.accuracy_interval), what))
    what = "mean of −ln(probability of the true class)"
    if evaluation.log_loss_unscaled is not None:
        what += f"; {evaluation.log_loss_unscaled:.4f} before temperature scaling"
    rows.append(("log loss", f"{evaluation.log_loss:.4f}", _plain(evaluation.log_loss_interval), what))
    calibration = evaluation.calibration
    what = f"how far probabilities are from what is right; {share(calibration.ece_bias)} is the work of chance"
    rows.append(("calibration error", share(calibration.ece), "", what))
    if evaluation.reject_below:
        point = evaluation.at_reject_below
        what = (
            f"have a probability of {share(evaluation.reject_below)} or more; of these {share(point.error)} are wrong"
        )
        rows.append(("not rejected", share(point.coverage), "", what))
    if outside := evaluation.outside:
        others = f"{outside.num_images:,} images of {outside.data_name}"
        what = f"tells the images from {others}, of which {share(outside.rejected)} are rejected"
        rows.append(("AUROC", f"{outside.auroc:.4f}", _plain(outside.auroc_interval), what))
    return rows


def _plain(ends: Interval) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def _learning_curves(run: RunFacts) -> list[partial[str]]:
    """Return plots of accuracy and loss by epoch."""
    if not run.history:
        return []
    epochs = [epoch.epoch for epoch in run.history]
    marked = (float(run.best_epoch), f"kept: epoch {run.best_epoch}") if run.best_epoch else None
    plots = []
    for name in ("accuracy", "loss"):
        values = {
            split: [getattr(epoch, f"{split}_{name}") for epoch in run.history] for split in ("train", "validation")
        }
        curves = [Curve("training", epochs, values["train"]), Curve("validation", epochs, values["validation"])]
        shown = {
            split: percent(line[-1]) if name == "accuracy" else f"{line[-1]:.4f}" for split, line in values.items()
        }
        description = (
            f"{name} by epoch; after the last of {len(epochs)} it is {shown['train']} for training and "
            f"{shown['validation']} for validation images"
        )
        plots.append(partial(plot_curves, curves, "epoch", name, description, marked, is_share=name == "accuracy"))
    return plots


def _matrix_rows(evaluation: Evaluation) -> list[tuple[str, list[tuple[int, float]]]]:
    """Return for each class its row of the confusion matrix: counts, each with its cell's darkness 0…1.

    The darkness is the square root of the count's share in its row, so that rare confusions are visible.
    """
    return [
        (name, [(count, round((count / (sum(counts) or 1)) ** 0.5, 2)) for count in counts])
        for name, counts in zip(evaluation.class_names, evaluation.confusion_matrix, strict=True)
    ]


def _matrix_plot(evaluation: Evaluation) -> partial[str]:
    counts = evaluation.matrix()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    description = (
        f"Confusion matrix of {len(counts)} classes: {evaluation.num_correct:,} of {evaluation.num_images:,} images "
        "are on its diagonal; the table of the most frequent confusions says where the others are"
    )
    return partial(plot_matrix, np.sqrt(shares), evaluation.class_names, description)


def _with_intervals(
    score: ClassScore, hits: int, num_predicted: int
) -> tuple[ClassScore, Interval | None, Interval | None]:
    """Return a class's scores with Wilson's intervals of precision and recall."""
    precision, recall = (wilson_interval(hits, whole) if whole else None for whole in (num_predicted, score.num_images))
    return score, precision, recall


def _worst(scores: list[tuple[ClassScore, Interval | None, Interval | None]]) -> list[Any]:
    """Return the classes with images that have the lowest F1 score."""
    with_images = [row for row in scores if row[0].num_images]
    return sorted(with_images, key=lambda row: row[0].f1 or 0.0)[:NUM_WORST_CLASSES]


def _reliability(evaluation: Evaluation) -> partial[str]:
    pairs = [("stated", evaluation.calibration), ("before scaling", evaluation.calibration_unscaled)]
    series = [
        (
            name,
            [one.confidence for one in calibration.bins],
            [one.accuracy for one in calibration.bins],
            [one.accuracy_interval for one in calibration.bins],
        )
        for name, calibration in pairs
        if calibration
    ]
    description = (
        f"Reliability curve: the share of right answers in {len(evaluation.calibration.bins)} groups of images with "
        f"rising probability; calibration error {percent(evaluation.calibration.ece)}"
    )
    return partial(plot_reliability, series, description)


def _coverage(evaluation: Evaluation) -> partial[str]:
    points = [point for point in evaluation.coverage if point.error is not None]
    at_threshold = evaluation.at_reject_below
    description = (
        f"Mistakes against the share of images answered: {percent(1 - evaluation.accuracy)} if all are answered"
    )
    marked = None
    if evaluation.reject_below and at_threshold.error is not None:
        marked = (at_threshold.coverage, at_threshold.error, f"threshold {percent(evaluation.reject_below, 0)}")
        description += f", {percent(at_threshold.error)} if {percent(at_threshold.coverage)} are"
    errors = [float(point.error or 0) for point in points]
    return partial(plot_coverage, [point.coverage for point in points], errors, description, marked)
