"""Output on the terminal: tables, progress bars, and predictions as table, JSON or CSV.

`prediction_lines` also runs in the processes that predict. They send finished text; the parent process only prints it.
"""

import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..escapes import printable, printable_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..classifier import Prediction
    from ..data.dataset import ImageSet, Progress as ReportProgress
    from ..evaluation import Evaluation
    from ..preprocessing.framing import Framed

PREDICTION_FORMATS = ("table", "json", "csv")
DOUBTFUL = "doubtful"  # marks what is probably of no class
FRAMING_LINES = {
    "ink": "framing ink: the one drawn character in each picture is cut out and centred (or use --framing whole)",
    "whole": "framing whole: each picture is fitted to that size (for drawn characters use --framing ink)",
}


class Output(Console):
    """Standard output.

    Attributes:
        outlives_reader: Whether the program goes on when nobody reads its output any more, as after ``| head -1``.
        is_closed: Whether that has happened; nothing more is printed then.
    """

    outlives_reader = is_closed = False

    def on_broken_pipe(self) -> None:
        """Go on without output, or end the program."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            if not self.outlives_reader:
                raise
        self.is_closed = True


out = Output(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_line(text: str, style: str = "") -> None:
    """Print a line of the result."""
    out.print(Text("\n".join(map(printable, text.split("\n"))), style))


def print_warning(text: str) -> None:
    """Print a warning on standard error."""
    err.print(Text(f"warning: {printable(text)}", "yellow"))


def print_note(text: str) -> None:
    """Print a note on standard error."""
    err.print(Text(f"note: {printable(text)}", "dim"))


def print_progress(text: str) -> None:
    """Print a line of progress on standard error."""
    err.print(Text(printable(text)))


def print_error(message: str) -> None:
    """Print an error as one line on standard error."""
    print(f"tinysight: {printable(' '.join(message.split()))}", file=sys.stderr)  # noqa: T201


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share as a percentage."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def interval(bounds: tuple[float, float]) -> str:
    """Write the bounds of a share's 95 % interval."""
    low, high = map(percent, bounds)
    return f"95 % interval {low} to {high}"


@contextmanager
def progress_bar() -> Iterator["ReportProgress | None"]:
    """Yield a function that shows progress on a terminal, or None where standard error is not one.

    Results printed to the same terminal appear above the bar.
    """
    if not err.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = out if out.is_terminal else err
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=out.is_terminal)
    tasks = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total or None)
            bar.start()  # not earlier: it starts a thread, and processes are forked before that
        bar.update(tasks[what], completed=done)

    try:
        yield report
    finally:
        bar.stop()


def show_left_out(images: "ImageSet") -> None:
    """Print on standard error what was left out of an image set."""
    for line in images.unreadable:
        print_warning(f"left out: {line}")
    for line in images.skipped:
        print_note(line)


def show_images(images: "ImageSet") -> None:
    """Print what was loaded, and what was left out of it."""
    show_left_out(images)
    height, width, *channels = images.framing.image_shape
    kind = "colour" if channels else "grey"
    print_line(f"{images.name}: {len(images):,} {kind} images of {height}×{width}, {len(images.class_names)} classes")
    print_line(FRAMING_LINES[images.framing.method])


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a spinner on a terminal."""
    with err.status(what) if err.is_terminal else contextlib.nullcontext():
        yield


def show_accuracy(evaluation: "Evaluation") -> None:
    """Print the accuracy with its interval."""
    figures = {"test": "test accuracy", "folds": "all folds together"}
    figure = figures.get(evaluation.split, f"accuracy on {evaluation.split} images")
    print_line(
        f"{figure} {percent(evaluation.accuracy)}: {evaluation.num_correct:,} of "
        f"{evaluation.num_images:,} images ({interval(evaluation.accuracy_interval)})",
        "bold",
    )
    for note in evaluation.notes:
        print_line(f"note: {note}", "dim")


def show_next(*commands: str) -> None:
    """Print the commands to run next."""
    print_line("\nnext:")
    for command in commands:
        print_line(f"  {command}", "bold")


class PredictionLines(NamedTuple):
    """Predictions as text.

    Attributes:
        header: Header of the whole output; printed once.
        pairs: Text for standard error and text for standard output, printed in turn.
    """

    header: str
    pairs: list[tuple[str, str]]


def prediction_lines(
    predictions: "Sequence[Prediction]", framed: "Sequence[Framed]", output_format: str, reject: bool, show: bool
) -> PredictionLines:
    """Format predictions as a table, as one JSON object a line, or as CSV.

    Args:
        predictions: One prediction or more.
        framed: The pictures as the classifier's input.
        output_format: One of `PREDICTION_FORMATS`.
        reject: Whether a table shows ``none`` instead of a rejected class; else a column marks it as doubtful.
        show: Whether each picture is drawn as text; beside JSON and CSV on standard error.
    """
    if output_format == "table" and out.is_terminal and not show:
        return PredictionLines("", [("", _as_table(predictions, reject))])
    header = _csv_line(_csv_header(predictions[0])) if output_format == "csv" else ""
    lines = [_line(prediction, output_format, reject) for prediction in predictions]
    if not show:
        return PredictionLines(header, [("", "".join(lines))])
    if output_format == "table":
        pairs = [("", _drawn(picture.pixels, out) + line) for picture, line in zip(framed, lines, strict=True)]
    else:
        pairs = [(_drawn(picture.pixels, err), line) for picture, line in zip(framed, lines, strict=True)]
    return PredictionLines(header, pairs)


def print_predictions(lines: PredictionLines, is_first: bool) -> None:
    """Print what `prediction_lines` returned, with the header where it is the first."""
    if is_first:
        sys.stdout.write(lines.header)
    for drawing, line in lines.pairs:
        if drawing:
            sys.stdout.flush()
            sys.stderr.write(drawing)
            sys.stderr.flush()
        sys.stdout.write(line)
    sys.stdout.flush()


def _as_table(predictions: "Sequence[Prediction]", reject: bool) -> str:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("picture", overflow="fold", min_width=20)
    table.add_column("class", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    if not reject:
        table.add_column("", style="yellow", no_wrap=True)  # whether it is doubtful
    table.add_column("next", style="dim")
    table.add_column("note", style="dim")
    for prediction in predictions:
        table.add_row(*(Text(printable(cell)) for cell in (prediction.source, *_cells(prediction, reject))))
    with out.capture() as captured:
        print_table(table)
    return captured.get()


def _drawn(pixels: "NDArray[np.uint8]", console: Console) -> str:
    """Draw pixels as text, two rows a line: coloured half blocks where the terminal can, else ASCII characters."""
    levels = pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)
    text = Text()
    for top in range(0, len(levels), 2):
        rows = levels[top : top + 2]
        for upper, lower in zip(rows[0], rows[-1], strict=True):
            if console.color_system:
                colours = [f"rgb({red},{green},{blue})" for red, green, blue in (upper.tolist(), lower.tolist())]
                text.append("▀", f"{colours[0]} on {colours[1]}")
            else:
                text.append(" .:-=+*#%@"[int(upper.mean() + lower.mean()) * 9 // 510])
        text.append("\n")
    with console.capture() as captured:
        console.print(text)
    return captured.get()


def _cells(prediction: "Prediction", reject: bool) -> tuple[str, ...]:
    runners_up = ", ".join(f"{class_name} {percent(share)}" for class_name, share in prediction.ranking[1:])
    if reject and prediction.is_rejected:
        guess = f"{prediction.class_name} is the best guess, at {percent(prediction.probability)}"
        return "none", "", runners_up, "; ".join(filter(None, (guess, prediction.note)))
    doubt = () if reject else (DOUBTFUL if prediction.is_rejected else "",)
    return prediction.class_name, percent(prediction.probability), *doubt, runners_up, prediction.note


def _line(prediction: "Prediction", output_format: str, reject: bool) -> str:
    if output_format == "json":
        is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        return printable_json(json.dumps(prediction.to_dict(), ensure_ascii=not is_unicode, allow_nan=False)) + "\n"
    if output_format == "csv":
        values = [value for class_name, share in prediction.ranking for value in (class_name, share)]
        cells = [prediction.source, *values, int(prediction.is_rejected), prediction.note]
        is_terminal = sys.stdout.isatty()  # a file gets the names as they are
        return _csv_line([printable(cell) if is_terminal and isinstance(cell, str) else cell for cell in cells])
    texts = (prediction.source, *_cells(prediction, reject))
    return "\t".join(map(printable, texts)).rstrip("\t") + "\n"


def _csv_header(prediction: "Prediction") -> list[str]:
    numbers = ["", *(f"_{rank}" for rank in range(2, len(prediction.ranking) + 1))]
    return ["source", *(name for n in numbers for name in (f"class_name{n}", f"probability{n}")), "is_rejected", "note"]


def _csv_line(values: Sequence[str | float]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def print_table(table: Table) -> None:
    """Print a table; in a pipe, lines are not wrapped at 80 columns."""
    if not out.is_terminal:
        out.width = 10_000  # the argument `width` of print() cannot make it wider
    out.print(table, soft_wrap=False)
