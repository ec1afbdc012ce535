"""Reads many pictures: how many at a time, for how long, and what is said of one that fails."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Key = TypeVar("Key")
Content = TypeVar("Content")

PICTURES_AT_A_TIME = 128  # handed to a process
BYTES_AT_A_TIME = 2**24  # of pictures' files in memory, or a single larger one
PICTURE_SECONDS = 30  # of computing that a picture may take in a process; the largest take about three


def read_ahead(contents: Iterable[tuple[Key, Content]]) -> Iterator[tuple[Key, Content]]:
    """Read small files many at a time: this keeps each step's code in the processor's cache.

    Args:
        contents: Yields each picture's name or number, and its file's bytes or why it cannot be read.

    Yields:
        The same, when `BYTES_AT_A_TIME` or more have been read.
    """
    some: list[tuple[Key, Content]] = []
    num_bytes = 0
    for one in contents:
        some.append(one)
        num_bytes += len(one[1]) if isinstance(one[1], bytes) else 0
        if num_bytes >= BYTES_AT_A_TIME:
            yield from some
            some, num_bytes = [], 0
    yield from some


def failure_reason(error: Exception) -> str:
    """Return why a picture failed where something other than a `PictureError` was raised: no memory, or our fault."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for it; make it smaller"
    return f"unexpected {type(error).__name__}; please report it"


def ended_reason(seconds: float) -> str:
    """Return why a picture failed whose process was ended, where it may take so many seconds."""
    return f"reading it crashed, or took longer than {seconds} seconds of computing; save it anew"
