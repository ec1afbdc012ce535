"""Samples that several test modules make."""

import io

from PIL import Image


def as_png(pixels):
    """Return uint8 pixels ``(height, width)`` or ``(height, width, 3)`` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
