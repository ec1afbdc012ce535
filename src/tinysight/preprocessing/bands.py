"""Cuts large pictures into bands of rows, so that a step of their conversion needs little memory."""

from collections.abc import Iterator

from PIL import Image

BAND_PIXELS = 2**22


def row_bands(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the first row of each band of a picture, and the band; a small picture is one band, and is not copied."""
    num_rows = max(1, BAND_PIXELS // picture.width)
    if num_rows >= picture.height:
        yield 0, picture
        return
    for top in range(0, picture.height, num_rows):
        yield top, picture.crop((0, top, picture.width, min(top + num_rows, picture.height)))
