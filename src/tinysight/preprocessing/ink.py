"""Finds one drawn character in a grey picture and places it as MNIST's authors did; knows nothing of files.

Source: the placing (20×20 box, aspect kept, centre of mass in the middle of 28×28) is that of Y. LeCun, C. Cortes and
C. J. C. Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .components import find_character

BOX_SHARE = 20 / 28  # of the input's side that the character's longer side fills
WORKING_SIDE = 400  # pixels; more show only paper grain in what ends up 20 pixels large
MIN_CONTRAST = 12.0  # grey levels between ink and paper; below this a picture is blank
MIN_PIXELS = 8  # of ink in a character; fewer are grain
FAINT = 0.7  # of the threshold; so much is enough where it holds a stroke together
SOFT_EDGE = 0.1  # of full strength; fainter pixels do not make a character larger
NOISE_LEVELS = 4  # deviations of the paper's grain that ink must exceed
# Widths of strokes in a box of 20 pixels that a network trained on MNIST knows, as `stroke_width` measures them; of
# MNIST's training images, at half their strength, 36 % are thinner and 6 % thicker.
THINNEST, THICKEST = 2.3, 3.8
BLANK, SEVERAL = "no ink found: the picture is blank", "more than one character: cut it to one"


def frame_ink(grey: NDArray[np.uint8], height: int, width: int) -> tuple[NDArray[np.uint8], str]:
    """Place the character in `grey` as white ink on black.

    Args:
        grey: uint8 ``(rows, columns)``, dark ink on light paper or the reverse.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 ``(height, width)``, and what is wrong with the picture: `BLANK` (the result is black), `SEVERAL`, or
        nothing (an empty string).
    """
    if grey.shape == (height, width) and are_framed(grey[None])[0]:
        return grey, ""
    ink = extract_ink(_reduced(grey))
    noise = 1.4826 * float(np.median(np.abs(ink)))  # the standard deviation, if the grain is normally distributed
    threshold = max(_otsu_threshold(ink.clip(0)), NOISE_LEVELS * noise)
    pieces, is_several = find_character(ink > max(threshold * FAINT, NOISE_LEVELS * noise))
    mask = pieces & (ink > threshold)
    if mask.sum() < MIN_PIXELS or ink[mask].mean() < MIN_CONTRAST:
        return np.zeros((height, width), np.uint8), BLANK
    level = float(np.percentile(ink[mask], 75))
    faintest = threshold / 3  # keeps the soft edge of a stroke, drops the paper
    strength = ((ink - faintest) / max(level - faintest, 1.0)).clip(0, 1) * _grown(pieces)
    box = _box_around(strength)
    strokes = _usable_strokes(strength[box], mask[box])
    scaled = _scaled(strokes, round(min(height, width) * BOX_SHARE))
    return _centred(scaled, height, width), SEVERAL if is_several else ""


def frame_bitmap(bitmap: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Place a small bitmap of light ink on black, whose ink fills it, as `frame_ink` places a character.

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
    """Place light strokes on black, wherever in a bitmap of any size they are, as `frame_ink` places a character.

    Args:
        bitmap: uint8 ``(rows, columns)``, 0 where there is no ink; not all of it.
        height: Rows of the result.
        width: Columns of the result.
    """
    strength = bitmap / 255
    return _centred(_scaled(strength[_box_around(strength)], round(min(height, width) * BOX_SHARE)), height, width)


def are_framed(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which grey images of the right size are placed already: black at the edge and their mass in the middle.

    Args:
        images: uint8 ``(num_images, height, width)``.

    Returns:
        bool ``(num_images,)``.
    """
    height, width = images.shape[1:]
    # All are whole numbers, so that these sums are exact
    sums = images.reshape(len(images), -1).astype(np.float64) @ _moments(height, width)
    mass, row_moment, column_moment, edge_mass = sums.T
    has_dark_edge = (mass > 0) & (edge_mass / (2 * (height + width)) < 8)
    # In MNIST no centre of mass is further than half a pixel from (14, 14).
    is_in_the_middle = (np.abs(row_moment - mass * height / 2) < 0.55 * mass) & (
        np.abs(column_moment - mass * width / 2) < 0.55 * mass
    )
    framed: NDArray[np.bool_] = has_dark_edge & is_in_the_middle
    return framed


@functools.cache
def _moments(height: int, width: int) -> NDArray[np.float64]:
    """Return what each pixel adds to mass, both moments, and the mass of all four edges: ``(height * width, 4)``."""
    rows, columns = np.indices((height, width))
    edges = np.sum([rows == 0, rows == height - 1, columns == 0, columns == width - 1], axis=0)
    return np.stack([np.ones((height, width)), rows, columns, edges], axis=-1).reshape(-1, 4)


def extract_ink(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much each pixel differs from the paper, in grey levels, above 0 for ink, lighter or darker.

    The paper is a quadratic surface through the pixels that are not ink, so that a shadow or a lamp on one side of a
    photograph does not count as ink.
    """
    values = grey.astype(np.float64)
    rows, columns = (np.linspace(-1, 1, n) for n in values.shape)
    y, x = (a.ravel() for a in np.meshgrid(rows, columns, indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    flat = values.ravel()
    edge = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    residual = flat - np.median(edge)
    smooth_sides = min(values.shape) >= 32  # a smaller picture has too few pixels of paper to fit a surface to
    for _ in range(3 if smooth_sides else 0):
        spread = max(np.median(np.abs(residual)) * 3, 8.0)
        paper = np.abs(residual) < spread
        if paper.sum() < flat.size // 4:
            break
        coefficients, *_ = np.linalg.lstsq(terms[paper], flat[paper], rcond=None)
        residual = flat - terms @ coefficients
    # Ink is what departs far from the paper: the third power weighs it more than any grain.
    ink: NDArray[np.float64] = residual if (residual**3).sum() > 0 else -residual
    return ink.reshape(values.shape)


def _reduced(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = -(-max(grey.shape) // WORKING_SIDE)
    return grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))


def _otsu_threshold(ink: NDArray[np.float64]) -> float:
    """Return the level that best parts the values in two groups.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9 (1979).
    """
    counts, edges = np.histogram(ink, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts.sum() - counts.cumsum()
    mass = (counts * middles).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[np.nan_to_num(between).argmax() + 1])


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with the pixels around it, where strokes have their soft edges."""
    framed = np.pad(mask, 1)
    rows, columns = mask.shape
    grown = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            grown |= framed[dy : dy + rows, dx : dx + columns]
    return grown


def _box_around(strength: NDArray[np.float64]) -> tuple[slice, slice]:
    """Return rows and columns of the character, whose outermost strokes keep their soft edges and nothing more.

    A margin of a single pixel would take a tenth of the box from a picture of 20 pixels.
    """
    seen = strength > min(SOFT_EDGE, strength.max() / 2)  # a faint blob is seen as well
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def stroke_width(mask: NDArray[np.bool_]) -> float:
    """Return the mean width of strokes, in pixels: twice the area by the length of the outline.

    The outline is counted in sides of pixels, which makes it longer, in the mean over all directions, by 4/π.
    """
    framed = np.pad(mask, 1)
    sides = int((framed[1:] != framed[:-1]).sum() + (framed[:, 1:] != framed[:, :-1]).sum())
    return 2 * float(mask.sum()) / (sides * np.pi / 4)


def _usable_strokes(strength: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Make strokes thicker or thinner that would be out of the ordinary in the box, which their character fills.

    Thicker strokes make the character larger, so that the box takes more; thinner ones leave it in its place.
    """
    longer_side, width = max(strength.shape), stroke_width(mask)
    if width < THINNEST / 20 * longer_side:
        radius = (THINNEST / 20 * longer_side - width) / (1 - THINNEST / 20) / 2
        return _thickened(np.pad(strength, int(np.ceil(radius))), radius)
    radius = max(width - THICKEST / 20 * longer_side, 0) / 2
    return 1 - _thickened(1 - np.pad(strength, 1), radius)[1:-1, 1:-1]


def _thickened(strength: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Grow strokes by so many pixels on each side, a pixel or less at a time."""
    step_number = 0
    while radius > 0.05:  # of a pixel
        framed = np.pad(strength, 1, mode="edge")
        rows = np.maximum(np.maximum(framed[:-2], framed[1:-1]), framed[2:])
        columns = np.maximum(np.maximum(framed[:, :-2], framed[:, 1:-1]), framed[:, 2:])[1:-1]
        most = np.maximum(rows[:, 1:-1], columns)
        if step_number % 2:  # a cross and a square in turn make an octagon, which is nearly round
            most = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        strength = strength + min(radius, 1.0) * (most - strength)
        radius, step_number = radius - 1, step_number + 1
    return strength


def _scaled(strength: NDArray[np.float64], box_side: int) -> NDArray[np.float64]:
    """Scale so that the longer side is `box_side`; a hair line stays visible because the peak becomes 1 again."""
    scale = box_side / max(strength.shape)
    size = (max(1, round(strength.shape[1] * scale)), max(1, round(strength.shape[0] * scale)))
    picture = Image.fromarray(strength.astype(np.float32))
    scaled = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), dtype=np.float64).clip(0, None)
    peak = max(float(np.percentile(scaled, 97)), 1e-3)
    return np.minimum(scaled / peak, 1.0)


def _centred(strength: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    row, column = _centre_of_mass(strength)
    top = int(np.clip(round(height / 2 - row), 0, height - strength.shape[0]))
    left = int(np.clip(round(width / 2 - column), 0, width - strength.shape[1]))
    framed = np.zeros((height, width), np.uint8)
    framed[top : top + strength.shape[0], left : left + strength.shape[1]] = np.rint(strength * 255)
    return framed


def _centre_of_mass(weights: NDArray[np.float64]) -> tuple[float, float]:
    total = weights.sum()
    rows, columns = np.arange(weights.shape[0]), np.arange(weights.shape[1])
    return float(weights.sum(axis=1) @ rows / total), float(weights.sum(axis=0) @ columns / total)
