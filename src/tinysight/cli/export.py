"""The command `tinysight export`: parses, calls one room, prints; does not know what a page is made of."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import check_choice
from . import console

EXPORT_FORMATS = ("page",)


def export(
    classifier: Annotated[
        Path | None,
        typer.Argument(metavar="[CLASSIFIER]", help="A model.onnx that train wrote; default: the digits inside."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: the classifier's name and .html.")] = None,
    output_format: Annotated[
        str, typer.Option("--format", help="page: one HTML file that runs in a browser by itself.")
    ] = "page",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a classifier as one file that runs elsewhere.

    A page needs no server and no network: opened from a disk or put on any web host, it lets people draw, and answers
    with the classifier's own network inside it. Nothing that is drawn leaves the browser.
    """
    check_choice("format", output_format, EXPORT_FORMATS)
    path = out or Path(f"{classifier.stem if classifier else 'digits'}.html")
    from ..classifier import Classifier
    from ..html_page import NUM_PROBES, check_page_path, export_page

    check_page_path(path, overwrite)
    page = export_page(Classifier.load(classifier) if classifier else Classifier.pretrained(), path, "", overwrite)
    console.say(f"wrote {page.path}: {page.num_bytes / 1e6:.2f} MB")
    console.say(
        f"its 8-bit weights give the classifier's own answer on {page.num_same} of {NUM_PROBES} random patterns"
    )
