"""The command `tinysight report`."""

from pathlib import Path
from typing import Annotated

import typer

from . import console


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `tinysight train` has written.")],
    data: Annotated[
        str | None,
        typer.Option(help="The images that it was trained on.", metavar="DATA", show_default="as they were named then"),
    ] = None,
) -> None:
    """Write the report of a training anew, into its folder.

    It shows images only where those of the training are found.
    """
    from ..run_report import write_report

    with console.waiting("writing the report"):
        path, missing = write_report(run, data)
    if missing:
        console.print_note(missing)
    console.print_line(f"wrote {path}: {path.stat().st_size / 1e6:.2f} MB")
