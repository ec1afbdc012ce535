"""Turns a study's result into one self-contained HTML page without scripts."""

from math import inf
from typing import Any

from ..errors import MissingExtraError
from ..overfitting import Figure
from ..plots import STYLE, Curve, plot_curves
from .results import CellResult, StudyResult

SPLITS = {"train": "training", "validation": "validation"}
NUM_CURVE_POINTS = 40  # of a fitted learning curve


def render_study(result: StudyResult) -> str:
    """Return a study as one HTML page; it loads no other file.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("writing a report", "train") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinysight"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters.update(
        capitalized=lambda text: text[:1].upper() + text[1:], share=_share, loss=_loss, signed=_signed
    )
    of_sizes = {size: [cell for cell in result.cells if cell.cell.num_train == size] for size, _ in result.verdicts}
    return environment.get_template("study.html").render(
        result=result,
        plot_style=STYLE,
        plots={size: _plots(cells) for size, cells in of_sizes.items()},
        first_cells=[cells[0] for cells in of_sizes.values()],
        learning_curves=_learning_curves(result) if result.learning_curves else "",
    )


def _plots(cells: list[CellResult]) -> list[str]:
    """Draw accuracy and loss by epoch of the cells of a size: training and validation, a colour for each cell."""
    plots = []
    for name in ("accuracy", "loss"):
        curves = []
        for place, cell in enumerate(cells):
            for dash, (split, word) in enumerate(SPLITS.items()):
                figures = cell.curve(f"{split}_{name}")
                highest = 1.0 if name == "accuracy" else inf
                curves.append(
                    Curve(
                        f"{word}, {cell.name}", cell.epochs, [figure.mean for figure in figures],
                        [max(0.0, figure.low) for figure in figures],
                        [min(highest, figure.high) for figure in figures], place, 1 - dash,
                    )
                )  # fmt: skip
        number = f"{cells[0].cell.num_train:,} training images"
        description = f"{name} after each epoch on training and validation images, with {number}, for each setting"
        plots.append(plot_curves(curves, "epoch", name, description, is_share=name == "accuracy"))
    return plots


def _learning_curves(result: StudyResult) -> str:
    """Draw the test error by number of training images, and the fitted curves up to twice the largest."""
    import numpy as np

    curves = []
    for place, found in enumerate(result.learning_curves):
        means = [error.mean for error in found.errors]
        lows, highs = [max(0.0, error.low) for error in found.errors], [error.high for error in found.errors]
        curves.append(Curve(found.name, found.sizes, means, lows, highs, place, 0, markers=True))
        if found.curve.is_known:
            at = np.geomspace(found.sizes[0], 2 * found.sizes[-1], NUM_CURVE_POINTS)
            curves.append(
                Curve(f"power law, {found.name}", at.tolist(), found.curve.errors_at(at).tolist(), (), (), place, 2)
            )
    description = "test error by number of training images, with the power law that fits it"
    return plot_curves(curves, "training images", "test error", description, is_share=True, is_count=True)


def _share(figure: Figure) -> str:
    return f"{100 * figure.mean:.2f} ± {100 * _half(figure):.2f}"


def _loss(figure: Figure) -> str:
    return f"{figure.mean:.3f} ± {_half(figure):.3f}"


def _signed(figure: Figure, factor: float = 100, digits: int = 2) -> str:
    bounds = (f"{factor * value:+.{digits}f}" for value in (figure.mean, figure.low, figure.high))
    return "{} ({} to {})".format(*bounds).replace("-", "−")


def _half(figure: Figure) -> Any:
    return max(figure.high - figure.mean, figure.mean - figure.low)
