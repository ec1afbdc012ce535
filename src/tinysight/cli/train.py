"""The commands `tinysight train` and `tinysight summary`."""

import gc
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingsError, check_choice
from ..preprocessing import FRAMINGS
from ..training.settings import APIS, AUGMENTATIONS, RECIPES, SCHEDULES, TrainingSettings, default_dropout_position
from . import console
from .options import (
    DONE,
    DONE_IN_PART,
    INTERRUPTED,
    ApiOption,
    DataArgument,
    HiddenOption,
    PositionOption,
    parse_hidden,
    parse_size,
)

if TYPE_CHECKING:
    from ..data.dataset import ImageSet


def train(
    data: DataArgument,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/ and the data's name.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    recipe: Annotated[str, typer.Option(help=f"Set of defaults: {', '.join(RECIPES)}.")] = "fast",
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images; default: by recipe.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step; default: by recipe.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate; default: by recipe.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help=f"{', '.join(SCHEDULES)} learning rate; default: by recipe.")
    ] = None,
    outliers: Annotated[
        float | None, typer.Option(help="Pictures of no class added, as a share; default: by recipe.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help=f"Random changes while training: {', '.join(AUGMENTATIONS)}; default: by recipe."),
    ] = None,
    flip: Annotated[
        bool,
        typer.Option("--flip", help="Swap left and right at random; 'accurate' then counts as augmented."),
    ] = False,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without progress.")] = None,
    seed: Annotated[int, typer.Option(help="Start of every random choice.")] = 0,
    validation: Annotated[float, typer.Option(help="Share of images that choose the best epoch.")] = 0.1,
    dropout: Annotated[
        float | None, typer.Option(help="Share of outputs dropped while training; default: by recipe.")
    ] = None,
    dropout_position: PositionOption = None,
    input_dropout: Annotated[float, typer.Option(help="Share of pixels blackened while training.")] = 0.0,
    batch_norm: Annotated[
        bool | None,
        typer.Option("--batch-norm/--no-batch-norm", help="Batch normalization, folded away; default: by recipe."),
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="AdamW's.")] = 0.0,
    label_smoothing: Annotated[float, typer.Option(help="Share of each target spread over all classes.")] = 0.0,
    adversarial: Annotated[
        float | None, typer.Option(help="Radius of virtual adversarial training; default: by recipe.")
    ] = None,
    ema_momentum: Annotated[float, typer.Option(help="Of a moving average of the weights; 0 is none.")] = 0.0,
    api: ApiOption = "sequential",
    hidden: HiddenOption = "784,512",
    framing: Annotated[
        str | None, typer.Option(help=f"{' or '.join(FRAMINGS).capitalize()}; default: by data.")
    ] = None,
    image_size: Annotated[str, typer.Option(help="Size to which pictures in folders are framed.")] = "28x28",
) -> int:
    """Train a classifier on labelled images.

    DATA is a named set (digits comes with scikit-learn, others are downloaded once), a folder with IDX files, an .npz
    with x_train and y_train, or a folder with one folder of pictures for each class.
    """
    settings = TrainingSettings(
        recipe=recipe, api=api, hidden=parse_hidden(hidden), dropout=dropout, dropout_position=dropout_position,
        input_dropout=input_dropout, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        schedule=schedule, batch_norm=batch_norm, weight_decay=weight_decay, label_smoothing=label_smoothing,
        adversarial=adversarial, ema_momentum=ema_momentum, outliers=outliers, augment=augment, flip=flip,
        patience=patience, validation=validation, seed=seed,
    )  # fmt: skip
    size = parse_size(image_size)
    if len(size) != 2:
        raise SettingsError(f"image size is {image_size!r}; expected two numbers, as in 28x28")
    from ..run_folder import check_output

    folder = out or Path("runs") / Path(data).resolve().name.removesuffix(".npz")
    check_output(folder, overwrite)
    from ..data.loading import load_images

    with console.progress_bar() as progress:
        images = load_images(data, framing, size, progress=progress)
    return _train_and_save(images, settings, folder, overwrite)


def _train_and_save(images: "ImageSet", settings: TrainingSettings, folder: Path, overwrite: bool) -> int:
    from ..data.splits import split_images
    from ..training.compile_cache import kept_programs

    console.show_images(images)
    images = split_images(images, settings.validation, settings.test, settings.seed)
    console.show_split(images)
    with kept_programs():
        with console.waiting("loading TensorFlow"), _quick_imports("matplotlib", "pandas", "scipy", "sklearn"):
            from ..training import train as room
        with _stop_on_interrupt() as should_stop:
            training = room.train(images, settings, on_epoch=console.EpochLines(), should_stop=should_stop)
    from ..evaluation import evaluate as score
    from ..run_folder import save_run

    evaluation = score(training.classifier, images.subset("test"), probabilities=training.test_probabilities)
    save_run(training, evaluation, folder, overwrite)
    console.show_training(training)
    console.show_accuracy(evaluation)
    console.show_files(folder)
    program, model = _program(), shlex.quote(str(folder / "model.onnx"))
    console.show_next(
        f"{program} evaluate {model} {shlex.quote(images.name)}",
        f"{program} predict {model} PICTURE",
    )
    return DONE_IN_PART if images.unreadable else DONE


def _program() -> str:
    """Return what to type to call this program as it was called."""
    called_as = Path(sys.argv[0])
    if called_as.name == "__main__.py":
        return "python -m tinysight"
    return called_as.name if shutil.which(called_as.name) else str(called_as)


@contextmanager
def _quick_imports(*hidden: str) -> Iterator[None]:
    """Import without what takes long and is not needed here.

    Some packages are hidden that Keras and TensorFlow load, where they are installed, for parts not used here. Garbage
    is not looked for among the hundred thousands of new objects, nor, since they all stay, ever again.
    """
    modules: dict[str, Any] = sys.modules
    not_loaded = [package for package in hidden if package not in modules]
    modules.update(dict.fromkeys(not_loaded))  # None is Python's own way to say that there is no such module
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        for package in not_loaded:
            del modules[package]


@contextmanager
def _stop_on_interrupt() -> Iterator[Any]:
    """Give a function that tells whether Ctrl-C was pressed; pressed twice it interrupts at once."""
    was_pressed = False

    def press(*_: object) -> None:
        nonlocal was_pressed
        if was_pressed:
            console.complain("interrupted")
            os._exit(INTERRUPTED)  # nothing is open yet; an exception amid TensorFlow's calls now and then aborts it
        was_pressed = True
        console.warn("stopping after this epoch; Ctrl-C again gives up at once")

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: was_pressed
    finally:
        signal.signal(signal.SIGINT, before)


def summary(
    api: ApiOption = "sequential",
    dropout: Annotated[float, typer.Option(help="Share of outputs dropped while training.")] = 0.0,
    dropout_position: PositionOption = None,
    hidden: HiddenOption = "784,512",
    image_size: Annotated[str, typer.Option(help="Height and width; in colour 28x28x3.")] = "28x28",
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
) -> None:
    """Print the network's layers as Keras sees them."""
    check_choice("api", api, APIS)
    size, widths = parse_size(image_size), parse_hidden(hidden)
    from ..training.networks import BUILDERS

    BUILDERS[api](size, classes, widths, dropout, dropout_position or default_dropout_position(api)).summary()
