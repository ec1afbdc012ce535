"""What a check of an image set says: findings, each with the images or files that it is about."""

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
