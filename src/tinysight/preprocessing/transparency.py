"""Lays a picture with transparency on a background that shows what is drawn.

`onBackground` in the page's `decode.js` does the same; `tests/page/test_port.py` compares both.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .bands import row_bands

MAX_SAMPLES = 256  # a side: of a larger picture, every n-th row and column tells which background fits
OPAQUE = 0.9  # of the picture's largest alpha: less is transparent
SHEET = 0.8  # of the span in each row and column: what is opaque is a sheet, not a shape
CONTRAST = 16  # grey levels between a sheet's edge and what is drawn on it
DRAWN = 0.001  # of a sheet's pixels: fewer are noise


def on_background(picture: Image.Image) -> Image.Image:
    """Return a picture without its transparency.

    Where the opaque part is a sheet with something drawn on it, such as a page with a clear margin, the background is
    the colour of the sheet's edge. Such a sheet becomes opaque even if all of it is a little clear. Otherwise the
    transparency itself draws: the background is white, or black if what is visible is light.

    Args:
        picture: Mode ``RGBA``.

    Returns:
        Mode ``RGB``.
    """
    samples = _samples(picture)
    colour, largest = _sheet_colour(samples), int(samples[..., 3].max())
    opaque = None
    if colour is not None and largest < 255:
        opaque = [min(255, round(255 * alpha / largest)) for alpha in range(256)]
    elif colour is None:
        colour = _contrasting_colour(samples, picture.getchannel("A").getextrema() != (255, 255))
    flat = Image.new("RGB", picture.size)
    for top, band in row_bands(picture):
        flat.paste(_laid_on(colour, band, opaque), (0, top))
    return flat


def _laid_on(colour: tuple[int, int, int], band: Image.Image, levels: list[int] | None) -> Image.Image:
    """Return a part of a picture laid on a colour, with its levels of alpha replaced if there are others."""
    if levels:
        band = band.copy()
        band.putalpha(band.getchannel("A").point(levels))
    return Image.alpha_composite(Image.new("RGBA", band.size, (*colour, 255)), band).convert("RGB")


def _samples(picture: Image.Image) -> NDArray[np.uint8]:
    """Return every n-th pixel of every n-th row, uint8 ``(height, width, 4)``, at most `MAX_SAMPLES` a side."""
    step = -(-max(picture.size) // MAX_SAMPLES)
    # A large picture's pixels are not copied as a whole
    rows = [
        np.asarray(band)[-top % step :: step, ::step] for top, band in row_bands(picture) if -top % step < band.height
    ]
    return np.concatenate(rows)


def _contrasting_colour(samples: NDArray[np.uint8], has_holes: bool) -> tuple[int, int, int]:
    """Return white, or black if what is visible is light."""
    alpha = samples[..., 3].astype(np.float64)
    is_light = (_luma(samples) * alpha).sum() > 127.5 * alpha.sum()
    return (0, 0, 0) if has_holes and is_light else (255, 255, 255)


def _sheet_colour(samples: NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """Return the colour at the edge of a sheet that something is drawn on; None if there is no such sheet.

    Args:
        samples: uint8 ``(height, width, 4)``.
    """
    alpha = samples[..., 3]
    opaque = alpha >= max(1, OPAQUE * int(alpha.max()))
    if not opaque.any() or _span_share(opaque) < SHEET or _span_share(opaque.T) < SHEET:
        return None
    around = np.pad(opaque, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    edge = opaque & ~inner
    levels = _luma(samples)
    darkest, lightest = _at_share(levels[edge], 0.1) - CONTRAST, _at_share(levels[edge], 0.9) + CONTRAST
    drawn = opaque & ((levels < darkest) | (levels > lightest))
    if drawn.sum() < max(1, DRAWN * opaque.sum()):
        return None
    red, green, blue = (_at_share(samples[edge, channel], 0.5) for channel in range(3))
    return red, green, blue


def _span_share(mask: NDArray[np.bool_]) -> float:
    """Return how much of each row, from its first pixel to its last, is in a mask: 0…1 of all of them together."""
    rows = mask[mask.any(axis=1)]
    spans = rows.shape[1] - rows.argmax(axis=1) - rows[:, ::-1].argmax(axis=1)
    return float(mask.sum() / spans.sum())


def _at_share(values: NDArray[np.uint8], share: float) -> int:
    """Return the value that this share of all values lies below."""
    return int(np.sort(values)[int(share * (len(values) - 1))])


def _luma(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return grey levels, as Pillow's mode ``L``."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(samples[..., :3])).convert("L"))
