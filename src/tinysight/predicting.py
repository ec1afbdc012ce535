"""Predicts pictures from files, folders, patterns, archives and standard input, in order; does not know the terminal.

A few pictures are in memory at a time, however many there are.
"""

import glob
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .classifier import Classifier, Prediction
from .errors import PictureError
from .folders import pictures_below
from .pixels import MAX_FILE_BYTES, SUFFIXES, Framed

PICTURES_AT_A_TIME = 256
STANDARD_INPUT = "-"

Source = tuple[str, str | bytes]  # what to call a picture, and its path or content


def predict_sources(
    classifier: Classifier, names: list[str], top: int, fail: Callable[[str], None]
) -> Iterator[tuple[list[Prediction], list[Framed]]]:
    """Predict every picture that `names` mean, some at a time.

    Args:
        classifier: What names them.
        names: Paths of pictures, folders or ZIP archives, patterns such as ``*.png``, or ``-`` for standard input.
        top: How many classes to rank.
        fail: Called with one line for each picture that cannot be read.

    Yields:
        Some predictions, and the pictures as the classifier sees them.
    """
    sources: list[str] = []
    framed: list[Framed] = []
    for name, content in _expanded(names, fail):
        try:
            framed.append(classifier.frame(content))
            sources.append(name)
        except PictureError as error:
            message = str(error)
            fail(message if content is name else f"{name}: {message.partition(': ')[2]}")
        if len(framed) == PICTURES_AT_A_TIME:
            yield classifier.predict_framed(sources, framed, top), framed
            sources, framed = [], []
    if framed:
        yield classifier.predict_framed(sources, framed, top), framed


def _expanded(names: list[str], fail: Callable[[str], None]) -> Iterator[Source]:
    """Replace each folder, archive and pattern by its pictures."""
    for name in names:
        if name == STANDARD_INPUT:
            yield from _standard_input(fail)
        elif os.path.isdir(name):  # noqa: PTH112 - Path's own raises where a name is too long
            below = pictures_below(Path(name))
            if not below:
                fail(f"{name}: no pictures in this folder")
            yield from ((str(path), str(path)) for path in below)
        elif name.lower().endswith(".zip") and os.path.isfile(name):  # noqa: PTH113
            yield from _in_archive(name, fail)
        elif glob.has_magic(name) and not os.path.lexists(name):
            matches = sorted(glob.iglob(name, recursive=True))  # noqa: PTH207 - keeps the name as it was typed
            if not matches:
                fail(f"{name}: no file fits this pattern")
            yield from _expanded(matches, fail)
        else:
            yield name, name


def _standard_input(fail: Callable[[str], None]) -> Iterator[Source]:
    if sys.stdin is None:
        fail("standard input: it is closed")
        return
    yield "-", sys.stdin.buffer.read(MAX_FILE_BYTES + 1)[:MAX_FILE_BYTES]


def _in_archive(name: str, fail: Callable[[str], None]) -> Iterator[Source]:
    """Yield the pictures in a ZIP archive, read in memory: nothing is unpacked on disk."""
    try:
        with zipfile.ZipFile(name) as archive:
            members = [member for member in archive.infolist() if _is_picture(member)]
            if not members:
                fail(f"{name}: no pictures in this archive")
            for member in members:
                called = f"{name}/{member.filename}"
                try:
                    with archive.open(member) as file:
                        content = file.read(MAX_FILE_BYTES + 1)
                except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
                    fail(f"{called}: cannot be read from the archive ({error})")
                    continue
                if len(content) > MAX_FILE_BYTES:
                    fail(f"{called}: the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
                    continue
                yield called, content
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        fail(f"{name}: not a ZIP archive that can be read ({error})")


def _is_picture(member: zipfile.ZipInfo) -> bool:
    path = Path(member.filename)
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not member.is_dir() and not is_hidden and path.suffix.lower() in SUFFIXES
