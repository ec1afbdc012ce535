"""What `tinysight train` prints of the split, the epochs, the folds, and the files that it has written."""

from pathlib import Path
from typing import TYPE_CHECKING

from .console import interval, percent, print_line, print_note, print_warning, show_accuracy

MAX_NAMES = 5  # of classes in a line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.dataset import ImageSet
    from ..data.splits import Leaks
    from ..evaluation import Evaluation, FoldScore
    from ..training.progress import EpochResult
    from ..training.train import Training


def show_split(images: "ImageSet", before: "ImageSet") -> None:
    """Print the number of training, validation and test images, and why some are not used.

    Args:
        images: The set with its split decided.
        before: The same set before.
    """
    from ..data.splits import find_leaks

    counts = {split: len(images.indices(split)) for split in ("train", "validation", "test", "unused")}
    print_line(", ".join(f"{count:,} {split}" for split, count in counts.items() if count))
    if num_copies := counts["unused"] - len(before.indices("unused")):
        print_note(f"{num_copies:,} images are left out: equal images or near-duplicates are in test or validation")
    _show_scarce_classes(images)
    leaks = find_leaks(images, before)
    if images.groups is not None:
        _show_groups(images.groups, straddle=bool(leaks.num_in_groups))
    _show_leaks(leaks)


def _show_scarce_classes(images: "ImageSet") -> None:
    """Print which classes have no test or no validation images, where others have."""
    absent = {}
    for split in ("test", "validation"):
        present = set(images.labels[images.indices(split)].tolist())
        absent[split] = [name for label, name in enumerate(images.class_names) if label not in present]
        if not present:  # after a cross-validation there are no test images
            absent[split] = []
    lacking = " and ".join(
        f"{len(names):,} have no {split} image ({_some(names)})" for split, names in absent.items() if names
    )
    if lacking:
        total = f"of {len(images.class_names):,} classes {lacking}"
        tested = "; the test accuracy says nothing about the former" if absent["test"] else ""
        print_warning(f"too few images: {total}{tested}; three images or more of each class would do")


def _some(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")


def _show_groups(groups: "NDArray[np.int64]", straddle: bool) -> None:
    """Print how many groups there are, and how many images are in none."""
    from ..data.groups import NO_GROUP

    num_groups, num_without = len(set(groups.tolist()) - {NO_GROUP}), int((groups == NO_GROUP).sum())
    without = f"; {num_without:,} images are in none" if num_without else ""
    where = "some of them in test images too" if straddle else "each in one split"
    print_line(f"{num_groups:,} groups, {where}{without}")


def _show_leaks(leaks: "Leaks") -> None:
    """Note how many images training will see that are much like test images."""
    for number, kind in (
        (leaks.num_near_duplicates, "are near-duplicates of test images"),
        (leaks.num_in_groups, "are in the same group as test images"),
    ):
        if number:
            print_note(f"{number:,} training or validation images {kind}; the test accuracy may be a little too high")


def show_checkpoint(path: Path, resume: bool) -> None:
    """Print whether an interrupted training was found, where that may be a surprise."""
    if resume and not path.exists():
        print_note("no interrupted training to go on with: starting with the first epoch")
    elif path.exists() and not resume:
        print_note("an earlier training into this folder was killed; the same command with --resume goes on with it")


class EpochLines:
    """Prints a line for each epoch."""

    def __init__(self, title: str = "") -> None:
        """Take a line to print above the first."""
        self._has_header, self._title = False, title

    def __call__(self, result: "EpochResult") -> None:
        """Print the line of one epoch."""
        if not self._has_header:
            if self._title:
                print_line(self._title)
            print_line("epoch   training: accuracy    loss   validation: accuracy    loss   seconds", "dim")
            self._has_header = True
        print_line(
            f"{result.epoch:5d} {percent(result.train_accuracy):>20} {result.train_loss:7.4f} "
            f"{percent(result.validation_accuracy):>22} {result.validation_loss:7.4f} {result.seconds:9.1f}"
        )


class FoldLines:
    """Prints a line for each fold of a cross-validation."""

    def __init__(self) -> None:
        self._has_header = False

    def __call__(self, score: "FoldScore") -> None:
        """Print the line of one fold."""
        if not self._has_header:
            print_line(" fold   images   accuracy", "dim")
            self._has_header = True
        print_line(f"{score.fold:5d} {score.num_images:8,} {percent(score.accuracy):>10}")


def show_training(training: "Training", evaluation: "Evaluation") -> None:
    """Print how a training ended, where it did not end with its last epoch, and how good it is."""
    if training.was_stopped:
        print_warning(f"stopped after epoch {len(training.history)} of {training.settings.epochs}")
    if training.has_diverged:
        diverged = len(training.history) + 1
        print_warning(
            f"training diverged in epoch {diverged}: the loss is NaN or infinite; lower the learning rate. "
            "The best epoch before is kept"
        )
    if training.best_epoch != len(training.history):
        rule = "the latest whose validation accuracy is within a standard error of the best"
        print_line(f"kept the weights of epoch {training.best_epoch}: {rule}")
    if scores := evaluation.fold_scores:
        mean = f"{percent(scores.mean)} ± {100 * scores.deviation:.2f}"
        print_line(f"mean of {len(scores.folds)} folds {mean} ({interval(scores.interval)})", "bold")
    show_accuracy(evaluation)


def show_files(folder: Path, has_report: bool) -> None:
    """List the files that a training has written."""
    print_line(f"\nwrote {folder}/")
    what = {
        "model.onnx": "the classifier",
        "model.keras": "the same network as a Keras model",
        "report.html": "the report: figures, plots, mistakes",
        "evaluation.json": "the same figures as JSON",
        "history.csv": "scores of each epoch",
        "splits.csv": "the split of each image",
        "settings.json": "every setting, to repeat the training",
    }
    if not has_report:
        del what["report.html"]
    for name, description in what.items():
        print_line(f"  {folder / name}  ({description})")
