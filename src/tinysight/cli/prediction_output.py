"""Predictions as a table, JSON or CSV.

`prediction_lines` also runs in the processes that predict. They send text or a table's cells; the parent process only
prints them.
"""

import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
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
NUM_COLUMNS = 6  # of the table, with the column of doubtful pictures


class PredictionLines(NamedTuple):
    """Predictions as text.

    Attributes:
        header: Header of the whole output; printed once.
        pairs: Text for standard error and text for standard output, printed in turn.
        rows: Or rows of a table for a terminal.
    """

    header: str
    pairs: list[tuple[str, str]]
    rows: list[tuple[str, ...]]


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
        cells = [(prediction.source, *_cells(prediction, reject)) for prediction in predictions]
        return PredictionLines("", [], [tuple(map(printable, row)) for row in cells])
    header = _csv_line(_csv_header(predictions[0])) if output_format == "csv" else ""
    lines = [_line(prediction, output_format, reject) for prediction in predictions]
    if not show:
        return PredictionLines(header, [("", "".join(lines))], [])
    if output_format == "table":
        pairs = [("", _drawn(picture.pixels, out) + line) for picture, line in zip(framed, lines, strict=True)]
    else:
        pairs = [(_drawn(picture.pixels, err), line) for picture, line in zip(framed, lines, strict=True)]
    return PredictionLines(header, pairs, [])


class PredictionPrinter:
    """Prints what `prediction_lines` returns for one batch after the other, with one header, in columns that stay."""

    def __init__(self) -> None:
        self._has_header = False
        self._widths: list[int] = []  # of the table's columns so far

    def show(self, lines: PredictionLines) -> None:
        """Print the next batch."""
        if not self._has_header:
            sys.stdout.write(lines.header)
        for drawing, line in lines.pairs:
            if drawing:
                sys.stdout.flush()
                sys.stderr.write(drawing)
                sys.stderr.flush()
            sys.stdout.write(line)
        if lines.rows:
            self._show_rows(lines.rows)
        sys.stdout.flush()
        self._has_header = True

    def _show_rows(self, rows: list[tuple[str, ...]]) -> None:
        table = Table(box=None, pad_edge=False, header_style="dim", show_header=not self._has_header)
        table.add_column("picture", overflow="fold", min_width=20)
        table.add_column("class", no_wrap=True)
        table.add_column("probability", justify="right", no_wrap=True)
        if len(rows[0]) == NUM_COLUMNS:
            table.add_column("", style="yellow", no_wrap=True)  # whether it is doubtful
        table.add_column("next", style="dim")
        table.add_column("note", style="dim")
        # Columns are as wide as their longest cell in this and all earlier batches, by spaces behind the first row
        headers = [str(column.header) for column in table.columns]
        longest = [max(map(cell_len, column)) for column in zip(headers, *rows, strict=True)]
        self._widths = list(map(max, longest, self._widths or longest))
        table.add_row(*(Text(set_cell_size(text, width)) for text, width in zip(rows[0], self._widths, strict=True)))
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        print_table(table)


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
