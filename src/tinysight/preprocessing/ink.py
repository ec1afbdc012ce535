"""Finds one drawn character in a grey picture, and scales and centres it as MNIST's authors did.

The page's `ink.js` holds the same functions; `tests/page/test_port.py` keeps both equal.

Source: the layout (20×20 box, aspect kept, centre of mass in the middle of 28×28) is that of Y. LeCun, C. Cortes and
C. J. C. Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .background import ROUNDING, extract_ink, noise_of, otsu_threshold, without_frame
from .components import find_character, stroke_width

BOX_SHARE = 20 / 28  # of the input's side that the character's longer side fills
WORKING_SIDE = 400  # pixels; more show only noise in what ends up 20 pixels large
MIN_CONTRAST = 12.0  # grey levels between ink and background; below this a picture is blank
MIN_PIXELS = 8  # of ink in a character; fewer are noise
FRAMED_EDGE_LEVEL = 10  # mean grey level at the edge of a framed image: a stroke may end there; MNIST's reach 8.4
DOT_SIDE, DOT_FILL = 0.1, 0.6  # of the picture's side, and of the square that holds it; the page's pen is 0.07 wide
FAINT = 0.7  # of the threshold; so much is enough where it holds a stroke together
SOFT_EDGE = 0.1  # of full strength; fainter pixels do not make a character larger
NOISE_LEVELS = 4  # standard deviations of the background's noise that ink must exceed
# Widths of strokes in a box of 20 pixels that a network trained on MNIST knows, as `stroke_width` measures them; of
# MNIST's training images, at half their strength, 36 % are thinner and 6 % thicker.
THINNEST, THICKEST = 2.3, 3.8
BLANK = "no ink found: the picture is blank"
NOTHING = "no drawn character found on an even background"
DOT = "no character found, only a dot of ink"
SEVERAL = "more than one character: cut it to one"


class Ink(NamedTuple):
    """The ink in a picture.

    Attributes:
        levels: float64 ``(rows, columns)``, how much each pixel differs from the background, above 0 for ink.
        threshold: What a character's ink exceeds.
        faint: What faint ink exceeds, which holds strokes together.
        character: bool ``(rows, columns)``, where the character is, faint ink included.
        mask: bool ``(rows, columns)``, where it exceeds the threshold.
        is_several: Whether there is more than one character.
    """

    levels: NDArray[np.float64]
    threshold: float
    faint: float
    character: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    is_several: bool


def frame_ink(grey: NDArray[np.uint8], height: int, width: int) -> tuple[NDArray[np.uint8], str]:
    """Show the character in `grey` as white ink on black, as large and as centred as MNIST's.

    Args:
        grey: uint8 ``(rows, columns)``, dark ink on a light background or the reverse.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 ``(height, width)``, and what is wrong with the picture: `BLANK` or `NOTHING` (the result is black),
        `DOT`, `SEVERAL`, or nothing (an empty string).
    """
    if grey.shape == (height, width) and are_framed(grey[None])[0]:
        return grey, ""
    # 1. and 2. Subtract the background, and find the components of ink that make up the character
    ink, threshold, faint, character, mask, is_several = find_ink(grey)
    if mask.sum() < MIN_PIXELS or ink[mask].mean() < MIN_CONTRAST:
        found = DOT if mask.any() and faint < threshold else NOTHING
        return np.zeros((height, width), np.uint8), BLANK if np.ptp(grey) < MIN_CONTRAST else found
    full_strength = float(np.percentile(ink[mask], 75))
    faintest = threshold / 3  # keeps the soft edge of a stroke, drops the background
    strength = ((ink - faintest) / max(full_strength - faintest, 1.0)).clip(0, 1) * _dilated(character)
    # 3. Bring strokes to a usual width
    box = _bounding_box(strength)
    strokes = _usable_strokes(strength[box], mask[box])
    # 4. Scale the character to its box
    scaled = _scaled(strokes, round(min(height, width) * BOX_SHARE))
    # 5. Put its centre of mass in the middle
    return _centred(scaled, height, width), SEVERAL if is_several else DOT if _is_dot(mask) else ""


def find_ink(grey: NDArray[np.uint8]) -> Ink:
    """Find the ink of one character.

    Args:
        grey: uint8 ``(rows, columns)``; the result is smaller if it has a frame, or a side above `WORKING_SIDE`.
    """
    levels = extract_ink(without_frame(_reduced(grey)))
    threshold, faint = _thresholds(levels)
    character, is_several = find_character(levels > faint)
    return Ink(levels, threshold, faint, character, character & (levels > threshold), is_several)


def frame_bitmap(bitmap: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale and centre a small bitmap of light ink on black, whose ink fills it, as `frame_ink` does with a character.

    Args:
        bitmap: uint8 ``(rows, columns)``, 0 where there is no ink.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 ``(height, width)``; the bitmap's grey levels are kept.
    """
    side = round(min(height, width) * BOX_SHARE)
    scaled = Image.fromarray(bitmap).resize((side, side), Image.Resampling.BICUBIC)
    return _centred(np.asarray(scaled, dtype=np.float64) / 255, height, width)


def place_strokes(bitmap: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale and centre light strokes on black, wherever in a bitmap they are, as `frame_ink` does with a character.

    Args:
        bitmap: uint8 ``(rows, columns)``, 0 where there is no ink; at least one pixel is above 0.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 ``(height, width)``; its peak becomes 255.
    """
    strength = bitmap / 255
    return _centred(_scaled(strength[_bounding_box(strength)], round(min(height, width) * BOX_SHARE)), height, width)


def are_framed(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which grey images of the right size are framed already: black at the edge, their mass in the middle.

    Args:
        images: uint8 ``(num_images, height, width)``.

    Returns:
        bool ``(num_images,)``.
    """
    height, width = images.shape[1:]
    # All are whole numbers, so that these sums are exact
    sums = images.reshape(len(images), -1).astype(np.float64) @ _moments(height, width)
    mass, row_moment, column_moment, edge_mass = sums.T
    is_edge_dark = edge_mass / (2 * (height + width)) < FRAMED_EDGE_LEVEL
    is_mostly_black = (mass > 0) & (mass < 0.5 * 255 * height * width)
    # In MNIST no centre of mass is further than half a pixel from (14, 14).
    is_in_the_middle = (np.abs(row_moment - mass * height / 2) < 0.55 * mass) & (
        np.abs(column_moment - mass * width / 2) < 0.55 * mass
    )
    framed: NDArray[np.bool_] = is_edge_dark & is_mostly_black & is_in_the_middle
    return framed


@functools.cache
def _moments(height: int, width: int) -> NDArray[np.float64]:
    """Return what each pixel adds to mass, both moments, and the mass of all four edges: ``(height * width, 4)``."""
    rows, columns = np.indices((height, width))
    edges = np.sum([rows == 0, rows == height - 1, columns == 0, columns == width - 1], axis=0)
    return np.stack([np.ones((height, width)), rows, columns, edges], axis=-1).reshape(-1, 4)


def _reduced(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = -(-max(grey.shape) // WORKING_SIDE)
    return grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))


def _thresholds(ink: NDArray[np.float64]) -> tuple[float, float]:
    """Return which level the ink of a character exceeds, and which one faint ink that holds strokes together."""
    split = otsu_threshold(ink.clip(0))
    noise = NOISE_LEVELS * noise_of(ink, ink < split)
    if noise > split:  # measure again, without the split cutting noise in two
        noise = NOISE_LEVELS * noise_of(ink, ink < noise)
    threshold = max(split, noise)
    return threshold, max(threshold * FAINT, noise)


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with the pixels around it, where strokes have their soft edges."""
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    dilated = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            dilated |= padded[dy : dy + rows, dx : dx + columns]
    return dilated


def _bounding_box(strength: NDArray[np.float64]) -> tuple[slice, slice]:
    """Return rows and columns of the character: the outermost strokes keep their soft edges, without a margin.

    A margin of a single pixel would take a tenth of the box from a picture of 20 pixels.
    """
    # At least half the peak, so that a faint blob has a box as well
    return box_of(strength > min(SOFT_EDGE, strength.max() / 2) + ROUNDING)


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that hold all true values of a mask, which has at least one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _is_dot(mask: NDArray[np.bool_]) -> bool:
    """Tell whether a mask is small, solid and about as wide as high."""
    side = max(mask[box_of(mask)].shape)
    return side <= DOT_SIDE * min(mask.shape) and bool(mask.sum() > DOT_FILL * side**2)


def _usable_strokes(strength: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Thicken or thin strokes whose width would be unusual once their character fills the box.

    Thickening makes the character larger, by the radius on each side. Thinning keeps its size.
    """
    longer_side, width = max(strength.shape), stroke_width(mask)
    if width < THINNEST / 20 * longer_side:
        radius = (THINNEST / 20 * longer_side - width) / (1 - THINNEST / 20) / 2
        return _thickened(np.pad(strength, int(np.ceil(radius))), radius)
    radius = max(width - THICKEST / 20 * longer_side, 0) / 2
    return 1 - _thickened(1 - np.pad(strength, 1), radius)[1:-1, 1:-1]


def _thickened(strength: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Grow strokes by `radius` pixels on each side (grey dilation), a pixel or less at a time."""
    step_number = 0
    while radius > 0.05:  # of a pixel
        padded = np.pad(strength, 1, mode="edge")
        rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
        columns = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])[1:-1]
        most = np.maximum(rows[:, 1:-1], columns)
        if step_number % 2:  # a cross and a square in turn make an octagon, which is nearly round
            most = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        strength = strength + min(radius, 1.0) * (most - strength)
        radius, step_number = radius - 1, step_number + 1
    return strength


def _scaled(strength: NDArray[np.float64], box_side: int) -> NDArray[np.float64]:
    """Scale so that the longer side is `box_side`; the peak becomes 1 again, so that a hair line stays visible."""
    scale = box_side / max(strength.shape)
    size = (max(1, round(strength.shape[1] * scale)), max(1, round(strength.shape[0] * scale)))
    picture = Image.fromarray(strength.astype(np.float32))
    scaled = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), dtype=np.float64).clip(0, None)
    peak = max(float(np.percentile(scaled, 97)), 1e-3)
    return np.minimum(scaled / peak, 1.0)


def _centred(strength: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    """Put the centre of mass in the middle, as far as the character then stays inside."""
    row, column = _centre_of_mass(strength)
    # Rounded to 6 digits first, so that halves are rounded alike however sums were computed
    top = int(np.clip(round(round(height / 2 - row, 6)), 0, height - strength.shape[0]))
    left = int(np.clip(round(round(width / 2 - column, 6)), 0, width - strength.shape[1]))
    framed = np.zeros((height, width), np.uint8)
    framed[top : top + strength.shape[0], left : left + strength.shape[1]] = np.rint(strength * 255)
    return framed


def _centre_of_mass(weights: NDArray[np.float64]) -> tuple[float, float]:
    total = weights.sum()
    rows, columns = np.arange(weights.shape[0]), np.arange(weights.shape[1])
    return float(weights.sum(axis=1) @ rows / total), float(weights.sum(axis=0) @ columns / total)
