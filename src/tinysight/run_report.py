"""Makes the report of a training, from the training itself or from the folder that it left."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from .background_plots import Draw, draw_here
from .classifier import Classifier
from .data.dataset import SPLITS, ImageSet
from .data.loading import load_images
from .errors import DataError, OutputError
from .evaluation import Evaluation, probabilities_of
from .files import write_whole
from .gallery import choose_pictures
from .report import RunFacts, plots_of, render_report

if TYPE_CHECKING:  # an import would load TensorFlow
    from .training.progress import EpochResult


NEEDED = {  # in settings.json
    "settings": ("api", "hidden", "dropout", "recipe", "batch_size", "seed"),
    "data": ("name", "sha256", "num_images"),
    "framing": ("method",),
    "versions": (),
}
NO_GALLERY_OF_FOLDS = (
    "The images are not shown: in a cross-validation each is scored by the network of its fold, which is not kept."
)


@dataclass(frozen=True)
class Run:
    """What a report needs of a training.

    Attributes:
        classifier: The classifier.
        described: What ``settings.json`` holds, see `run_folder.describe_training`.
        history: The epochs, in order.
        evaluation: The evaluation on the test images.
        verdict: Whether the network overfits, in a sentence.
    """

    classifier: Classifier
    described: Mapping[str, Any]
    history: "Sequence[EpochResult]"
    evaluation: Evaluation
    verdict: str = ""


def report_of(
    run: Run,
    images: ImageSet | None,
    probabilities: NDArray[np.float32] | None = None,
    missing: str = "",
    draw: Draw = draw_here,
) -> str:
    """Return a training's report as HTML.

    Args:
        run: The training.
        images: Its images with their splits; without them the report shows none.
        probabilities: The probabilities of the test images, float32 ``(num_images, num_classes)``, if they are known.
        missing: Why there are no images.
        draw: Begins to draw the plots, see `plotting_process`.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    facts = RunFacts(
        run.verdict, run.history, run.described["best_epoch"], _lines(run),
        {name: _as_text(value) for name, value in run.described["settings"].items()},
    )  # fmt: skip
    drawings = draw(plots_of(run.evaluation, facts))
    if images is None:
        return render_report(run.evaluation, facts, None, missing, drawings)
    test_images = images.subset("test")
    if not len(test_images):
        return render_report(run.evaluation, facts, None, NO_GALLERY_OF_FOLDS, drawings)
    if probabilities is None:
        probabilities = probabilities_of(run.classifier, test_images.images)
    training = images, images.indices("train")
    gallery = choose_pictures(run.classifier, test_images, probabilities, run.evaluation.mistakes, training)
    return render_report(run.evaluation, facts, gallery, drawings=drawings)


def _lines(run: Run) -> dict[str, str]:
    """Return what the report says of the training, by name."""
    settings, data, parity = run.described["settings"], run.described["data"], run.classifier.metadata.parity
    epochs = f"{len(run.history)} epochs, of which epoch {run.described['best_epoch']} was kept"
    recipe = f"recipe {settings['recipe']}, batch size {settings['batch_size']}"
    source = run.classifier.metadata.pretrained
    kind = f"dense layers on the features of {source.origin} ({source.licence})" if source else settings["api"]
    lines = {
        "network": f"{kind}, hidden {_as_text(settings['hidden'])}, dropout {settings['dropout']:g}",
        "training": f"{recipe}, {epochs}, seed {settings['seed']}",
        "images": ", ".join(f"{count:,} {split}" for split, count in data["num_images"].items()),
        "framing": run.described["framing"]["method"],
        "data": f"{data['name']}, SHA-256 {data['sha256'][:16]}…",
        "versions": ", ".join(f"{name} {version}" for name, version in run.described["versions"].items()),
    }
    if parity:
        lines["ONNX and Keras"] = f"differ by at most {parity.max_difference:.1e} in a probability"
    return lines


def _as_text(value: object) -> str:
    if isinstance(value, bool | NoneType):
        return {True: "yes", False: "no", None: "none"}[value]
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def write_report(folder: str | Path, data: str | None = None) -> tuple[Path, str]:
    """Write the report of a run's folder anew.

    Args:
        folder: The run's folder.
        data: The images that it was trained on, by name or path; by default as they were named then.

    Returns:
        The report, and why it shows no images; an empty text if it does.

    Raises:
        DataError: A file of the run is missing or damaged.
        MissingExtraError: Jinja2 or matplotlib is not installed.
        ModelFileError: The run's classifier is missing or damaged.
        OutputError: The report cannot be written.
    """
    folder = Path(folder)
    run = read_run(folder)
    images, missing = _find_images(run, folder / "splits.csv", data)
    path = folder / "report.html"
    try:
        write_whole(path, report_of(run, images, missing=missing).encode(errors="backslashreplace"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path, missing


def read_run(folder: Path) -> Run:
    """Read a run's folder, without its images.

    Raises:
        DataError: A file of the run is missing or damaged.
        ModelFileError: Its classifier is missing or damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; expected one that 'tinysight train' has written")
    described = _read(folder / "settings.json", _read_settings)
    evaluation = _read(folder / "evaluation.json", lambda text: _from_json(Evaluation, json.loads(text)))
    history = _read(folder / "history.csv", _read_history)
    classifier = Classifier.load(folder / "model.onnx")
    stored = described.get("model_sha256")
    if stored and stored != sha256(classifier.file_bytes).hexdigest():
        raise DataError(f"{folder}: settings.json is of another model.onnx; the folder holds parts of two trainings")
    return Run(classifier, described, history, evaluation, described.get("verdict", ""))


def _read(path: Path, parse: Any) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = f"cannot be read ({error.strerror}); expected a file of a run, as 'tinysight train' writes it"
        raise DataError(f"{path}: {why}") from None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged, or of another version of Tinysight ({error}); train again") from None


def _read_settings(text: str) -> dict[str, Any]:
    """Return what ``settings.json`` holds; raises `KeyError` or `TypeError` unless all that a report shows is there."""
    described: dict[str, Any] = json.loads(text)
    for part, names in NEEDED.items():
        for name in names:
            described[part][name]
    return {**described, "best_epoch": int(described["best_epoch"])}


def _read_history(text: str) -> list[SimpleNamespace]:
    """Return the epochs in ``history.csv``, with the attributes of `EpochResult`."""
    rows = csv.DictReader(text.splitlines())
    return [
        SimpleNamespace(**{name: (int if name == "epoch" else float)(value) for name, value in row.items()})
        for row in rows
    ]


def _from_json(kind: Any, value: Any) -> Any:
    """Return a dataclass, or what one of its fields holds, from the JSON that `dataclasses.asdict` gave."""
    parts = get_args(kind)
    if is_dataclass(kind):
        types = get_type_hints(kind)
        return kind(**{one.name: _from_json(types[one.name], value[one.name]) for one in fields(kind)})  # type: ignore[operator]
    if get_origin(kind) is tuple:
        kinds = repeat(parts[0]) if parts[-1] is Ellipsis else parts
        return tuple(map(_from_json, kinds, value))
    if parts:  # something or None
        return None if value is None else _from_json(parts[0], value)
    if not isinstance(value, int | float if kind is float else kind):
        raise TypeError(f"{value!r} instead of {kind.__name__}")
    return value


def _find_images(run: Run, splits: Path, data: str | None) -> tuple[ImageSet | None, str]:
    """Return the images of a run with their splits, or why there are none."""
    name, framing = data or run.described["data"]["name"], run.classifier.framing
    for method in (
        None,
        framing.method,
    ):  # as it was loaded, if the framing was chosen from the images; then they are cached
        try:
            images = load_images(name, method, (framing.height, framing.width))
        except DataError as error:
            return None, f"The images are not shown: {error}."
        if images.framing == framing and images.data_hash == run.described["data"]["sha256"]:
            return _with_splits(images, splits)
    return None, f"The images are not shown: those in {name} are no longer the ones of the training."


def _with_splits(images: ImageSet, path: Path) -> tuple[ImageSet | None, str]:
    """Give images the splits that ``splits.csv`` holds, row by row."""
    codes = {name: code for code, name in enumerate(SPLITS)}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            hashes, split = zip(*((row["sha256"], codes[row["split"]]) for row in rows), strict=True)
        stored = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, 32)
    except (OSError, KeyError, TypeError, ValueError):
        return None, f"The images are not shown: {path.name}, which says how they were split, is missing or damaged."
    if not np.array_equal(stored, images.hashes):
        return None, f"The images are not shown: they are no longer in the order of {path.name}."
    return replace(images, split=np.array(split, np.uint8)), ""
