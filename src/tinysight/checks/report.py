"""Turns a check into one self-contained HTML page with the pictures of what was found."""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ..errors import MissingExtraError
from ..files import write_whole
from ..gallery import SIDE_OF_PIXELS, picture_address
from .findings import Finding
from .run import Check

MAX_SHOWN = 60  # items of a finding; --json has all
PROBABILITY_DIGITS = 1


class Item(NamedTuple):
    """One item of a finding: its text, and the pictures that it is about, each with its label."""

    text: str
    pictures: list[tuple[str, str]]


class Section(NamedTuple):
    """A finding, with the items that are shown."""

    finding: Finding
    items: list[Item]
    num_more: int


def check_installed() -> None:
    """Check that what a page is made with is installed, before anything is computed.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    if not find_spec("jinja2"):
        raise MissingExtraError("writing a report", "train")


def write_check_report(check: Check, path: Path) -> None:
    """Write a check as a page.

    Raises:
        MissingExtraError: Jinja2 is not installed.
        OutputError: The file cannot be written.
    """
    write_whole(path, render_check(check).encode("utf-8", "backslashreplace"))


def render_check(check: Check) -> str:
    """Return a check as one HTML page, which loads no other file.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    check_installed()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinysight"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    images = check.images
    return environment.get_template("check.html").render(
        check=check,
        sections=[_section(check, finding) for finding in check.findings],
        splits=list(next(iter(check.class_counts.values()))),
        size="×".join(map(str, images.framing.image_shape[:2])),
        share=f"{100 * check.commonest[1]:.2f}\u00a0%",
        are_pixels=max(images.images.shape[1:3]) <= SIDE_OF_PIXELS,
    )


def _section(check: Check, finding: Finding) -> Section:
    texts = finding.items[:MAX_SHOWN]
    rows = finding.rows[:MAX_SHOWN] or ((),) * len(texts)
    items = [Item(text, [_picture(check, row) for row in some]) for text, some in zip(texts, rows, strict=True)]
    return Section(finding, items, len(finding.items) - len(texts))


def _picture(check: Check, row: int) -> tuple[str, str]:
    images = check.images
    return picture_address(images.images[row]), images.class_names[images.labels[row]]
