"""Arguments, options and exit statuses that several commands share."""

import inspect
import shlex
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.named_sets import NAMES
from ..errors import SettingsError, check_number
from ..preprocessing import FRAMINGS, MAX_IMAGE_SIDE
from ..training.settings import TrainingSettings

DONE, FAILED, WRONG_USAGE, DONE_IN_PART, INTERRUPTED = 0, 1, 2, 3, 130
PANELS = ("Comparison", "Common", "Data", "Network", "Training", "Augmentation", "Output")  # of `--help`, in order
FramingOption = Annotated[
    str | None,
    typer.Option(
        help="Fit the whole picture to the input, or find the one character in it and centre it (ink).",
        show_default="ink for drawn characters, else whole",
        metavar=f"[{'|'.join(FRAMINGS)}]",
        rich_help_panel="Data",
    ),
]
ImageSizeOption = Annotated[
    str | None,
    typer.Option(
        help="Height and width to which images are brought.",
        show_default="28x28; photographs larger; arrays keep theirs",
        rich_help_panel="Data",
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        help="File of the pretrained network's weights, where the package of the extra photos is not installed.",
        show_default="the package's",
        rich_help_panel="Network",
    ),
]
ChannelsOption = Annotated[
    int | None,
    typer.Option(
        help="Make the images grey (1) or colour (3).",
        show_default="3 if any picture has colour",
        metavar="[1|3]",
        rich_help_panel="Data",
    ),
]
RootOption = Annotated[
    str | None,
    typer.Option(
        help="Where the files are that a table DATA names: a folder, an archive or a named set.",
        show_default="the table's folder",
        metavar="DATA",
        rich_help_panel="Data",
    ),
]
DataArgument = Annotated[str, typer.Argument(metavar="DATA", help=f"{', '.join(NAMES)}, or a path.")]
ClassifierArgument = Annotated[
    Path, typer.Argument(metavar="CLASSIFIER", help="A classifier file: a model.onnx written by `tinysight train`.")
]


def setting_option(name: str, panel: str | None = None) -> Any:
    """Return the command-line option of a field of `TrainingSettings`, to stand in ``Annotated``.

    Args:
        name: The field's name.
        panel: Heading below which ``--help`` lists it; by default none.
    """
    (setting,) = (one for one in fields(TrainingSettings) if one.name == name)
    flag = f"--{name.replace('_', '-')}"
    shown = setting.metadata["unset"] if setting.default in (None, "") else True
    is_negatable = setting.default is None and setting.type == bool | None
    names = f"{flag}/--no{flag[1:]}" if is_negatable else flag
    return typer.Option(
        names, help=setting.metadata["help"], metavar=setting.metadata["metavar"], show_default=shown,
        rich_help_panel=panel,
    )  # fmt: skip


def setting_arguments(settings: TrainingSettings) -> list[str]:
    """Return the options that give these settings on a command line; defaults are left out."""
    arguments = []
    for setting in fields(TrainingSettings):
        value, flag = getattr(settings, setting.name), f"--{setting.name.replace('_', '-')}"
        if value == setting.default:
            continue
        if isinstance(value, bool):
            arguments.append(flag if value else f"--no{flag[1:]}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            arguments.append(f"{flag} {shlex.quote(text)}")
    return arguments


def with_settings(command: Callable[..., int] | None = None, *, without: tuple[str, ...] = ()) -> Callable[..., Any]:
    """Give a command an option for each field of `TrainingSettings`; the command takes them as ``**settings``.

    Args:
        command: The command; without it a decorator is returned.
        without: Names of fields that get no option.
    """
    if command is None:
        return partial(with_settings, without=without)
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    derived = []
    for setting in [one for one in fields(TrainingSettings) if one.name not in without]:
        default: Any = setting.default
        kind: Any = str | None if setting.name == "hidden" else setting.type  # written with commas
        annotation = Annotated[kind, setting_option(setting.name, setting.metadata["panel"])]
        derived.append(inspect.Parameter(setting.name, own[0].KEYWORD_ONLY, default=default, annotation=annotation))
    # In --help a panel stands where its first option stands
    ordered = sorted([p.replace(kind=p.KEYWORD_ONLY) for p in own] + derived, key=_panel_number)
    command.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    return command


def _panel_number(parameter: inspect.Parameter) -> int:
    panel = parameter.annotation.__metadata__[0].rich_help_panel
    return PANELS.index(panel) if panel else -1


def run_name(data: str) -> str:
    """Return the name of the folder for the results of a set: the set's own, without a file's suffix."""
    path = Path(data).resolve()
    return path.name if path.is_dir() else path.name.split(".")[0] or path.name


def parse_hidden(text: str | None) -> tuple[int, ...] | None:
    """Return the widths of hidden layers in a text such as ``784,512``; None where there is no text.

    Raises:
        SettingsError: It is not a list of whole numbers.
    """
    if text is None:
        return None
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise SettingsError(f"hidden is {text!r}; expected whole numbers with commas, as in 784,512") from None


def parse_rates(text: str) -> tuple[float, ...]:
    """Return the dropout rates in a text such as ``0,0.5``.

    Raises:
        SettingsError: It is not a list of numbers.
    """
    try:
        return tuple(float(rate) for rate in text.split(","))
    except ValueError:
        raise SettingsError(f"dropout is {text!r}; expected numbers with commas, as in 0,0.5") from None


def parse_train_sizes(text: str | None) -> tuple[int | None, ...]:
    """Return the numbers of training images in a text such as ``1000,10000,all``; None stands for all.

    Raises:
        SettingsError: It is not a list of whole numbers and ``all``.
    """
    try:
        sizes = text.split(",") if text else []
        return tuple(None if size.strip() == "all" else int(size) for size in sizes)
    except ValueError:
        message = f"train sizes are {text!r}; expected whole numbers with commas or all, as in 1000,10000,all"
        raise SettingsError(message) from None


def parse_choices(text: str | None) -> tuple[str, ...]:
    """Return the words in a text such as ``after,before``; their meaning is not checked."""
    return tuple(word.strip() for word in text.split(",")) if text else ()


def parse_size(text: str) -> tuple[int, ...]:
    """Return the shape of images in a text such as ``28x28`` or ``28x28x3``.

    Raises:
        SettingsError: It is not a shape, or out of range.
    """
    try:
        size = tuple(int(number) for number in text.lower().replace("×", "x").split("x"))
    except ValueError:
        size = ()
    if len(size) not in (2, 3) or (len(size) == 3 and size[2] not in (1, 3)):
        raise SettingsError(f"image size is {text!r}; expected height and width, as in 28x28 (28x28x3 in colour)")
    for side in size[:2]:
        check_number("image size", side, 1, MAX_IMAGE_SIDE)
    return size


def data_arguments(channels: int | None, root: str | None) -> list[str]:
    """Return the options that load images in the same way on a command line."""
    given = [] if channels is None else [f"--channels {channels}"]
    return given if root is None else [*given, f"--root {shlex.quote(root)}"]


def parse_image_size(text: str | None) -> tuple[int, int] | None:
    """Return the height and width in a text such as ``28x28``; None where there is no text.

    Raises:
        SettingsError: It is not two numbers, or out of range.
    """
    if text is None:
        return None
    size = parse_size(text)
    if len(size) != 2:
        raise SettingsError(f"image size is {text!r}; expected two numbers, as in 28x28")
    return size[0], size[1]
