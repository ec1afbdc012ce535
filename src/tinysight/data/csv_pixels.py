"""Reads CSV files with the pixels of an image in each row, such as Kaggle's ``label,pixel0,pixel1,…``."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from math import isfinite, isqrt
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .array_forms import SplitArrays
from .idx import is_transposed
from .tables import column_name, open_text, read_csv

MIN_PIXELS = 16  # in a row
ROWS_AT_A_TIME = 4_096
BLOCK_CHARACTERS = 2**22
LABEL_COLUMNS = ("label", "labels", "class", "target", "y", "emotion", "digit", "letter", "character")
# pixel0, pixel_0, p0, px0, 1x1, x_1; or a number alone, as pandas writes columns without names
_PIXEL = re.compile(r"(?:pixels?|px?|x|v|feature|col|column)?_?\d+|\d+x\d+")
_PLACE = re.compile(r"(\d+)x(\d+)")


class Layout(NamedTuple):
    """What the columns of such a file are.

    Attributes:
        label: Number of the label's column; −1 if there is none.
        pixels: Numbers of the pixels' columns.
        shape: Shape of an image, ``(height, width)`` or ``(height, width, 3)``.
        has_header: Whether the first row holds the columns' names.
    """

    label: int
    pixels: list[int]
    shape: tuple[int, ...]
    has_header: bool


def find_layout(path: Path) -> Layout | None:
    """Return what the columns of a CSV file are; None if its rows are no images.

    Raises:
        DataError: It cannot be read; or its rows seem to be images, but it is not certain of what shape.
    """
    with open_text(path) as file:
        first = next(read_csv(file, path), [])
    if len(first) < MIN_PIXELS:
        return None
    names = [column_name(one) for one in first]
    if all(map(_is_number, first)):  # without a header; the label comes first
        is_image = isqrt(len(first) - 1) ** 2 == len(first) - 1
        return Layout(0, list(range(1, len(first))), _shape([], len(first) - 1, path), False) if is_image else None
    pixels = [number for number, name in enumerate(names) if _PIXEL.fullmatch(name)]
    if len(pixels) < MIN_PIXELS:
        return None
    labels = [number for number, name in enumerate(names) if name in LABEL_COLUMNS]
    if len(labels) > 1:
        raise DataError(f"{path}: columns {', '.join(first[one] for one in labels)} may all be the label; keep one")
    return Layout(labels[0] if labels else -1, pixels, _shape([names[one] for one in pixels], len(pixels), path), True)


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _shape(names: Sequence[str], num_pixels: int, path: Path) -> tuple[int, ...]:
    """Return the shape of images with so many pixels: as the columns' names tell, such as 28x28, or else square."""
    if names and (last := _PLACE.fullmatch(names[-1])) and int(last[1]) * int(last[2]) == num_pixels:
        return int(last[1]), int(last[2])
    for channels in (1, 3):
        side = isqrt(num_pixels // channels)
        if side * side * channels == num_pixels:
            return (side, side) if channels == 1 else (side, side, 3)
    raise DataError(f"{path}: rows of {num_pixels} pixels are no square images; expected such as 784, for 28×28")


def read_pixels(path: Path, layout: Layout, split: str) -> tuple[SplitArrays, list[str]]:
    """Read the images and labels of a file; they are kept in a temporary file.

    Returns:
        The arrays, and a line for each thing that was changed.

    Raises:
        DataError: A field is no number, or a row has too many or too few.
    """
    pixels, labels = _read_bytes(path, layout) or _read_numbers(path, layout)
    if not labels:
        raise DataError(f"{path}: holds no rows with an image")
    images = pixels.reshape(len(labels), *layout.shape)
    notes = []
    if is_transposed(path.name) and len(layout.shape) == 2:
        images = images.transpose(0, 2, 1)
        notes.append(f"{path.name}: rows and columns are exchanged, since EMNIST stores them so")
    return SplitArrays(split, images, _label_array(labels), path.name), notes


def _label_array(labels: list[str]) -> NDArray[Any]:
    """Return labels as whole numbers where all are, else as texts."""
    try:
        return (
            np.array(labels, np.float64).astype(np.int64)
            if all(float(one).is_integer() for one in labels)
            else (np.array(labels))
        )
    except (ValueError, OverflowError):
        return np.array(labels)


def _mapped(file: IO[bytes], dtype: type, num_pixels: int) -> NDArray[Any]:
    """Map what has been written to a temporary file, which lives as long as the array."""
    file.flush()
    num_rows = file.tell() // (np.dtype(dtype).itemsize * num_pixels)
    if not num_rows:
        return np.zeros((0, num_pixels), dtype)
    return np.memmap(file, dtype, "r+", 0, (num_rows, num_pixels))  # type: ignore[call-overload, no-any-return]


def _read_bytes(path: Path, layout: Layout) -> tuple[NDArray[np.uint8], list[str]] | None:
    """Read a file of whole numbers of 0…255 alone, in a tenth of the time; None if anything else is in it."""
    width = 1 + max(layout.label, *layout.pixels)
    if len(layout.pixels) + 1 != width:
        return None
    labels: list[str] = []
    with open_text(path) as text, tempfile.TemporaryFile() as file:
        if layout.has_header:
            text.readline()
        rest = b""
        while block := text.read(BLOCK_CHARACTERS):
            lines, newline, tail = (rest + block.encode(errors="replace")).rpartition(b"\n")
            rest = tail
            if newline and not _write_rows(lines + newline, width, layout, file, labels):
                return None
        if rest and not _write_rows(rest + b"\n", width, layout, file, labels):
            return None
        return _mapped(file, np.uint8, len(layout.pixels)), labels


def _write_rows(lines: bytes, width: int, layout: Layout, file: IO[bytes], labels: list[str]) -> bool:
    """Write the pixels in some lines to a file, and add the labels; False if a field is not one to three digits."""
    characters = np.frombuffer(lines.replace(b"\r", b""), np.uint8)
    ends = np.flatnonzero((characters == ord(",")) | (characters == ord("\n")))
    lengths = np.diff(ends, prepend=-1) - 1
    is_end_of_row = characters[ends] == ord("\n")
    if len(ends) % width or lengths.min() < 1 or lengths.max() > 3 or not is_end_of_row[width - 1 :: width].all():
        return False
    if is_end_of_row.sum() != len(ends) // width:
        return False
    values = np.zeros(len(ends), np.int64)
    for place in range(1, 4):
        digits = characters[np.maximum(ends - place, 0)].astype(np.int64) - ord("0")
        digits[lengths < place] = 0
        if digits.min() < 0 or digits.max() > 9:
            return False
        values += digits * 10 ** (place - 1)
    rows = values.reshape(-1, width)
    pixels = rows[:, layout.pixels]
    if pixels.max() > 255:
        return False
    file.write(pixels.astype(np.uint8).tobytes())
    labels += map(str, rows[:, layout.label].tolist())
    return True


def _read_numbers(path: Path, layout: Layout) -> tuple[NDArray[Any], list[str]]:
    """Read a file of any numbers."""
    labels: list[str] = []
    num_pixels, are_whole = len(layout.pixels), True
    with open_text(path) as text, tempfile.TemporaryFile() as file:
        rows = read_csv(text, path)
        if layout.has_header:
            next(rows)
        for pixels, some in _chunks(rows, layout, path):
            are_whole = are_whole and bool((pixels == np.rint(pixels)).all())
            file.write(pixels.tobytes())
            labels += some
        images = _mapped(file, np.float32, num_pixels)
    if are_whole and len(images):
        whole = images.view(np.int32)
        for start in range(0, len(images), ROWS_AT_A_TIME):
            whole[start : start + ROWS_AT_A_TIME] = images[start : start + ROWS_AT_A_TIME].astype(np.int32)
        return whole, labels
    return images, labels


def _chunks(rows: Iterator[list[str]], layout: Layout, path: Path) -> Iterator[tuple[NDArray[np.float32], list[str]]]:
    """Yield the pixels, float32 ``(num_rows, num_pixels)``, and the labels of some rows at a time."""
    done, width = int(layout.has_header), 1 + max(layout.label, *layout.pixels)
    while chunk := list(islice(rows, ROWS_AT_A_TIME)):
        for number, row in enumerate(chunk, done + 1):
            if len(row) < width:
                raise DataError(f"{path}: row {number} has {len(row)} fields; expected {width} or more")
        try:
            pixels = np.array([[row[one] for one in layout.pixels] for row in chunk], np.float32)
        except (ValueError, OverflowError) as error:
            where = f"rows {done + 1} to {done + len(chunk)}"
            raise DataError(f"{path}: a pixel in {where} is no number ({str(error)[:80]})") from None
        yield pixels, [row[layout.label].strip() for row in chunk]
        done += len(chunk)
