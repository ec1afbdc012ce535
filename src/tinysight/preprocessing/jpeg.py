"""Tells a JPEG file that lacks only its end marker, as some cameras write, from one that is cut short."""

import io
import re
from itertools import product

from PIL import Image

END = b"\xff\xd9"
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # but no restart marker, nor a stuffed byte: they are among the data
FRAME_MARKERS = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # those that libjpeg decodes
SCAN_MARKER, END_MARKER = 0xDA, 0xD9
NUM_COEFFICIENTS = 64
# Data that a decoder reads if it still needs any: bits, then each of the restart markers it may be waiting for
BITS = (
    b"\xa5\x5a" * 2048
)  # more than any unit of 10 blocks takes, so that the next unit, which may be visible, gets some
# A decoder takes a restart marker one or two ahead of its own to mean that its own is lost, hence two orders
RESTARTS = [b"".join(bytes([0xFF, 0xD0 + (first + number) % 8]) + BITS for number in range(8)) for first in (0, 4)]


def with_end_marker(data: bytes) -> bytes | None:
    """Return a JPEG file with the end marker that it lacks; None if it has one, or lacks pixels too.

    Its pixels are complete if each coefficient has been in a scan, and more data changes no pixel.

    Args:
        data: The file's bytes.
    """
    data = data.rstrip(b"\xff")  # the end marker's first half
    if data.endswith(END):
        return None
    try:
        if not _has_all_scans(data):
            return None
        pixels = _pixels(data + END)
        is_complete = all(_pixels(data + BITS + restarts + END) == pixels for restarts in RESTARTS)
    except Exception:  # Pillow's decoders raise anything
        return None
    return data + END if is_complete else None


def num_scans(data: bytes) -> int:
    """Return how many scans a JPEG file has, up to its end marker."""
    number, position = 0, 2
    while (found := MARKER.search(data, position)) and data[found.start() + 1] != END_MARKER:
        number += data[found.start() + 1] == SCAN_MARKER
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return number


def _pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
        return picture.tobytes()


def _has_all_scans(data: bytes) -> bool:
    """Tell whether the scans that have begun hold each coefficient of each component to its last bit.

    Source: ITU-T T.81, B.2 (segments) and G.1.1.1 (scans of a progressive picture).
    """
    missing: set[tuple[int, int]] | None = None  # (component, coefficient)
    position = 2
    while found := MARKER.search(data, position):
        kind, start = data[found.start() + 1], found.end()
        segment = data[start + 2 : start + int.from_bytes(data[start : start + 2])]
        position = start + 2 + len(segment)
        if position > len(data) or len(segment) + 2 < int.from_bytes(data[start : start + 2]):
            return False
        if kind in FRAME_MARKERS:
            missing = set(product(segment[6::3], range(NUM_COEFFICIENTS)))
        elif kind == SCAN_MARKER and missing is not None:
            *components, first, last, bits = segment[1:]
            if not bits & 15:  # not to be refined by a later scan
                missing -= set(product(components[::2], range(first, last + 1)))
    return missing is not None and not missing
