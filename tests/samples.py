"""Pictures that tests make."""

import io

from PIL import Image


def as_png(picture):
    """Return uint8 pixels, or a Pillow image, as the bytes of a PNG file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
