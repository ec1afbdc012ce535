"""The command `tinysight check`."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..escapes import printable
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
    parse_image_size,
)

if TYPE_CHECKING:
    from ..checks.run import Check

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
        from ..checks.report import check_installed

        check_installed()
    from ..checks.run import check_images

    with console.progress_bar() as progress:
        result = check_images(data, framing, size, channels, root, progress)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2, allow_nan=False))
    else:
        _print(result)
    if corrected:
        from ..checks.corrected_labels import write_corrected

        write_corrected(result, corrected)
        given = shlex.quote(root or data)
        print_wrote(corrected, f"look through it, then: tinysight train {shlex.quote(str(corrected))} --root {given}")
    if report:
        from ..checks.report import write_check_report

        write_check_report(result, report)
        print_wrote(report, "the pictures of what was found")
    if result.unusable:
        console.print_error(result.unusable)
        return FAILED
    return DONE if result.is_sound else DONE_IN_PART


def print_wrote(path: Path, what: str) -> None:
    """Say on standard error what was written, so that JSON on standard output stays whole."""
    console.print_progress(f"wrote {path}: {what}")


def _print(result: "Check") -> None:
    images = result.images
    height, width, *rest = images.framing.image_shape
    kind = "colour" if rest else "grey"
    print_line(
        f"{images.name}: {len(images):,} {kind} images of {height}×{width}, {len(images.class_names)} classes", "bold"
    )
    _print_classes(result)
    name, share = result.commonest
    print_line(f"always answering {name!r}, the commonest class, would be right for {percent(share)}")
    for finding in result.findings:
        print_line(f"\n{finding.message}", "yellow")
        for item in finding.items[:NUM_ITEMS]:
            print_line(f"  {item}")
        if len(finding.items) > NUM_ITEMS:
            print_line(f"  … and {len(finding.items) - NUM_ITEMS:,} more (--json lists all)", "dim")
    for note in result.notes[:NUM_ITEMS]:
        console.print_note(note)
    if len(result.notes) > NUM_ITEMS:
        console.print_note(f"{len(result.notes) - NUM_ITEMS:,} more notes (--json lists all)")
    if result.is_sound:
        print_line("\nnothing was found that looks wrong", "green")


def _print_classes(result: "Check") -> None:
    counts = result.class_counts
    splits = list(next(iter(counts.values())))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("class", overflow="fold")
    for split in splits:
        table.add_column("images" if split == "all" else split, justify="right")
    for name, by_split in list(counts.items())[:MAX_CLASSES_LISTED]:
        table.add_row(Text(printable(name)), *(f"{by_split[split]:,}" for split in splits))
    print_table(table)
    if len(counts) > MAX_CLASSES_LISTED:
        print_line(f"… and {len(counts) - MAX_CLASSES_LISTED} more classes", "dim")
