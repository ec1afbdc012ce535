"""Draws plots as SVG that a page in light or dark can hold, with matplotlib.

Text stays text. Colours are CSS variables, which `STYLE` sets for light, dark and print; each has the light colour as
its fallback, so that a plot can stand alone. The same figures give the same text.
"""

import html
import io
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Interval = tuple[float, float]
WIDTH, HEIGHT = 440, 290  # of a plot, in CSS pixels
# Of curves in light and in dark. Source: M. Okabe and K. Ito, "Color Universal Design"; darkened for light pages, so
# that each has a contrast of 3 or more with the background (WCAG 2.2, 1.4.11)
SERIES = (
    ("#0072b2", "#56b4e9"), ("#c24e00", "#ff9c50"), ("#00805c", "#3ccf9f"), ("#a8457f", "#e69bc5"),
    ("#7a6500", "#e0d040"), ("#50565e", "#c4c9d0"),
)  # fmt: skip
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (9, 3)), (0, (3, 1, 1, 1, 1, 1)))
TEXT, LINES = "#1c2025", "#d8dce1"  # stand for the page's own colours of text and thin lines
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
MATRIX_COLOUR = (34, 134, 200)  # seen on light and on dark pages
CLASS_NAME_LENGTH = 18  # characters of a class name at an axis; longer ones are cut
LEGEND_LENGTH = 64  # characters of one row
MAX_NAMED_ROWS = 60  # of a matrix; of more classes some are named


def _variables(shade: int) -> str:
    return " ".join(f"--series-{number}: {colours[shade]};" for number, colours in enumerate(SERIES, 1))


STYLE = f"""\
:root {{ {_variables(0)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(1)} }} }}
.plot {{ display: block; max-width: 100%; height: auto; font-family: inherit; }}
"""


@dataclass(frozen=True)
class Curve:
    """A line of a plot.

    Attributes:
        name: What the legend calls it.
        x: Positions.
        y: As many values; NaN leaves a gap.
        low: Lower end of a band around the line, as many values; none by default.
        high: Its upper end.
        colour: Index into `SERIES`; by default its place among the curves.
        dash: Index into `DASHES`; by default its place among the curves.
        markers: Whether each value is marked.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    colour: int | None = None
    dash: int | None = None
    markers: bool = False


def plot_curves(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    description: str,
    marked: tuple[float, str] | None = None,
    is_share: bool = False,
    is_count: bool = False,
) -> str:
    """Draw curves, with bands where they have them.

    Args:
        curves: The curves, which share both axes.
        x_label: What the positions are.
        y_label: What the values are.
        description: What a reader who does not see the plot should know.
        marked: A position and its name, for a vertical line there.
        is_share: Whether values are shares, to be written in percent.
        is_count: Whether positions span orders of magnitude, as numbers of images do: their axis is logarithmic.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _figure(description) as (figure, axes):
        for place, curve in enumerate(curves):
            _draw_curve(axes, curve, place)
        _label(figure, axes, x_label, y_label, is_share)
        if is_count:
            _count_axis(axes, sorted({x for curve in curves for x in curve.x}))
        else:
            axes.locator_params("x", integer=True)
        if marked:
            axes.axvline(marked[0], color=TEXT, linewidth=0.8, linestyle=(0, (2, 2)), label=clean_text(marked[1]))
        if len(curves) > 1 or marked:
            _legend(figure, axes)
        return _as_svg(figure, description)


def plot_reliability(
    series: Sequence[tuple[str, Sequence[float], Sequence[float], Sequence[Interval]]], description: str
) -> str:
    """Draw the reliability curve: how often predictions of a probability are right.

    Args:
        series: For each curve its name, and for each bin the mean probability, the accuracy and its interval.
        description: What a reader who does not see the plot should know.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _figure(description) as (figure, axes):
        lowest = min((min(*probabilities, *accuracies) for _, probabilities, accuracies, _ in series), default=0.0)
        start = max(0.0, np.floor(10 * lowest - 0.5) / 10)
        axes.plot([start, 1], [start, 1], color=TEXT, linewidth=0.8, linestyle=(0, (2, 2)), label="perfect")
        for place, (name, probabilities, accuracies, intervals) in enumerate(series):
            colour = SERIES[place][0]
            ends = np.abs(np.array(intervals).T - np.array(accuracies))
            axes.errorbar(
                probabilities, accuracies, ends, color=colour, linestyle=DASHES[place], linewidth=1.4,
                marker="os"[place % 2], markersize=4, elinewidth=0.9, label=clean_text(name),
            )  # fmt: skip
        _label(figure, axes, "stated probability", "share that is right", is_share=True)
        axes.xaxis.set_major_formatter(_percent())
        axes.set_xlim(start, 1 + 0.02 * (1 - start))
        axes.set_ylim(start, 1 + 0.02 * (1 - start))
        _legend(figure, axes)
        return _as_svg(figure, description)


def plot_coverage(
    coverage: Sequence[float], error: Sequence[float], description: str, marked: tuple[float, float, str] | None = None
) -> str:
    """Draw the share of mistakes among the images that are answered, against their share of all images.

    Args:
        coverage: Shares of images that are answered.
        error: For each the share of mistakes among them.
        description: What a reader who does not see the plot should know.
        marked: Coverage, error and name of a point, such as the classifier's own threshold.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _figure(description) as (figure, axes):
        axes.plot(coverage, error, color=SERIES[0][0], linewidth=1.6, marker="o" if len(coverage) == 1 else "")
        _label(figure, axes, "share of images answered", "mistakes among them", is_share=True)
        axes.xaxis.set_major_formatter(_percent())
        axes.set_ylim(bottom=0)
        flawless = max((share for share, errors in zip(coverage, error, strict=True) if not errors), default=0.0)
        seen = min(flawless if any(error) else 0.0, marked[0] if marked else 1.0)  # below that no image is wrong
        axes.set_xlim(max(-0.01, np.floor(10 * seen - 0.5) / 10), 1.01)
        if marked:
            axes.plot(*marked[:2], color=SERIES[1][0], marker="o", markersize=6)
            is_right = marked[0] > sum(axes.get_xlim()) / 2
            axes.annotate(
                clean_text(marked[2]), marked[:2], (-8 if is_right else 8, 8), textcoords="offset points",
                ha="right" if is_right else "left", color=TEXT, fontsize=9,
            )  # fmt: skip
        return _as_svg(figure, description)


def plot_matrix(shares: NDArray[np.float64], names: Sequence[str], description: str) -> str:
    """Draw a confusion matrix as a heat map, for more classes than a table can show.

    Args:
        shares: ``(num_classes, num_classes)``, 0…1: how dark each cell is. Rows are true classes, columns predicted.
        names: Name of each class; of more than `MAX_NAMED_ROWS`, some are written.
        description: What a reader who does not see the plot should know.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    side = 2 * HEIGHT if len(names) > 30 else 1.5 * HEIGHT
    with _figure(description, side, side) as (figure, axes):
        # One colour, more or less opaque, is right on a light and on a dark page
        colour = np.array(MATRIX_COLOUR) / 255
        cells = np.empty((*shares.shape, 4))
        cells[..., :3], cells[..., 3] = colour, shares
        axes.imshow(cells, interpolation="nearest", aspect="equal")
        step = -(-len(names) // MAX_NAMED_ROWS)
        places = range(0, len(names), step)
        short = [_shortened(names[place]) for place in places]
        size = 8 if len(places) <= 30 else 6.5
        axes.set_xticks(places, short, rotation=90, fontsize=size)
        axes.set_yticks(places, short, fontsize=size)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.grid(False)
        axes.spines[:].set_visible(True)
        room = 14 + size * 0.62 * max(map(len, short)) + 18  # for names and the axis's own name
        figure.subplots_adjust(room / side / 0.75, 1 - 0.98 + room / side / 0.75, 0.98, 0.98)
        return _as_svg(figure, description)


def _draw_curve(axes: "Axes", curve: Curve, place: int) -> None:
    colour = SERIES[(place if curve.colour is None else curve.colour) % len(SERIES)][0]
    dash = DASHES[(place if curve.dash is None else curve.dash) % len(DASHES)]
    if len(curve.low):
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    marker = "o" if curve.markers or len(curve.x) == 1 else ""
    axes.plot(
        curve.x, curve.y, color=colour, linestyle=dash, linewidth=1.6, marker=marker, markersize=4,
        label=clean_text(curve.name),
    )  # fmt: skip


def _label(figure: "Figure", axes: "Axes", x_label: str, y_label: str, is_share: bool) -> None:
    """Name the axes: the one below it, the other above the plot, where it is read without turning the head."""
    axes.set_xlabel(clean_text(x_label))
    figure.text(0.012, 1 - 6 / (96 * figure.get_figheight()), clean_text(y_label), va="top")
    if is_share:
        axes.yaxis.set_major_formatter(_percent())
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.03 * (high - low)), min(high, 1 + 0.03 * (high - low)))


def _percent() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda share, _: f"{100 * share:.6g}\u2009%")  # a thin space


def _count_axis(axes: "Axes", counts: Sequence[float]) -> None:
    """Make the axis of positions logarithmic, with a tick at each of a few counts."""
    from matplotlib.ticker import NullFormatter, NullLocator

    axes.set_xscale("log")
    if len(counts) <= 8:
        axes.set_xticks(list(counts), [f"{count:,.0f}" for count in counts])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: "Figure", axes: "Axes") -> None:
    """Put the legend above the axes, where it hides no line."""
    _, labels = axes.get_legend_handles_labels()
    lengths = [len(label) + 8 for label in labels]  # with the piece of line before it, in characters
    columns = len(labels) if sum(lengths) <= LEGEND_LENGTH else max(1, LEGEND_LENGTH // max(lengths))
    rows = -(-len(labels) // columns)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.14, 1.0), ncols=columns, frameon=False, fontsize=9, handlelength=2.6,
        columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    extra = 15 * (rows - 1)  # pixels: more rows make the plot higher, not its axes lower
    width, height = figure.get_size_inches() * 96
    bottom, top = axes.get_position().y0 * height, axes.get_position().y1 * height
    figure.set_size_inches(width / 96, (height + extra) / 96)
    figure.subplots_adjust(bottom=bottom / (height + extra), top=top / (height + extra))


def import_matplotlib() -> None:
    """Import what plots are drawn with; nothing is logged, and the user's backend for windows does not matter.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    log = logging.getLogger("matplotlib")
    level, backend = log.level, os.environ.pop("MPLBACKEND", None)
    log.setLevel(logging.CRITICAL)  # it tells of caches that it builds
    try:
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("drawing a plot", "train") from error
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


@contextmanager
def _figure(description: str, width: float = WIDTH, height: float = HEIGHT) -> Iterator[tuple["Figure", "Axes"]]:
    """Give an empty plot, with matplotlib's own defaults in place of the user's, and without its warnings."""
    import_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    with warnings.catch_warnings(), matplotlib.rc_context({**defaults, **_settings(description)}):
        warnings.simplefilter("ignore")  # such as that its font lacks a character, which the reader's need not
        figure = Figure(figsize=(width / 96, height / 96), facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        figure.subplots_adjust(0.125, 48 / height, 0.955, 1 - 52 / height)
        yield figure, axes


def _settings(description: str) -> dict[str, Any]:
    return {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": description,  # the same names for the same plot, others in another plot of the page
        "text.parse_math": False,  # a class may be called $
        "text.color": TEXT, "axes.labelcolor": TEXT, "xtick.labelcolor": TEXT, "ytick.labelcolor": TEXT,
        "axes.edgecolor": LINES, "xtick.color": LINES, "ytick.color": LINES, "grid.color": LINES,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "grid.linewidth": 0.6, "font.size": 9.5, "axes.unicode_minus": True,
    }  # fmt: skip


def _as_svg(figure: "Figure", description: str) -> str:
    """Return a figure as an element for a page: with the page's colours, and without names for its parts."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)
    text = re.sub(r"\b(fill|stroke): (#[0-9a-f]{6})", lambda match: f"{match[1]}: {_as_css(match[2])}", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    width, height = figure.get_size_inches() * 96
    start = (
        f'<svg class="plot" viewBox="0 0 {width * 0.75:g} {height * 0.75:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{html.escape(clean_text(description))}" stroke-linejoin="round" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return start + text[text.index(">", text.index("<svg")) + 1 :].strip()


def _as_css(colour: str) -> str:
    """Return the CSS for a colour that was drawn with."""
    if colour == TEXT:
        return "currentColor"
    if colour == LINES:
        return f"var(--line, {LINES})"
    for number, (light, _) in enumerate(SERIES, 1):
        if colour == light:
            return f"var(--series-{number}, {light})"
    return colour


def clean_text(text: str) -> str:
    """Write out what no page should hold: control characters, also of the writing direction, and lone surrogates."""
    text = text.encode(errors="backslashreplace").decode()
    return UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _shortened(name: str) -> str:
    name = clean_text(name)
    return name if len(name) <= CLASS_NAME_LENGTH else name[: CLASS_NAME_LENGTH - 1] + "…"
