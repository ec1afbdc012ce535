"""The order of class names: numbers as numbers, before all others."""

import math
from collections.abc import Iterable


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names without doublets, sorted: 2 before 10, numbers before words."""
    return tuple(sorted(set(names), key=_key))


def _key(name: str) -> tuple[bool, float, str]:
    try:
        value = float(name)
    except ValueError:
        value = math.nan
    return (True, 0.0, name) if math.isnan(value) else (False, value, name)
