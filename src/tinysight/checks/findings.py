"""What a check of an image set says: findings, each with the images or files that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an image set, or that its user should know.

    Attributes:
        kind: What it is, in one word, such as ``unreadable``.
        message: The same in a sentence, with the number of images.
        items: What it is about: a file's name, or a line, each.
        rows: For each item the positions of the images to show; empty where there are none.
    """

    kind: str
    message: str
    items: tuple[str, ...] = ()
    rows: tuple[tuple[int, ...], ...] = ()


def plural(count: int, singular: str, plural: str = "") -> str:
    """Return a number and a noun, such as ``1 picture`` or ``1,200 pictures``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listed(items: Sequence[str], most: int = 3) -> str:
    """Return the first items with commas, and how many more there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
