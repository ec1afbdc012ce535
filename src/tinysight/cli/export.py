"""The command `tinysight export`."""

from math import ceil
from pathlib import Path
from typing import Annotated

import typer

from ..errors import check_choice
from . import console

EXPORT_FORMATS = ("page",)


def export(
    classifier: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CLASSIFIER]",
            help="A classifier file: a model.onnx written by `tinysight train`.",
            show_default="the built-in digit classifier",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="the file's name with .html")] = None,
    output_format: Annotated[
        str,
        typer.Option(
            "--format", help="What to write: page is one HTML file that runs in a browser by itself.", metavar="[page]"
        ),
    ] = "page",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a classifier as one HTML page that runs in a browser.

    The page needs no server and no network connection.
    It can be opened from a disk or put on any web host.
    People draw or choose a picture, and the page predicts its class.
    No picture leaves the browser.
    """
    check_choice("format", output_format, EXPORT_FORMATS)
    path = out or Path(f"{classifier.stem if classifier else 'digits'}.html")
    from ..classifier import Classifier
    from ..html_page import NUM_DRAWINGS, check_page_path, export_page

    check_page_path(path, overwrite)
    page = export_page(Classifier.load(classifier) if classifier else Classifier.pretrained(), path, "", overwrite)
    console.print_line(f"wrote {page.path}: {page.num_bytes / 1e6:.2f} MB")
    console.print_line(
        f"its weights are rounded to 8 bits: on {NUM_DRAWINGS} random drawings, that changes no probability by more "
        f"than {ceil(1000 * page.largest_change) / 10} percentage points"
    )
