"""Predictions as a table, JSON or CSV.

`prediction_lines` also runs in the processes that predict. They send finished text; the parent process only prints it.
"""

import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..escapes import printable, printable_json
from .console import err, out, percent, print_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..classifier import Prediction
    from ..preprocessing.framing import Framed

FORMATS = ("table", "json", "csv")
DOUBTFUL = "doubtful"  # marks what is probably of no class


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
        output_format: One of `FORMATS`.
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
