"""Reads a picture's format, size, orientation and transparency from its file, and measures its sharpness."""

import io
import math
from struct import Struct
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from ..files import open_without_waiting
from .decode import read_picture, without_warnings
from .formats import FORMATS, format_of
from .plain_png import PNG_START

HEADER_BYTES = 4_096  # of a PNG file; its chunks before the pixels are rarely longer
PNG_SIZE = Struct(">II")  # width, height
PNG_CHUNK = Struct(">I4s")  # length, type
PNG_TYPES_WITH_ALPHA = (4, 6)
SHARP_SIDE = 256  # pixels of the longer side; sharpness is measured at this size, so that it can be compared
MIN_SHARP_SIDE = 64  # smaller pictures have too few pixels to tell blur from a plain motif


class PictureFacts(NamedTuple):
    """What is known of a picture's file.

    Attributes:
        format: Its format by its content, as Pillow calls it; empty if it is unknown or the file cannot be read.
        width: Columns, before it is turned upright; 0 if they cannot be read.
        height: Rows.
        is_turned: Whether its EXIF orientation is another than upright.
        has_alpha: Whether its format stores transparency with it.
        sharpness: The share of its variance that is fine detail, see `sharpness`; NaN if it was not measured.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    is_turned: bool = False
    has_alpha: bool = False
    sharpness: float = math.nan


def picture_facts(content: str | bytes, *, with_sharpness: bool = False) -> PictureFacts:
    """Return what is known of a picture, without decoding it; nothing is raised where it cannot be read.

    Args:
        content: A file's path, or its bytes.
        with_sharpness: Whether to decode it too, and measure its sharpness.
    """
    try:
        start = content[:HEADER_BYTES] if isinstance(content, bytes) else _start(content)
        facts = _of_png(start) if start.startswith(PNG_START) else None
        facts = facts or _by_pillow(content, start)
        if with_sharpness and min(facts.width, facts.height) >= MIN_SHARP_SIDE:
            facts = facts._replace(sharpness=_sharpness(content))
    except Exception:  # Pillow's decoders raise anything; who loads the picture says what is wrong
        return PictureFacts()
    return facts


def _start(path: str) -> bytes:
    with open_without_waiting(path) as file:
        return file.read(HEADER_BYTES) or b""


def _of_png(start: bytes) -> PictureFacts | None:
    """Read a PNG file's header; None if its chunks before the pixels are longer than `start`."""
    width, height = PNG_SIZE.unpack_from(start, 16)
    has_alpha, position = start[25] in PNG_TYPES_WITH_ALPHA, 33  # the first chunk behind the header
    while position + 8 <= len(start):
        length, kind = PNG_CHUNK.unpack_from(start, position)
        if kind in (b"IDAT", b"IEND"):
            return PictureFacts("PNG", width, height, has_alpha=has_alpha)
        if kind == b"eXIf":
            return None
        has_alpha = has_alpha or kind == b"tRNS"
        position += length + 12
    return None


def _by_pillow(content: str | bytes, start: bytes) -> PictureFacts:
    kind = format_of(start)
    source = content if isinstance(content, str) else io.BytesIO(content)
    with without_warnings(), Image.open(source, formats=FORMATS) as picture:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
        has_alpha = picture.has_transparency_data
        return PictureFacts(kind, *picture.size, orientation in range(2, 9), has_alpha)


def _sharpness(content: str | bytes) -> float:
    """Return the share of a picture's variance that is in details of a few pixels, 0 to 1; NaN if it is blank."""
    picture = read_picture(content).convert("L")
    picture.thumbnail((SHARP_SIDE, SHARP_SIDE), Image.Resampling.BILINEAR)
    grey = np.asarray(picture, np.float32)
    if (variance := float(grey.var())) < 1:
        return math.nan
    detail = grey[1:-1, 1:-1] * 4 - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.square(detail).mean()) / 20 / variance  # 20: of white noise all variance is fine detail
