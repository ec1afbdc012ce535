"""The command line: parses, calls one room after the other, prints; holds no logic of its own.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 done in part (some pictures could not be read; each is named).
"""

import gc
import io
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from .. import __version__
from ..errors import SettingsError, TinysightError
from ..training.settings import (
    APIS,
    AUGMENTATIONS,
    DROPOUT_POSITIONS,
    FRAMINGS,
    MAX_IMAGE_SIDE,
    RECIPES,
    SCHEDULES,
    TrainingSettings,
    check_choice,
    check_number,
    default_dropout_position,
)
from . import console as display, export as export_command, serve as serve_command

if TYPE_CHECKING:
    from ..data.loading import ImageSet

DONE, FAILED, WRONG_USAGE, DONE_IN_PART, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="tinysight",
    help="Labelled images in, a small classifier that you can trust and ship out, on the CPU you have.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main(was_interrupted: Callable[[], bool] = lambda: False) -> NoReturn:
    """Run the command line; every failure is one line on standard error and an exit status.

    Args:
        was_interrupted: Tells whether Ctrl-C is behind an error, as it is behind odd ones from imports it breaks off.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    debug = "--debug" in sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be Unicode
    try:
        status = app(prog_name="tinysight", standalone_mode=False)
    except Exception as error:
        if was_interrupted():
            raise KeyboardInterrupt from None
        if debug:
            raise
        status = _explain(error)
    if status == INTERRUPTED:
        raise KeyboardInterrupt  # Typer makes a status of it; what to do about it is the caller's
    sys.exit(status if isinstance(status, int) else DONE)


def _explain(error: Exception) -> int:
    """Print an error as one line, and return the exit status that goes with it."""
    if isinstance(error, typer.TyperException):  # wrong usage, found while parsing
        if message := error.format_message():  # without any arguments the help is enough
            _complain(message)
        return WRONG_USAGE
    if isinstance(error, TinysightError):
        _complain(str(error))
        return WRONG_USAGE if isinstance(error, SettingsError) else FAILED
    if isinstance(error, OSError):
        _complain(f"{error.filename or 'a file'}: {error.strerror or error}")
        return FAILED
    if isinstance(error, MemoryError):
        _complain("out of memory; use fewer or smaller images")
        return FAILED
    _complain(f"unexpected {type(error).__name__}: {error}; 'tinysight --debug …' shows where; please report it")
    return FAILED


def _complain(message: str) -> None:
    print(f"tinysight: {display.printable(' '.join(message.split()))}", file=sys.stderr)  # noqa: T201


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tinysight {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Labelled images in, a small classifier that you can trust and ship out, on the CPU you have."""


DataArgument = Annotated[str, typer.Argument(metavar="DATA", help="digits, mnist, fashion-mnist, or a path.")]
ClassifierArgument = Annotated[Path, typer.Argument(metavar="CLASSIFIER", help="A model.onnx that train wrote.")]
ApiOption = Annotated[str, typer.Option(help=f"How the network is written: {' or '.join(APIS)}.")]
HiddenOption = Annotated[str, typer.Option(help="Widths of the hidden layers.")]
PositionOption = Annotated[
    str | None, typer.Option(help=f"{' or '.join(DROPOUT_POSITIONS).capitalize()} the activation; default: by --api.")
]


@app.command()
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

    DATA is digits (in scikit-learn, no download), mnist or fashion-mnist (downloaded once), a folder with IDX files,
    an .npz with x_train and y_train, or a folder with one folder of pictures for each class.
    """
    settings = TrainingSettings(
        recipe=recipe, api=api, hidden=_parse_hidden(hidden), dropout=dropout, dropout_position=dropout_position,
        input_dropout=input_dropout, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        schedule=schedule, batch_norm=batch_norm, weight_decay=weight_decay, label_smoothing=label_smoothing,
        adversarial=adversarial, ema_momentum=ema_momentum, outliers=outliers, augment=augment, flip=flip,
        patience=patience, validation=validation, seed=seed,
    )  # fmt: skip
    size = _parse_size(image_size)
    if len(size) != 2:
        raise SettingsError(f"image size is {image_size!r}; expected two numbers, as in 28x28")
    from ..run_folder import check_output

    folder = out or Path("runs") / Path(data).resolve().name.removesuffix(".npz")
    check_output(folder, overwrite)
    from ..data.loading import load_images

    with display.progress_bar() as progress:
        images = load_images(data, framing, size, progress=progress)
    return _train_and_save(images, settings, folder, overwrite)


def _train_and_save(images: "ImageSet", settings: TrainingSettings, folder: Path, overwrite: bool) -> int:
    from ..data.splits import split_images
    from ..training.compile_cache import kept_programs

    display.show_images(images)
    images = split_images(images, settings.validation, settings.test, settings.seed)
    display.show_split(images)
    with kept_programs():
        with display.waiting("loading TensorFlow"), _quick_imports("matplotlib", "pandas", "scipy", "sklearn"):
            from ..training import train as room
        with _stop_on_interrupt() as should_stop:
            training = room.train(images, settings, on_epoch=display.EpochLines(), should_stop=should_stop)
    from ..evaluation import evaluate as score
    from ..run_folder import save_run

    evaluation = score(training.classifier, images.part("test"), probabilities=training.test_probabilities)
    save_run(training, evaluation, folder, overwrite)
    display.show_training(training)
    display.show_accuracy(evaluation)
    display.show_files(folder)
    program, model = _program(), shlex.quote(str(folder / "model.onnx"))
    display.show_next(
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
            _complain("interrupted")
            os._exit(INTERRUPTED)  # nothing is open yet; an exception amid TensorFlow's calls now and then aborts it
        was_pressed = True
        display.warn("stopping after this epoch; Ctrl-C again gives up at once")

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: was_pressed
    finally:
        signal.signal(signal.SIGINT, before)


@app.command()
def evaluate(
    classifier: ClassifierArgument,
    data: DataArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Score a classifier on images that it was not trained on.

    These are the test images of DATA; if it has none, those that training kept for testing; if the classifier was
    trained on other data, all of them. Images that it was trained on, wherever they are, are left out.
    """
    from ..classifier import Classifier
    from ..data.loading import load_images
    from ..evaluation import evaluate as score, unseen_images

    loaded = Classifier.load(classifier)
    with display.progress_bar() as progress:
        images = load_images(data, like=loaded.framing, progress=progress)
    display.show_left_out(images)
    evaluation = score(loaded, *unseen_images(loaded, images))
    if as_json:
        print(json.dumps(evaluation.to_dict(), indent=2))  # noqa: T201
    else:
        display.show_evaluation(evaluation)
    return DONE_IN_PART if images.unreadable else DONE


@app.command()
def predict(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="[CLASSIFIER] PICTURE…",
            help="Files, folders, ZIP archives or patterns; - is standard input. A first one that ends in .onnx is the "
            "classifier; without one, the classifier of digits that comes with Tinysight.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 1,
    reject: Annotated[bool, typer.Option("--reject", help="Mark what is probably of no class.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Draw each picture as the network sees it.")] = False,
    output_format: Annotated[str, typer.Option("--format", help="table, json (an object a line) or csv.")] = "table",
) -> int:
    """Name what is in pictures.

    A picture of another size or colour than the classifier's is framed as its training pictures were.
    """
    check_choice("format", output_format, display.PREDICTION_FORMATS)
    named = pictures[0] if pictures[0].endswith(".onnx") else None
    names = pictures[1:] if named else pictures
    if not names:
        raise SettingsError("no picture is named; expected one after the classifier")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's; there is a process for each core
    from ..classifier import Classifier
    from ..predict_files import predict_sources
    from ..sources import count_sources

    load = partial(Classifier.load, named, 1) if named else partial(Classifier.pretrained, 1)
    finish = partial(display.prediction_lines, output_format=output_format, reject=reject, show=show)
    done = failed = total = 0
    with display.progress_bar() as progress, closing(predict_sources(load, names, top, finish)) as outcomes:
        for outcome in outcomes:
            if outcome.num_predicted:
                display.print_predictions(outcome.finished, is_first=not done)
            for failure in outcome.failures:
                _complain(failure)
            if progress:
                total = total if done or failed else count_sources(names)
                progress("predicting", done + failed + outcome.num_predicted + len(outcome.failures), total)
            done += outcome.num_predicted
            failed += len(outcome.failures)
    if failed:
        return DONE_IN_PART if done else FAILED
    return DONE


app.command()(export_command.export)
app.command()(serve_command.serve)


@app.command()
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
    size, widths = _parse_size(image_size), _parse_hidden(hidden)
    from ..training.networks import BUILDERS

    BUILDERS[api](size, classes, widths, dropout, dropout_position or default_dropout_position(api)).summary()


def _parse_hidden(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise SettingsError(f"hidden is {text!r}; expected whole numbers with commas, as in 784,512") from None


def _parse_size(text: str) -> tuple[int, ...]:
    try:
        size = tuple(int(number) for number in text.lower().replace("×", "x").split("x"))
    except ValueError:
        size = ()
    if len(size) not in (2, 3) or (len(size) == 3 and size[2] not in (1, 3)):
        raise SettingsError(f"image size is {text!r}; expected height and width, as in 28x28 (28x28x3 in colour)")
    for side in size[:2]:
        check_number("image size", side, 1, MAX_IMAGE_SIDE)
    return size
