"""The commands `tinysight train` and `tinysight summary`."""

import gc
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..errors import OutputError, SettingsError, check_choice, check_number
from ..preprocessing import DEFAULT_IMAGE_SIZE
from ..training.settings import APIS, DEFAULT_HIDDEN, MAX_FOLDS, NETWORKS, TrainingSettings, default_dropout_position
from . import console, train_output
from .options import (
    DONE,
    DONE_IN_PART,
    ChannelsOption,
    DataArgument,
    FramingOption,
    ImageSizeOption,
    RootOption,
    WeightsOption,
    data_arguments,
    parse_hidden,
    parse_image_size,
    parse_size,
    run_name,
    setting_arguments,
    setting_option,
    with_settings,
)
from .stopping import StopRequest, stop_requests

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..classifier import Classifier
    from ..data.dataset import ImageSet
    from ..evaluation import Evaluation
    from ..overfitting import Verdict
    from ..training.checkpoint import Checkpoint
    from ..training.train import Training


@with_settings
def train(
    data: DataArgument,
    framing: FramingOption = None,
    image_size: ImageSizeOption = None,
    weights: WeightsOption = None,
    channels: ChannelsOption = None,
    root: RootOption = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="For few images: test each image once, by as many trainings as there are folds; then train on all.",
            show_default="no cross-validation",
            rich_help_panel="Data",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results.", show_default="runs/ and the data's name", rich_help_panel="Output"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier training.", rich_help_panel="Output")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a training that was killed: the same command with this option.",
            rich_help_panel="Output",
        ),
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html.", rich_help_panel="Output")
    ] = True,
    **settings: Any,
) -> int:
    """Train a classifier on labelled images.

    DATA is the name of an image set, or a path:
    a folder or archive with one folder of pictures for each class,
    a table with columns file and label, or of pixels,
    or files of IDX, NumPy, Parquet or WebDataset; docs/data.md shows each.
    digits comes with scikit-learn; the other sets are downloaded once.
    """
    chosen = TrainingSettings(**{**settings, "hidden": parse_hidden(settings["hidden"])})
    size = parse_image_size(image_size)
    if folds is not None:
        check_number("number of folds", folds, 2, MAX_FOLDS)
        if resume:
            raise SettingsError("--folds does not go with --resume: each fold is trained anew; leave out --resume")
    from ..run_folder import checkpoint_path, reserved_output

    folder = out or Path("runs") / run_name(data)
    console.out.outlives_reader = True
    with reserved_output(folder, overwrite):
        if report:
            from ..report import check_installed

            check_installed()
        from ..data.loading import load_images
        from ..training.checkpoint import Checkpoint
        from ..training.network_choice import check_weights, photograph_size

        check_weights(chosen, weights)
        with console.progress_bar() as progress:
            large = photograph_size(chosen.network, weights)
            images = load_images(data, framing, size, None, progress, channels, root, large)
        checkpoint = Checkpoint(checkpoint_path(folder), resume)
        train_output.show_checkpoint(checkpoint.path, resume)
        given = [
            *data_arguments(channels, root),
            *([f"--folds {folds}"] if folds else []),
            *([f"--weights {shlex.quote(str(weights))}"] if weights else []),
        ]
        return _train_and_save(images, chosen, _Output(folder, overwrite, report), checkpoint, given, folds, weights)


class _Output(NamedTuple):
    """The run's folder, whether a run in it may be replaced, and whether a report is written."""

    folder: Path
    overwrite: bool
    has_report: bool


def _train_and_save(
    images: "ImageSet",
    settings: TrainingSettings,
    output: "_Output",
    checkpoint: "Checkpoint",
    data_options: list[str],
    folds: int | None,
    weights: Path | None,
) -> int:
    from ..background_plots import plotting_process
    from ..checks.run import quick
    from ..data.splits import split_images
    from ..training.compile_cache import keep_compiled_programs

    folder, overwrite, has_report = output
    # Choose the network, and split
    console.show_images(images)
    console.show_network(settings, images, weights)
    loaded, test = images, 0 if folds else settings.test  # after a cross-validation all images train
    with console.waiting("looking for near-duplicates"):
        images = split_images(images, settings.validation, test, settings.seed, settings.group)
    train_output.show_split(images, loaded)
    for line in quick(loaded):
        console.print_warning(line)
    with plotting_process(has_report) as draw, keep_compiled_programs():
        with console.waiting("loading TensorFlow"), _faster_imports("matplotlib", "pandas", "scipy", "sklearn"):
            from ..training import train as _  # noqa: F401
        from ..run_folder import save_run

        with stop_requests() as should_stop:
            if folds:
                training, evaluation = _train_folds(loaded, settings, folds, should_stop, weights)
                probabilities = None
            else:
                training, evaluation, probabilities = _train_once(images, settings, should_stop, checkpoint, weights)
            # Save
            verdict = _verdict(training)
            in_words = "; ".join(filter(None, (verdict.sentence, verdict.advice)))
            try:
                save_run(training, evaluation, folder, overwrite, in_words, has_report, probabilities, draw)
            except OutputError as error:
                return _save_classifier_alone(training.classifier, folder, error)
            checkpoint.remove()
    # Report
    train_output.show_training(training, evaluation)
    console.print_line(in_words)
    train_output.show_files(folder, has_report)
    program, model, data = _program(), shlex.quote(str(folder / "model.onnx")), shlex.quote(images.name)
    console.show_next(
        *([] if folds else [" ".join([f"{program} evaluate {model} {data}", *_root_alone(data_options)])]),
        f"{program} predict {model} PICTURE",
        *_advice(verdict, images, settings, folder, data_options),
    )
    if console.out.is_closed:
        console.print_warning(f"nobody read the output to its end; the results are in {folder}/")
    is_partial = images.unreadable or training.has_diverged or console.out.is_closed
    return should_stop.status or (DONE_IN_PART if is_partial else DONE)


def _train_once(
    images: "ImageSet",
    settings: TrainingSettings,
    should_stop: StopRequest,
    checkpoint: "Checkpoint",
    weights: Path | None,
) -> "tuple[Training, Evaluation, NDArray[np.float32]]":
    """Train, and evaluate on the test images; return their probabilities too."""
    from ..evaluation import evaluate, probabilities_of
    from ..training.train import train

    with console.progress_bar() as progress:
        training = train(images, settings, train_output.EpochLines(), should_stop, checkpoint, weights, progress)
    test_images = training.images.subset("test")
    probabilities = probabilities_of(training.classifier, test_images.images)
    return training, evaluate(training.classifier, test_images, probabilities=probabilities), probabilities


def _train_folds(
    images: "ImageSet", settings: TrainingSettings, folds: int, should_stop: StopRequest, weights: Path | None
) -> "tuple[Training, Evaluation]":
    """Train and evaluate fold by fold, then train on all."""
    from ..cross_validation import cross_validate

    epoch_lines = train_output.EpochLines("training on all folds")
    return cross_validate(images, settings, folds, train_output.FoldLines(), epoch_lines, should_stop, weights)


def _save_classifier_alone(classifier: "Classifier", folder: Path, error: OutputError) -> int:
    """Save the classifier beside a run's folder that cannot be written, or where temporary files are."""
    for place in (folder.absolute().parent, Path(tempfile.gettempdir())):
        path = place / f"{folder.name}-model.onnx"
        with suppress(OutputError):
            if not path.exists():
                classifier.save(path)
                console.print_error(f"{error}; the classifier alone was saved as {path}")
                return DONE_IN_PART
    raise error


def _verdict(training: "Training") -> "Verdict":
    from ..overfitting import run_verdict

    num_train, num_validation = (len(training.images.indices(split)) for split in ("train", "validation"))
    return run_verdict(
        training.history, training.best_epoch, num_train, num_validation, training.settings,
        _share_of_commonest_class(training.images),
    )  # fmt: skip


def _share_of_commonest_class(images: "ImageSet") -> float:
    labels = images.labels[images.indices("validation")]
    return max(float((labels == label).mean()) for label in range(len(images.class_names)))


def _advice(
    verdict: "Verdict", images: "ImageSet", settings: TrainingSettings, folder: Path, data_options: list[str]
) -> list[str]:
    """Return a command line that does what a verdict advises: the same training with some settings changed."""
    try:
        changed = replace(settings, **dict(verdict.changes))
    except SettingsError:  # such as more epochs than there may be
        return []
    if changed == settings:
        return []
    height, width = images.framing.image_shape[:2]
    size = [] if (height, width) == DEFAULT_IMAGE_SIZE else [f"--image-size {height}x{width}"]
    options = setting_arguments(changed)
    number = next(number for number in count(2) if not folder.with_name(f"{folder.name}-{number}").exists())
    out = shlex.quote(str(folder.with_name(f"{folder.name}-{number}")))
    words = [_program(), "train", shlex.quote(images.name), f"--framing {images.framing.method}", *size]
    words += [*data_options, *options]
    return [f"{' '.join(words)} --out {out}"]


def _root_alone(data_options: list[str]) -> list[str]:
    """Return the option that `evaluate` needs too."""
    return [one for one in data_options if one.startswith("--root")]


def _program() -> str:
    """Return what to type to call this program as it was called."""
    called_as = Path(sys.argv[0])
    if called_as.name == "__main__.py":
        return "python -m tinysight"
    return called_as.name if shutil.which(called_as.name) else str(called_as)


@contextmanager
def _faster_imports(*hidden: str) -> Iterator[None]:
    """Make imports in the body of ``with`` faster.

    Keras and TensorFlow import the packages in `hidden`, where installed, for parts that are not used here; they are
    hidden. Garbage collection is off, and later skips the hundred thousands of objects that imports have created.
    """
    modules: dict[str, Any] = sys.modules
    not_loaded = [package for package in hidden if package not in modules]
    modules.update(dict.fromkeys(not_loaded))  # None makes `import` raise ModuleNotFoundError
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        for package in not_loaded:
            del modules[package]


def summary(
    network: Annotated[str, typer.Option(help="The network.", metavar=f"[{'|'.join(NETWORKS[1:])}]")] = "dense",
    api: Annotated[str, setting_option("api")] = "sequential",
    dropout: Annotated[
        float, typer.Option(help="Share of each hidden layer's outputs that dropout sets to zero.")
    ] = 0.0,
    dropout_position: Annotated[str | None, setting_option("dropout_position")] = None,
    hidden: Annotated[str | None, setting_option("hidden")] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            help="Height and width of the images; in colour 28x28x3.", show_default="28x28; 224x224x3 if pretrained"
        ),
    ] = None,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
) -> None:
    """Print the network's layers as Keras lists them."""
    check_choice("network", network, NETWORKS[1:])
    check_choice("api", api, APIS)
    size, widths = parse_size(image_size) if image_size else None, parse_hidden(hidden)
    if network == "pretrained":
        settings = TrainingSettings(network=network, api=api, hidden=widths, dropout=dropout).resolved(2)
        from ..training.network_choice import PHOTOGRAPH_SIZE
        from ..training.pretrained import build_network

        build_network(size or (*PHOTOGRAPH_SIZE, 3), classes, settings).summary()
        return
    if network == "convolutional":
        TrainingSettings(network=network, api=api, hidden=widths, dropout_position=dropout_position).resolved(1_000)
        from ..training.convolutional import convolutional

        convolutional(size or DEFAULT_IMAGE_SIZE, classes, dropout).summary()
        return
    from ..training.networks import BUILDERS

    position = dropout_position or default_dropout_position(api)
    BUILDERS[api](size or DEFAULT_IMAGE_SIZE, classes, widths or DEFAULT_HIDDEN, dropout, position).summary()
