"""Arguments, options and exit statuses that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from ..data.named_sets import NAMES
from ..errors import SettingsError, check_number
from ..preprocessing import MAX_IMAGE_SIDE
from ..training.settings import APIS, DROPOUT_POSITIONS

DONE, FAILED, WRONG_USAGE, DONE_IN_PART, INTERRUPTED = 0, 1, 2, 3, 130
DataArgument = Annotated[str, typer.Argument(metavar="DATA", help=f"{', '.join(NAMES)}, or a path.")]
ClassifierArgument = Annotated[Path, typer.Argument(metavar="CLASSIFIER", help="A model.onnx that train wrote.")]
ApiOption = Annotated[str, typer.Option(help=f"How the network is written: {' or '.join(APIS)}.")]
HiddenOption = Annotated[str, typer.Option(help="Widths of the hidden layers.")]
PositionOption = Annotated[
    str | None, typer.Option(help=f"{' or '.join(DROPOUT_POSITIONS).capitalize()} the activation; default: by --api.")
]


def parse_hidden(text: str) -> tuple[int, ...]:
    """Return the widths of hidden layers that a text such as ``784,512`` lists.

    Raises:
        SettingsError: It lists anything else.
    """
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise SettingsError(f"hidden is {text!r}; expected whole numbers with commas, as in 784,512") from None


def parse_size(text: str) -> tuple[int, ...]:
    """Return the shape of images that a text such as ``28x28`` or ``28x28x3`` names.

    Raises:
        SettingsError: It names no shape, or one out of range.
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
