"""Output of `tinysight study` on the terminal: progress, tables, verdicts."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from . import console

if TYPE_CHECKING:
    from ..overfitting import Figure
    from ..study.results import CellResult, ComparisonResult, StudyResult
    from ..study.settings import Cell
    from ..study.trainings import Scores, Task


ACCURACIES = ("train_accuracy", "validation_accuracy")


class StudyProgress:
    """Shows on standard error how many trainings are done: a bar with the time left, or lines off a terminal.

    Attributes:
        on_features: Shows how many images' features are computed before; None off a terminal.
    """

    def __init__(self) -> None:
        self._num_done, self._work_done = 0, 0
        self._bar: Any = None
        self._bar_before = ExitStack()
        self.on_features = self._bar_before.enter_context(console.progress_bar())

    def __enter__(self) -> "StudyProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar_before.close()
        if self._bar:
            self._bar.stop()

    def __call__(self, task: "Task", scores: "Scores", cells: "tuple[Cell, ...]", num_seeds: int) -> None:
        """Show that a training is done."""
        self._bar_before.close()  # there can be one bar at a time
        self._num_done += 1
        self._work_done += task.cell.work
        count = f"{self._num_done} of {len(cells) * num_seeds} trainings"
        if not console.err.is_terminal:
            accuracies = f"training {console.percent(scores.train_accuracy[-1])}, test " + console.percent(
                scores.test_accuracy[-1]
            )
            what = f"{task.cell.num_train:,} images, {task.cell.name(cells)}, seed {task.seed}"
            console.print_progress(f"{count}: {what}: {accuracies}, {scores.seconds:.0f} s")
            return
        if not self._bar:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console.err, transient=True)
            self._bar.add_task(count, total=num_seeds * sum(cell.work for cell in cells))
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], description=count, completed=self._work_done)


def show_study(result: "StudyResult", folder: Path) -> None:
    """Print a study's tables and verdicts, and the files written."""
    console.print_line("")
    console.print_table(_table_of_cells(result.cells))
    if result.comparisons:
        console.print_line("")
        console.print_table(_table_of_comparisons(result.comparisons))
    correction = ""
    if len(result.comparisons) > 1:
        correction = f"; of the differences so that all {len(result.comparisons)} hold at once (Bonferroni)"
    what = f"\n± is the 95 % interval over {result.settings.num_seeds} seeds after the last epoch"
    console.print_line(what + correction, "dim")
    console.print_line("")
    for size, verdict in result.verdicts:
        console.print_line(f"{size:,} training images: {verdict.sentence}", "bold")
    for curve in result.learning_curves:
        console.print_line(f"{curve.name}: {curve.curve.sentence}")
    others = [comparison for comparison in result.comparisons if comparison.what != "remedy"]
    for comparison in others:
        console.print_line(f"{comparison.first.cell.num_train:,} training images: {comparison.verdict.sentence}")
    console.print_line(f"\nwrote {folder / 'study.html'} and {folder / 'study.json'}")


def _table_of_cells(cells: "tuple[CellResult, ...]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("setting", min_width=10)
    for column in ("training", "validation", "test, %", "gap, points", "gap in loss"):
        table.add_column(column, justify="right", no_wrap=True)
    for cell in cells:
        table.add_row(
            f"{cell.cell.num_train:,}", cell.name, *(f"{100 * cell.last(one).mean:.2f}" for one in ACCURACIES),
            _with_error(cell.last("test_accuracy"), 100, 2), _with_error(cell.judged.gap, 100, 2),
            _with_error(cell.judged.loss_gap, 1, 3),
        )  # fmt: skip
    return table


def _table_of_comparisons(comparisons: "tuple[ComparisonResult, ...]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("difference", min_width=10)
    for column in ("test, points", "gap, points", "gap in loss"):
        table.add_column(column, justify="right", no_wrap=True)
    for comparison in comparisons:
        differences, names = comparison.differences, (comparison.second.name, comparison.first.name)
        table.add_row(
            f"{comparison.first.cell.num_train:,}", " – ".join(names),
            _with_error(differences.test_accuracy, 100, 2, "+"), _with_error(differences.accuracy_gap, 100, 2, "+"),
            _with_error(differences.loss_gap, 1, 3, "+"),
        )  # fmt: skip
    return table


def _with_error(figure: "Figure", factor: float, digits: int, sign: str = "") -> str:
    half = max(figure.high - figure.mean, figure.mean - figure.low)
    return f"{factor * figure.mean:{sign}.{digits}f} ± {factor * half:.{digits}f}".replace("-", "−")
