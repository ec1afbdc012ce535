"""Writes a run's folder, the results of a training; it takes its place as a whole.

It holds ``model.onnx`` (the classifier), ``model.keras`` (the same network for Keras), ``settings.json``,
``splits.csv``, ``history.csv``, ``evaluation.json`` and ``report.html``.
"""

import contextlib
import csv
import io
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from hashlib import sha256
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .background_plots import Draw, draw_here
from .data.cache import cache_folder
from .data.dataset import SPLITS, ImageSet
from .data.groups import NO_GROUP
from .errors import OutputError
from .evaluation import Evaluation
from .files import flush, flush_folder, write_whole
from .folders import replace_folder, reserving
from .onnx_file import MeasuredAccuracy
from .run_report import Run, report_of
from .training.versions import installed_versions

if TYPE_CHECKING:  # an import would load TensorFlow, which `check_output` does not need
    from .training.progress import EpochResult
    from .training.train import Training


FILES = (
    "splits.csv", "history.csv", "settings.json", "evaluation.json", "report.html", "model.keras", "model.onnx",
)  # fmt: skip

TEMPORARY_PREFIX = ".tinysight-"  # of the folder for unfinished files; a killed program leaves one behind
SPECIAL_IN_CSV = re.compile('[,"\r\n]')
ROWS_AT_A_TIME = 65_536  # rows of splits.csv that are in memory as text: 20 MB


@contextmanager
def reserved_output(folder: str | Path, overwrite: bool = False) -> Iterator[None]:
    """Check that a run can be written to a folder, and keep other processes from writing one there meanwhile.

    Args:
        folder: The run's folder.
        overwrite: Whether a run in it may be replaced, see `check_output`.

    Raises:
        OutputError: A run cannot be written there, or another process is about to.
    """
    with reserving(Path(folder), cache_folder() / "locks"):
        check_output(folder, overwrite)
        yield


def checkpoint_path(folder: str | Path) -> Path:
    """Return where the state of a training is kept whose results will be in a folder: beside it."""
    folder = Path(folder).resolve()
    return folder.with_name(f"{_prefix_beside(folder)}checkpoint")


def check_output(folder: str | Path, overwrite: bool = False) -> None:
    """Raise `OutputError` unless a run can be written to `folder`, which is left as it is.

    Args:
        folder: The run's folder.
        overwrite: Whether a run in it may be replaced. A folder that holds other files is never replaced; unfinished
            files of a killed program do not count.
    """
    folder = Path(folder)
    try:
        # It may hold a run, if that may be replaced
        entries = list(folder.iterdir()) if folder.is_dir() else []
        entries = [path for path in entries if path not in _unfinished_folders(folder)]
        if other := sorted(path.name for path in entries if path.name not in FILES or path.is_dir()):
            raise OutputError(f"{folder}: holds other things than a run, such as {other[0]}; choose another with --out")
        if entries and not overwrite:
            raise OutputError(f"{folder}: holds a run; choose another with --out, or replace it with --overwrite")
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; expected the name of a folder")

        # It must be writable, or the nearest folder above it that exists
        existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=existing)).rmdir()
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another with --out") from None


def save_run(
    training: "Training",
    evaluation: Evaluation,
    folder: str | Path,
    overwrite: bool = False,
    verdict: str = "",
    has_report: bool = True,
    probabilities: NDArray[np.float32] | None = None,
    draw: Draw = draw_here,
) -> None:
    """Write a run's folder.

    All files are written to a temporary folder and flushed to the disk. Then that folder takes its place in one step,
    so that a killed program leaves the old run or the new one, whole.

    Args:
        training: The result of `train`.
        evaluation: The result of `evaluate` on its test images.
        folder: The run's folder; it is created with the folders above it.
        overwrite: Whether a run in it may be replaced.
        verdict: Whether the network overfits, in a sentence; for the report and ``settings.json``.
        has_report: Whether ``report.html`` is written.
        probabilities: The classifier's probabilities of the test images, float32 ``(num_images, num_classes)``, where
            they are known already.
        draw: Begins to draw the report's plots, see `plotting_process`.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
        OutputError: The folder holds something already, or cannot be written.
    """
    with reserved_output(folder, overwrite), _new_files(Path(folder).resolve(), str(folder)) as temporary:
        _write_files(training, evaluation, temporary, verdict)
        if has_report:
            _write_report(training, evaluation, temporary, verdict, probabilities, draw)


@contextmanager
def _new_files(folder: Path, name: str) -> Iterator[Path]:
    """Give a temporary folder; when the block ends without an error, its files become those of `folder`.

    Raises:
        OutputError: They cannot be written; the message calls the folder `name`.
    """
    new_folders = [place for place in folder.parents if not place.exists()]
    temporary: Path | None = None
    try:
        # Remove what a killed program has left
        for unfinished in [*_unfinished_folders(folder), *_unfinished_beside(folder)]:
            shutil.rmtree(unfinished, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = _can_be_replaced(folder)
        prefix = _prefix_beside(folder) if beside else TEMPORARY_PREFIX
        temporary = (folder.parent if beside else folder) / f"{prefix}{token_hex(4)}"
        temporary.mkdir()
        if folder.exists():
            shutil.copymode(folder, temporary)
        yield temporary
        # All are complete: flush them, then put them in their place
        for path in temporary.iterdir():
            flush(path)
        flush_folder(temporary)
        if beside:
            replace_folder(temporary, folder)
        else:
            _move_files(temporary, folder)
    except BaseException as error:
        # Leave nothing that was not there before
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # a folder that is not empty stays
            for place in new_folders:
                place.rmdir()
        if isinstance(error, OSError):
            raise OutputError(f"{name}: cannot be written ({error.strerror or error}); nothing was changed") from None
        raise


def _can_be_replaced(folder: Path) -> bool:
    """Tell whether another folder can take its place: not where it is mounted, in use, or its parent is read-only."""
    if not folder.exists():
        return True
    is_in_use = folder == Path.cwd() or folder in Path.cwd().parents
    return not (folder.is_mount() or is_in_use) and os.access(folder.parent, os.W_OK)


def _move_files(temporary: Path, folder: Path) -> None:
    """Move a run's files to a folder one after the other; the classifier first, whose hash the others hold."""
    for name in reversed(FILES):
        if (temporary / name).exists():
            (temporary / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    temporary.rmdir()
    flush_folder(folder)


def _unfinished_folders(folder: Path) -> list[Path]:
    """Return the temporary folders that killed programs have left in a folder."""
    return [path for path in folder.glob(f"{TEMPORARY_PREFIX}*") if path.is_dir() and not path.is_symlink()]


def _prefix_beside(folder: Path) -> str:
    """Return how the names of temporary folders beside a folder begin; a name is no prefix of another's."""
    return f"{TEMPORARY_PREFIX}{folder.name}~"


def _unfinished_beside(folder: Path) -> list[Path]:
    """Return the temporary folders that killed programs have left beside a folder, which is reserved."""
    if not folder.parent.is_dir():
        return []
    return [path for path in folder.parent.iterdir() if path.name.startswith(_prefix_beside(folder)) and path.is_dir()]


def _write_files(training: "Training", evaluation: Evaluation, folder: Path, verdict: str) -> None:
    """Write all `FILES` but the report to a folder."""
    # The classifier, and the same network for Keras
    test = MeasuredAccuracy(evaluation.num_images, evaluation.accuracy, evaluation.accuracy_interval)
    classifier = training.classifier.with_metadata(test=test)
    classifier.save(folder / "model.onnx")
    model_hash = {"model_sha256": sha256(classifier.file_bytes).hexdigest()}
    training.model.optimizer.build(training.model.trainable_variables)  # otherwise Keras warns when the file is loaded
    training.model.save(folder / "model.keras")

    # What was done, and how well it went
    _write_splits(training.images, folder / "splits.csv")
    texts = {
        "settings.json": json.dumps({**describe_training(training, verdict), **model_hash}, indent=2, allow_nan=False),
        "history.csv": _history_as_csv(training.history),
        "evaluation.json": json.dumps({**evaluation.to_dict(), **model_hash}, indent=2, allow_nan=False),
    }
    for name, text in texts.items():
        write_whole(folder / name, text.encode(errors="backslashreplace"))  # file names need not be Unicode


def _write_report(
    training: "Training",
    evaluation: Evaluation,
    folder: Path,
    verdict: str,
    probabilities: NDArray[np.float32] | None,
    draw: Draw,
) -> None:
    described = describe_training(training, verdict)
    run = Run(training.classifier, described, training.history, evaluation, verdict)
    text = report_of(run, training.images, probabilities, draw=draw)
    write_whole(folder / "report.html", text.encode(errors="backslashreplace"))


def describe_training(training: "Training", verdict: str = "") -> dict[str, Any]:
    """Return what is needed to repeat a training, for JSON, and its verdict."""
    packages = ("tinysight", "tensorflow", "keras", "numpy", "onnxruntime", "pillow")
    return {
        "settings": asdict(training.settings),
        "best_epoch": training.best_epoch,
        "was_stopped": training.was_stopped,
        "verdict": verdict,
        "data": {
            "name": training.images.name,
            "sha256": training.images.data_hash,
            "num_images": {split: len(training.images.indices(split)) for split in ("train", "validation", "test")},
            "class_names": training.images.class_names,
            "unreadable": training.images.unreadable,
        },
        "framing": asdict(training.images.framing),
        "versions": {"python": platform.python_version(), **installed_versions(*packages)},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def _write_splits(images: ImageSet, path: Path) -> None:
    """Write a row for each image, `ROWS_AT_A_TIME` in memory: a manifest, which `load_images` reads.

    A group's name is its number. The fields are joined and quoted by hand: `csv.writer` takes five times as long (6
    million rows).
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:  # any file's name
        file.write(f"file,label,split,{'' if images.groups is None else 'group,'}sha256\n")
        class_names = [_csv_field(name) for name in images.class_names]
        sources = map(_csv_field, images.sources)
        for start in range(0, len(images), ROWS_AT_A_TIME):
            chunk = slice(start, start + ROWS_AT_A_TIME)
            digits = images.hashes[chunk].tobytes().hex()
            hashes = [digits[first : first + 64] for first in range(0, len(digits), 64)]
            labels = [class_names[label] for label in images.labels[chunk].tolist()]
            names = [SPLITS[code] for code in images.split[chunk].tolist()]
            groups = [] if images.groups is None else [_group_names(images.groups[chunk])]
            rows = zip(islice(sources, len(names)), labels, names, *groups, hashes, strict=True)
            file.writelines(f"{','.join(row)}\n" for row in rows)


def _group_names(groups: NDArray[np.int64]) -> list[str]:
    return ["" if group == NO_GROUP else str(group) for group in groups.tolist()]


def _csv_field(text: str) -> str:
    """Quote a text if it holds a comma, a quote or a line break. Source: RFC 4180."""
    if not SPECIAL_IN_CSV.search(text):
        return text
    quoted = text.replace('"', '""')
    return f'"{quoted}"'


def _history_as_csv(history: "list[EpochResult]") -> str:
    columns = [field.name for field in fields(history[0])]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(epoch, column) for column in columns] for epoch in history)
    return buffer.getvalue()
