"""The error tree, and checks of choices, ranges and patterns.

::

    TinysightError
    ├── SettingsError       a setting or option is out of range, or contradicts another
    ├── DataError           images or labels cannot be used
    │   ├── PictureError    one picture cannot be read
    │   └── DownloadError   a named set could not be fetched
    ├── ModelFileError      a classifier file cannot be used
    ├── OutputError         results cannot be written to the given path
    ├── ServiceError        the service cannot be started
    └── MissingExtraError   an optional part of Tinysight is not installed

Each message is one line: what was received, what was expected, what to do.
"""

import re
import sys

FIRST_PYTHON_WITHOUT_TENSORFLOW = (3, 14)  # as the extra `train` in pyproject.toml says


class TinysightError(Exception):
    """Base of all errors that a user can fix; the text is one line for that user."""


class SettingsError(TinysightError, ValueError):
    """A setting is out of range, or contradicts another."""


class DataError(TinysightError, ValueError):
    """Images or labels are missing, malformed or too few."""


class PictureError(DataError):
    """One picture cannot be read."""


class DownloadError(DataError):
    """A named image set could not be fetched from any of its hosts."""


class ModelFileError(TinysightError, ValueError):
    """A classifier file is missing, damaged, or not written by Tinysight."""


class OutputError(TinysightError, OSError):
    """Results cannot be written to the given path."""


class ServiceError(TinysightError, OSError):
    """The service cannot be started on the given address."""


class MissingExtraError(TinysightError, ImportError):
    """An optional part of Tinysight is not installed."""

    def __init__(self, purpose: str, extra: str, needs_tensorflow: bool = False) -> None:
        """Take what was wanted and the extra that provides it.

        Args:
            purpose: What was wanted.
            extra: The extra that provides it.
            needs_tensorflow: Whether TensorFlow is part of what is missing.
        """
        advice = f"more packages; install them with: pip install 'tinysight[{extra}]'"
        if needs_tensorflow and sys.version_info[:2] >= FIRST_PYTHON_WITHOUT_TENSORFLOW:
            this, last = sys.version_info[1], FIRST_PYTHON_WITHOUT_TENSORFLOW[1] - 1
            advice = f"TensorFlow, which has no release for Python 3.{this} yet; use Python 3.11 to 3.{last}"
        super().__init__(f"{purpose} needs {advice}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `SettingsError` unless `value` is one of `choices`."""
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}; expected one of: {', '.join(choices)}")


def check_pattern(name: str, value: str) -> None:
    """Raise `SettingsError` unless a text is a regular expression."""
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        example = r"such as '([^/_]+)_', which finds anna in cats/anna_1.png"
        raise SettingsError(f"{name} is {value!r}, no regular expression ({error}); expected one {example}") from None


def check_number(name: str, value: float, low: float, high: float) -> None:
    """Raise `SettingsError` unless ``low <= value <= high`` (which NaN never is)."""
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}; expected a number from {low} to {high}")
