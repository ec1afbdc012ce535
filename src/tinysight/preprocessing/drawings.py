"""Tells drawn characters from other pictures."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .components import stroke_width
from .ink import MIN_PIXELS, box_of, find_ink

# Chosen on Omniglot's letters, canvas digits, scikit-learn's digits in three sizes (58 % to 97 % are drawings by these
# limits), web pictures and Fashion-MNIST (17 % and 36 %). The limits of colours on letters by pens and chalks, also as
# JPEG (none has too many), and on coloured emoji (78 % are drawings by their grey levels, 28 % by their colours, too).
MAX_STROKE = 0.22  # of the character's longer side; broader is a filled shape
SOFT_EDGES = 0.5  # pixels by which soft edges make strokes of small pictures broader
MIN_CONTRAST = 40.0  # grey levels between ink and background
MAX_UNEVEN = 0.2  # of that contrast: how far the background departs from a smooth surface (root mean square)
MAX_INK_SPREAD = 0.3  # of that contrast: standard deviation of the ink
MAX_OTHER_INK = 0.05  # of the ink: what is not of the character
MAX_OTHER_COLOURS = 0.05  # of the picture: neither the background's nor the ink's nor between them
COLOUR_STEP = 60  # levels by which red or blue, less green, differ in other colours


def is_drawing(picture: Image.Image) -> bool:
    """Tell whether a picture shows one character of strokes on an even background, drawn with one colour."""
    ink = find_ink(np.asarray(picture.convert("L")))
    if ink.mask.sum() < MIN_PIXELS or ink.is_several:
        return False
    is_inked = ink.levels > ink.threshold
    contrast = float(np.median(ink.levels[ink.mask]))
    longer_side = max(ink.mask[box_of(ink.mask)].shape)
    background = ink.levels[~is_inked]
    return bool(
        contrast > MIN_CONTRAST
        and stroke_width(ink.mask) - SOFT_EDGES < MAX_STROKE * longer_side
        and np.sqrt(np.mean(background**2)) < MAX_UNEVEN * contrast
        and ink.levels[ink.mask].std() < MAX_INK_SPREAD * contrast
        and (is_inked & ~ink.character).sum() < MAX_OTHER_INK * is_inked.sum()
        and (picture.mode == "L" or _other_colours(picture, ink.mask, is_inked) < MAX_OTHER_COLOURS)
    )


def _other_colours(picture: Image.Image, character: NDArray[np.bool_], is_inked: NDArray[np.bool_]) -> float:
    """Return the share of pixels whose colour is no mixture of the background's and the character's."""
    pixels = np.asarray(picture.convert("RGB").resize(is_inked.shape[::-1], Image.Resampling.BOX), np.float32)
    colours = pixels[..., [0, 2]] - pixels[..., 1:2]
    background = np.median(colours[~is_inked], axis=0)
    others, of_ink = colours - background, np.median(colours[character], axis=0) - background
    mixed = np.clip(others @ of_ink / max(float(of_ink @ of_ink), 1.0), 0, 1)
    distances = np.abs(others - mixed[..., np.newaxis] * of_ink).max(axis=2)
    return float((distances > COLOUR_STEP).mean())
