"""Puts numbers and lists into words."""

from collections.abc import Sequence


def plural(count: int, singular: str, plural: str = "") -> str:
    """Return a number and a noun, such as ``1 picture`` or ``1,200 pictures``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listed(items: Sequence[str], most: int = 3) -> str:
    """Return the first items with commas, and how many more there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
