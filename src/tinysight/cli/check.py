"""The command `tinysight check`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..escapes import printable, printable_json
from . import console
from .console import percent, print_line, print_table
from .options import (
    DONE,
    DONE_IN_PART,
    FAILED,
    ChannelsOption,
    DataArgument,
    FramingOption,
    ImageSizeOption,
    RootOption,
    data_arguments,
    parse_image_size,
)

if TYPE_CHECKING:
    from ..checks import Check

NUM_ITEMS = 5  # of a finding that are printed; --json has all
MAX_CLASSES_LISTED = 30


def check(
    data: DataArgument,
    framing: FramingOption = None,
    image_size: ImageSizeOption = None,
    channels: ChannelsOption = None,
    root: RootOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON instead of a summary.", rich_help_panel="Output")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write a page with the pictures.", show_default="no page", rich_help_panel="Output"),
    ] = None,
    corrected: Annotated[
        Path | None,
        typer.Option(
            help="Also write a table of all images with doubtful labels replaced, to be looked through and trained on.",
            show_default="no table",
            rich_help_panel="Output",
        ),
    ] = None,
) -> int:
    """Check labelled images before they are believed.

    Names what cannot be read, what is doubled or contradicts itself, what is unusual, and labels that look wrong.
    DATA is never changed.
    Exit status: 0 nothing was found, 3 something was, 1 no classifier can be trained on it.
    """
    size = parse_image_size(image_size)
    if report:
        from ..check_report import check_installed

        check_installed()
    from ..checks import check_images

    with console.progress_bar() as progress:
        result = check_images(data, framing, size, channels, root, progress)
    if as_json:
        text = json.dumps(result.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)
        typer.echo(printable_json_lines(text))
    else:
        _print(result)
    if corrected:
        from ..corrected_labels import write_corrected

        write_corrected(result, corrected)
    if report:
        from ..check_report import write_check_report

        write_check_report(result, report)
    if result.unusable:
        return FAILED
    return DONE if result.is_sound else DONE_IN_PART
