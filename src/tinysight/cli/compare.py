"""The command `tinysight compare`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..escapes import printable
from . import console
from .console import percent, print_line, print_table
from .options import DONE, DONE_IN_PART, DataArgument, RootOption

if TYPE_CHECKING:
    from ..comparison import Comparison

MAX_DIFFERING_LISTED = 20  # images; the JSON has all


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A classifier file.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another classifier file.")],
    data: DataArgument,
    root: RootOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole comparison as JSON instead of tables.")
    ] = False,
) -> int:
    """Compare two classifiers on the same images: is one better, or may the difference be chance?

    The test images of DATA are used, or all its images if it has no test images.
    Images that one of the classifiers was trained on are left out.
    The classifiers may differ in input size and framing; classes are matched by name.
    """
    from ..classifier import Classifier
    from ..comparison import compare as score
    from ..data.loading import load_images

    first, second = Classifier.load(a), Classifier.load(b)
    with console.progress_bar() as progress:
        images = load_images(data, like=first.framing, progress=progress, root=root)
        is_same = first.framing == second.framing
        others = images if is_same else load_images(data, like=second.framing, progress=progress, root=root)
    console.show_left_out(images)
    comparison = score(first, second, images, others, (str(a), str(b)))
    if as_json:
        print(json.dumps(comparison.to_dict(), indent=2, allow_nan=False))  # noqa: T201
    else:
        show_comparison(comparison)
    return DONE_IN_PART if images.unreadable or others.unreadable else DONE


def show_comparison(comparison: "Comparison") -> None:
    """Print the verdict, the figures behind it, and some images that the classifiers answer differently."""
    print_line(comparison.verdict, "bold")
    for note in comparison.notes:
        print_line(f"note: {note}", "dim")
    which = "" if comparison.split == "all" else f"{comparison.split} "
    print_line(f"\n{comparison.num_images:,} {which}images of {comparison.data_name}")
    # Accuracy of each
    table = Table("", "accuracy", "95 % interval", "classifier", box=None, pad_edge=False, header_style="dim")
    for letter, one in (("A", comparison.a), ("B", comparison.b)):
        bounds = " to ".join(map(percent, one.accuracy_interval))
        table.add_row(letter, percent(one.accuracy), bounds, Text(printable(one.name), overflow="fold"))
    print_table(table)
    # Difference
    low, high = (f"{100 * bound:+.2f}" for bound in comparison.difference_interval)
    print_line(
        f"B less A: {100 * comparison.difference:+.2f} points (95 % interval {low} to {high}), "
        f"exact McNemar test p = {comparison.p_value:.2g}"
    )
    print_line(
        f"both right {comparison.num_both_correct:,}, only A {comparison.num_only_a_correct:,}, "
        f"only B {comparison.num_only_b_correct:,}, both wrong {comparison.num_both_wrong:,}"
    )
    _show_differing(comparison)


def _show_differing(comparison: "Comparison") -> None:
    total, shown = len(comparison.differing), comparison.differing[:MAX_DIFFERING_LISTED]
    if not shown:
        return
    count = f"{total:,}" if total == len(shown) else f"{len(shown)} of {total:,}; --json has all"
    print_line(f"\nimages that they answer differently ({count}):", "dim")
    table = Table("image", "class", "A", "B", box=None, pad_edge=False, header_style="dim")
    for one in shown:
        a, b = (Text(printable(answer), "" if answer == one.label else "red") for answer in (one.a, one.b))
        table.add_row(Text(printable(one.source), overflow="fold"), Text(printable(one.label)), a, b)
    print_table(table)
