"""Reads small plain PNG files, what image sets are made of, in a quarter of the usual time; does not know any others.

Pillow's decoder does the work; what is spared is Pillow's search for what else a file may hold, which takes four times
as long as decoding 28×28 pixels.

Source: PNG (Third Edition), https://www.w3.org/TR/png-3/, sections 5 and 11.2.
"""

from struct import Struct
from zlib import crc32

from PIL import Image

START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
HEADER, CHUNK = Struct(">IIBBBBBI"), Struct(">I4s")  # width, height, depth, colour, methods, checksum; length, type
MODES = {(8, 0, 0, 0, 0): "L", (8, 2, 0, 0, 0): "RGB"}  # 8 bits, grey or colour, not interlaced
MAX_BYTES, MAX_PIXELS = 2**16, 2**20  # the larger a picture, the less there is to gain


def read_plain_png(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image | None:
    """Decode a PNG file that holds nothing but 8-bit grey or colour pixels, and those in one piece.

    Args:
        data: The file's bytes.
        max_pixels: How large its picture may be; never larger than `MAX_PIXELS`.

    Returns:
        A picture of mode ``L`` or ``RGB``; None where the file is anything else, large, or damaged in any way.
    """
    if not data.startswith(START) or len(data) > MAX_BYTES:
        return None
    try:
        width, height, *kind, checksum = HEADER.unpack_from(data, len(START))
        mode = MODES.get(tuple(kind))
        if mode is None or not 0 < width * height <= min(max_pixels, MAX_PIXELS) or crc32(data[12:29]) != checksum:
            return None
        length, name = CHUNK.unpack_from(data, 33)
        _, last_name = CHUNK.unpack_from(data, 45 + length)
        if (name, last_name) != (b"IDAT", b"IEND"):
            return None
        return Image.frombytes(mode, (width, height), data[41 : 41 + length], "zip", mode)
    except Exception:  # cut short or damaged: what is wrong with it is for Pillow to say
        return None
