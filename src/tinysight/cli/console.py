"""Output on the terminal: lines, tables and progress bars."""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..escapes import printable
from ..wording import listed

if TYPE_CHECKING:
    from pathlib import Path

    from ..data.dataset import ImageSet, Progress as ReportProgress
    from ..evaluation import Evaluation
    from ..training.settings import TrainingSettings

NUM_CLASSES_NAMED = 10
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
    count = f"{len(images):,} {kind} images of {height}×{width}, {len(images.class_names)} classes"
    print_line(f"{images.name}: {count}: {listed(images.class_names, NUM_CLASSES_NAMED)}")
    print_line(FRAMING_LINES[images.framing.method])


def show_network(settings: "TrainingSettings", images: "ImageSet", weights: "Path | None" = None) -> None:
    """Print which network is taken and why, where there is a choice: auto takes the dense one for grey images.

    Raises:
        SettingsError: The network is the pretrained one, and a setting is for training on pixels.
    """
    from ..training.network_choice import choose_network

    network, reason = choose_network(settings, images.framing, weights)
    if network == "pretrained":
        settings.for_features()
    if network != "dense" or settings.network != "auto" or images.framing.channels == 3:
        print_line(f"network {network}: {reason}")


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


def print_table(table: Table) -> None:
    """Print a table; in a pipe, lines are not wrapped at 80 columns."""
    if not out.is_terminal:
        out.width = 10_000  # the argument `width` of print() cannot make it wider
    out.print(table, soft_wrap=False)
