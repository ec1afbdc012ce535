"""The command `tinysight evaluate`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..escapes import printable
from . import console
from .console import interval, percent, print_line, print_table
from .options import DONE, DONE_IN_PART, ClassifierArgument, DataArgument, RootOption

if TYPE_CHECKING:
    from ..evaluation import Evaluation

MAX_CLASSES_IN_MATRIX = 20  # a wider matrix does not fit a terminal; the report shows larger ones
MAX_CLASSES_LISTED = 40  # of more classes, only those with the lowest F1 are listed
NUM_CONFUSIONS = 5  # listed; the JSON has more
UNBALANCED = 1.5  # times as many images in the largest class as in the smallest: then balanced accuracy differs
WANTED_ERROR = 0.01  # for which the reject option's coverage is printed


def evaluate(
    classifier: ClassifierArgument,
    data: DataArgument,
    outside: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Also measure how well images of no class are told apart: an image set with other things in it.",
        ),
    ] = None,
    root: RootOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole evaluation as JSON instead of tables.")
    ] = False,
) -> int:
    """Evaluate a classifier on images that it was not trained on.

    The test images of DATA are used, or all its images if it has no test images.
    Images that the classifier was trained on are left out.
    """
    from ..classifier import Classifier
    from ..data.loading import load_images
    from ..evaluation import evaluate as score
    from ..unseen_images import unseen_images

    loaded = Classifier.load(classifier)
    with console.progress_bar() as progress:
        images = load_images(data, like=loaded.framing, progress=progress, root=root)
        others = None if outside is None else load_images(outside, like=loaded.framing, progress=progress)
    for image_set in filter(None, (images, others)):
        console.show_left_out(image_set)
    outside_images = None if others is None else unseen_images(loaded, others)[0]
    evaluation = score(loaded, *unseen_images(loaded, images), outside=outside_images)
    if as_json:
        print(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False))  # noqa: T201
    else:
        show_evaluation(evaluation)
    return DONE_IN_PART if images.unreadable or (others and others.unreadable) else DONE


def show_evaluation(evaluation: "Evaluation") -> None:
    """Print the figures, the table of classes, the confusion matrix and the most confused classes."""
    console.show_accuracy(evaluation)
    _show_figures(evaluation)
    print_line("")
    _show_classes(evaluation)
    if len(evaluation.class_names) <= MAX_CLASSES_IN_MATRIX:
        _show_matrix(evaluation)
    if confusions := evaluation.confusions[:NUM_CONFUSIONS]:
        print_line("")
        table = Table("most confused", "predicted as", box=None, pad_edge=False, header_style="dim")
        table.add_column("images", justify="right")
        for one in confusions:
            table.add_row(Text(printable(one.label)), Text(printable(one.predicted)), f"{one.count:,}")
        print_table(table)


def _show_figures(evaluation: "Evaluation") -> None:
    """Print a line for each figure beside the accuracy."""
    before = "; before temperature scaling"
    counts = [row.num_images for row in evaluation.class_scores if row.num_images]
    if max(counts) > UNBALANCED * min(counts):
        bounds = interval(evaluation.balanced_accuracy_interval)
        print_line(f"balanced accuracy {percent(evaluation.balanced_accuracy)} ({bounds})")
    # Probabilities
    low, high = evaluation.log_loss_interval
    unscaled = evaluation.log_loss_unscaled
    also = "" if unscaled is None else f"{before} {unscaled:.4f}"
    print_line(f"log loss {evaluation.log_loss:.4f} (95 % interval {low:.4f} to {high:.4f}){also}")
    calibration, earlier = evaluation.calibration, evaluation.calibration_unscaled
    also = "" if earlier is None else f"{before} {percent(earlier.ece)}"
    chance = f"{percent(calibration.ece_bias)} by chance on so many images"
    print_line(f"calibration error {percent(calibration.ece)} ({chance}){also}")
    # The reject option
    answered = [point for point in evaluation.coverage if (point.error or 0) <= WANTED_ERROR]
    if evaluation.coverage[0] not in answered:
        most = f"{percent(answered[0].coverage, 0)} of the images" if answered else "no image"
        print_line(f"with at most {percent(WANTED_ERROR, 0)} of the answers wrong, it can answer {most}")
    if evaluation.reject_below:
        own = evaluation.at_reject_below
        wrong = "" if own.error is None else f", {percent(own.error)} of them wrongly"
        print_line(f"with --reject it answers {percent(own.coverage)} of the images{wrong}")
    if outside := evaluation.outside:
        figure = f"AUROC {outside.auroc:.4f} (95 % interval {' to '.join(f'{b:.4f}' for b in outside.auroc_interval)})"
        print_line(f"{outside.num_images:,} images of {outside.data_name} told apart: {figure}")
        if evaluation.reject_below:
            share = f"{percent(outside.rejected)} of them ({interval(outside.rejected_interval)})"
            print_line(f"with --reject it rejects {share}")


def _show_classes(evaluation: "Evaluation") -> None:
    rows = list(evaluation.class_scores)
    if len(rows) > MAX_CLASSES_LISTED:
        measured = [row for row in rows if row.num_images]
        rows = sorted(measured, key=lambda row: row.f1 or 0)[:MAX_CLASSES_LISTED]
        print_line(
            f"the {len(rows)} of {len(evaluation.class_scores)} classes with the lowest F1; --json has all", "dim"
        )
    table = Table("class", box=None, pad_edge=False, header_style="dim")
    for column in ("images", "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for row in rows:
        figures = (percent(row.precision), percent(row.recall), percent(row.f1))
        table.add_row(Text(printable(row.class_name)), f"{row.num_images:,}", *figures)
    print_table(table)


def _show_matrix(evaluation: "Evaluation") -> None:
    print_line("\nrows: true class, columns: predicted class", "dim")
    matrix = Table("", box=None, pad_edge=False, header_style="dim")
    for class_name in evaluation.class_names:
        matrix.add_column(Text(printable(class_name)), justify="right")
    for class_name, counts in zip(evaluation.class_names, evaluation.confusion_matrix, strict=True):
        matrix.add_row(Text(printable(class_name)), *(str(count) if count else "·" for count in counts))
    print_table(matrix)
