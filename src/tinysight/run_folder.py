"""A run's folder: all that a training leaves on disk, as a whole or not at all; does not know commands.

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
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .data.dataset import SPLITS, ImageSet
from .errors import OutputError
from .evaluation import Evaluation
from .files import write_whole
from .onnx_file import MeasuredAccuracy
from .report import render_report

if TYPE_CHECKING:  # it would bring TensorFlow, which `check_output` can do without
    from .training.train import EpochResult, Training


FILES = (
    "splits.csv", "history.csv", "settings.json", "evaluation.json", "report.html", "model.keras", "model.onnx",
)  # fmt: skip

BUILDING = ".tinysight-"  # begins the name of a folder for unfinished files; a killed program leaves it behind
SPECIAL_IN_CSV = re.compile('[,"\r\n]')
ROWS_AT_A_TIME = 65_536  # of splits.csv in memory as text: 20 MB


def check_output(folder: str | Path, overwrite: bool = False) -> None:
    """Raise `OutputError` unless a run could be written to `folder`; nothing is left there.

    Args:
        folder: Where the run is to be.
        overwrite: Whether a run that is there already may be replaced; a folder with other things in it never is.
            What a killed program left unfinished does not count.
    """
    folder = Path(folder)
    try:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        names -= {path.name for path in _left_behind(folder)}
        if names - set(FILES):
            strange = sorted(names - set(FILES))[0]
            raise OutputError(f"{folder}: holds other things than a run, such as {strange}; choose another with --out")
        if names and not overwrite:
            raise OutputError(f"{folder}: holds a run; choose another with --out, or replace it with --overwrite")
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; expected the name of a folder")
        above = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        Path(tempfile.mkdtemp(prefix=BUILDING, dir=above)).rmdir()
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another with --out") from None


def save_run(training: "Training", evaluation: Evaluation, folder: str | Path, overwrite: bool = False) -> None:
    """Write a run's folder.

    The files are written to a temporary folder in it, and moved to their places when all of them are there.

    Args:
        training: What `train` gave.
        evaluation: What `evaluate` made of its test images.
        folder: Where to.
        overwrite: Whether a run that is there already may be replaced.

    Raises:
        OutputError: The folder holds something already, or cannot be written.
    """
    folder = Path(folder)
    check_output(folder, overwrite)
    new_folders = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if overwrite:
            for unfinished in _left_behind(folder):
                shutil.rmtree(unfinished)
        with tempfile.TemporaryDirectory(prefix=BUILDING, dir=folder) as building:
            _write_files(training, evaluation, Path(building))
            for name in FILES:
                (Path(building) / name).replace(folder / name)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a folder that is not empty stays
            for place in new_folders:
                place.rmdir()
        if isinstance(error, OSError):
            raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); nothing was changed") from None
        raise


def _left_behind(folder: Path) -> list[Path]:
    """Return the folders of unfinished files in a folder."""
    return [path for path in folder.glob(f"{BUILDING}*") if path.is_dir() and not path.is_symlink()]


def _write_files(training: "Training", evaluation: Evaluation, folder: Path) -> None:
    test = MeasuredAccuracy(evaluation.num_images, evaluation.accuracy, evaluation.accuracy_interval)
    training.classifier.with_metadata(test=test).save(folder / "model.onnx")
    training.model.optimizer.build(training.model.trainable_variables)  # else Keras warns whoever loads the file
    training.model.save(folder / "model.keras")
    _write_splits(training.images, folder / "splits.csv")
    test_images = training.images.subset("test")
    texts = {
        "settings.json": json.dumps(describe_training(training), indent=2),
        "history.csv": _history_as_csv(training.history),
        "evaluation.json": json.dumps(evaluation.to_dict(), indent=2),
        "report.html": render_report(evaluation, test_images, training.history, _facts(training)),
    }
    for name, text in texts.items():
        write_whole(folder / name, text.encode(errors="backslashreplace"))  # file names need not be Unicode


def describe_training(training: "Training") -> dict[str, Any]:
    """Return every setting of a training, with the versions and data behind it, as what JSON can hold."""
    packages = ("tinysight", "tensorflow", "keras", "numpy", "onnx", "onnxruntime", "pillow")
    return {
        "settings": asdict(training.settings),
        "best_epoch": training.best_epoch,
        "was_stopped": training.was_stopped,
        "data": {
            "name": training.images.name,
            "sha256": training.images.data_hash,
            "num_images": {split: len(training.images.indices(split)) for split in ("train", "validation", "test")},
            "class_names": training.images.class_names,
            "unreadable": training.images.unreadable,
        },
        "framing": asdict(training.images.framing),
        "versions": {"python": platform.python_version(), **{package: _version(package) for package in packages}},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def _version(package: str) -> str:
    try:
        return __version__ if package == "tinysight" else version(package)
    except PackageNotFoundError:  # installed under another name, as tensorflow-cpu is
        return "unknown"


def _write_splits(images: ImageSet, path: Path) -> None:
    """Write a row for each image; as text only a part of them is ever in memory."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write("source,sha256,label,split\n")
        class_names = [_csv_field(name) for name in images.class_names]
        sources = map(_csv_field, images.sources)
        for start in range(0, len(images), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            digits = images.hashes[part].tobytes().hex()
            hashes = [digits[first : first + 64] for first in range(0, len(digits), 64)]
            labels = [class_names[label] for label in images.labels[part].tolist()]
            names = [SPLITS[code] for code in images.split[part].tolist()]
            rows = zip(islice(sources, len(names)), hashes, labels, names, strict=True)
            file.writelines(f"{','.join(row)}\n" for row in rows)  # csv.writer takes five times as long


def _csv_field(text: str) -> str:
    """Quote a text where CSV asks for it. Source: RFC 4180."""
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


def _facts(training: "Training") -> dict[str, str]:
    settings, parity = training.settings, training.classifier.metadata.parity
    epochs = f"{len(training.history)} epochs, the best was epoch {training.best_epoch}"
    return {
        "network": f"{settings.api}, hidden {'–'.join(map(str, settings.hidden))}, dropout {settings.dropout:g}",
        "trained": f"recipe {settings.recipe}, batch size {settings.batch_size}, {epochs}, seed {settings.seed}",
        "images": ", ".join(f"{len(training.images.indices(s)):,} {s}" for s in ("train", "validation", "test")),
        "framing": training.classifier.framing.method,
        "ONNX and Keras": f"differ by at most {parity.max_difference:.1e} in a probability" if parity else "",
        "data": f"{training.images.name}, SHA-256 {training.images.data_hash[:16]}…",
    }
