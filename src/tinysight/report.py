"""Turns an evaluation into one self-contained HTML page without scripts."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .data.dataset import ImageSet
from .errors import MissingExtraError
from .evaluation import Evaluation

if TYPE_CHECKING:  # an import would load TensorFlow
    from .training.train import EpochResult

MAX_MISTAKES_SHOWN = 60
MAX_CLASSES_IN_MATRIX = 40  # a larger confusion matrix is unreadable; the most frequent confusions are listed instead
PLOT_WIDTH, PLOT_HEIGHT = 320, 160  # of a plot's SVG, in pixels
PLOT_MARGIN = 5  # above and below the lines, so that they are not cut off


def render_report(
    evaluation: Evaluation, images: ImageSet, history: "Sequence[EpochResult]" = (), facts: dict[str, str] | None = None
) -> str:
    """Return an evaluation as one HTML page.

    Args:
        evaluation: The figures.
        images: The images that were evaluated, for the gallery of mistakes.
        history: The epochs of the training, for the plots; without them there are none.
        facts: More lines for the page's top, by name.

    Returns:
        The page's text; it loads no other file.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("writing a report", "train") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinysight"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{share:.2%}"
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        facts=facts or {},
        plots=_plots(history) if len(history) > 1 else [],
        matrix=_matrix(evaluation) if len(evaluation.class_names) <= MAX_CLASSES_IN_MATRIX else [],
        confusions=_most_frequent_confusions(evaluation),
        mistakes=[(m, _png_address(images.images[m.index])) for m in evaluation.mistakes[:MAX_MISTAKES_SHOWN]],
        plot_size=(PLOT_WIDTH, PLOT_HEIGHT),
    )


def _plots(history: "Sequence[EpochResult]") -> list[dict[str, Any]]:
    """Return for each plot its name and range, and for each line in it its points in SVG coordinates and last value."""
    plots = []
    for name in ("accuracy", "loss"):
        lines = {split: [getattr(epoch, f"{split}_{name}") for epoch in history] for split in ("train", "validation")}
        values = [value for line in lines.values() for value in line]
        low, high = min(values), max(values)
        scale = (PLOT_HEIGHT - 2 * PLOT_MARGIN) / ((high - low) or 1.0)
        points = {
            split: " ".join(
                f"{PLOT_WIDTH * column / (len(line) - 1):.1f},{PLOT_HEIGHT - PLOT_MARGIN - (value - low) * scale:.1f}"
                for column, value in enumerate(line)
            )
            for split, line in lines.items()
        }
        last = {split: line[-1] for split, line in lines.items()}
        plots.append({"name": name, "points": points, "low": low, "high": high, "last": last})
    return plots


def _matrix(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return for each class its row of the confusion matrix: counts, each with its cell's darkness 0…1.

    The darkness is the square root of the count's share in its row, so that rare confusions are visible.
    """
    rows = []
    for class_name, counts in zip(evaluation.class_names, evaluation.confusion_matrix, strict=True):
        total = sum(counts) or 1
        rows.append(
            {"class_name": class_name, "cells": [(count, round((count / total) ** 0.5, 2)) for count in counts]}
        )
    return rows


def _most_frequent_confusions(evaluation: Evaluation, limit: int = 10) -> list[tuple[int, str, str]]:
    """Return counts with true and predicted class, the largest counts first."""
    names = evaluation.class_names
    pairs = [
        (count, names[row], names[column])
        for row, counts in enumerate(evaluation.confusion_matrix)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(pairs, key=lambda pair: -pair[0])[:limit]


def _png_address(pixels: NDArray[np.uint8]) -> str:
    """Return an image as a ``data:`` address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
