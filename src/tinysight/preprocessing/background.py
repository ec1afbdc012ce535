"""Finds the background of a picture of one character, and subtracts it: what is left is ink.

The page's `background.js` holds the same functions; `tests/page/test_port.py` keeps both equal.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAME = 0.06  # of the picture's side: a frame of even colour is at most as thick as that
FRAME_SPREAD = 24  # grey levels: a frame's pixels differ less than that from their median
FRAME_CONTRAST = 48  # grey levels: what a frame encloses differs more than that from it
ENCLOSED = 0.75  # of the pixels inside of a frame differ from it
MIN_FRAMED_SIDE = 6  # pixels; what a frame encloses is at least as large

SURFACE_SIDE = 64  # pixels; a surface is fitted to the picture reduced to about that, in a twentieth of the time
MIN_SURFACE_SIDE = 32  # pixels; a smaller picture's quadratic surface would follow its ink
MAX_FITS = 3  # of the surface below sparse ink; a further one changes it by less than a tenth of a grey level
MAX_SPLITS = 6  # of dense ink from its background
# Terms of a surface -> factor for what it leaves unexplained: a surface with more terms has to explain more. Without it
# a quadratic surface would take a broad upright stroke for a shadow.
PENALTIES = {1: 1.0, 3: 1.2, 6: 1.5}
SPARSE_PENALTY = 1.2  # for the quadratic surface that takes for granted that ink is sparse
RIDGE = 1e-6  # of the number of pixels, added to the normal equations: they have a solution for any picture
# Powers of row and column in the six terms of a quadratic surface, those of a plane first
ROW_POWERS, COLUMN_POWERS = np.array([0, 0, 1, 0, 1, 2]), np.array([0, 1, 0, 2, 1, 0])

# Grey levels; a smaller difference is one of rounding, and decides nothing. A power of two: means of pixels, whose
# fractions are often powers of two as well, then hardly ever lie in the middle between two multiples.
ROUNDING = 2.0**-20
HISTOGRAM_BINS = 128
TIE = 1e-9  # of the largest variance; less than that decides nothing between two splits
MIN_NOISE_PIXELS = 32  # fewer pixels of background, away from ink, tell nothing about noise


def without_frame(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut off a frame of even colour along all four edges that differs from nearly all that it encloses.

    Args:
        grey: uint8 ``(rows, columns)``.
    """
    shorter_side, edge = min(grey.shape), _edge(grey)
    for thickness in range(1, 1 + max(1, round(FRAME * shorter_side))):
        if shorter_side < 2 * thickness + MIN_FRAMED_SIDE:
            break
        level = np.median(edge)
        if np.abs(edge - level).max() > FRAME_SPREAD:
            break
        inside = _cropped(grey, thickness)
        edge = _edge(inside)
        if (np.abs(edge - level) > FRAME_CONTRAST).mean() > ENCLOSED:
            return inside
    return grey


def _cropped(grey: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    rows, columns = grey.shape
    return grey[margin : rows - margin, margin : columns - margin]


def _edge(grid: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the pixels of the outermost rows and columns; those at the corners are of both."""
    return np.concatenate([grid[0], grid[-1], grid[:, 0], grid[:, -1]]).astype(np.float64)


class Split(NamedTuple):
    """A picture split in light and dark pixels.

    Attributes:
        coefficients: Of the surface that was subtracted, float64 ``(1,)``, ``(3,)`` or ``(6,)``.
        residual: What the surface leaves, float64 ``(rows, columns)``.
        is_light: bool ``(rows, columns)``.
    """

    coefficients: NDArray[np.float64]
    residual: NDArray[np.float64]
    is_light: NDArray[np.bool_]


def extract_ink(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much each pixel differs from the background, in grey levels, above 0 for ink, lighter or darker.

    The background is a smooth surface, so that a shadow or a lamp on one side of a photograph does not count as ink.

    Args:
        grey: uint8 ``(rows, columns)``.

    Returns:
        float64 ``(rows, columns)``, multiples of `ROUNDING`.
    """
    factor = max(min(-(-max(grey.shape) // SURFACE_SIDE), min(grey.shape) // MIN_SURFACE_SIDE), 1)
    small = (grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))).astype(np.float64)
    # Fit surfaces in several ways; the one that leaves the least unexplained, for its number of terms, is right
    splits = _below_dense_ink(small)
    penalties = [PENALTIES[len(split.coefficients)] for split in splits]
    if min(small.shape) >= MIN_SURFACE_SIDE:
        splits, penalties = [_split(small, _below_sparse_ink(small)), *splits], [SPARSE_PENALTY, *penalties]
    unexplained = np.array([_spread(split.residual, split.is_light) for split in splits]) * penalties
    best = splits[int((unexplained <= unexplained.min() + ROUNDING).argmax())]
    # Decide whether light or dark pixels are ink
    is_dark_ink = _is_background(best.is_light)
    is_background = best.is_light if is_dark_ink else ~best.is_light
    level = np.median(best.residual[is_background]) if is_background.any() else 0.0
    residual = _rounded(grey - _surface(best.coefficients, *grey.shape) - level)
    return -residual if is_dark_ink else residual


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to multiples of `ROUNDING`, so that values that are equal but for the order of sums become equal."""
    rounded: NDArray[np.float64] = np.rint(values / ROUNDING) * ROUNDING
    return rounded


def _split(values: NDArray[np.float64], coefficients: NDArray[np.float64]) -> Split:
    """Split what a surface leaves of the values."""
    residual = _rounded(values - _surface(coefficients, *values.shape))
    return Split(coefficients, residual, residual > otsu_threshold(residual))


def _is_background(is_light: NDArray[np.bool_]) -> bool:
    """Tell whether light pixels are the background: they have most of the edge, of the corners, and of the whole."""
    side = max(1, round(min(is_light.shape) / 10))
    ends = (slice(side), slice(-side, None))
    corners = np.mean([is_light[rows, columns].mean() for rows in ends for columns in ends])
    return float(_edge(is_light).mean() + corners + is_light.mean()) > 1.5 + ROUNDING


def _spread(residual: NDArray[np.float64], is_light: NDArray[np.bool_]) -> float:
    """Return the standard deviation of light and dark pixels around their own means."""
    parts = (residual[is_light], residual[~is_light])
    squares = sum(((part - part.mean()) ** 2).sum() for part in parts if part.size)
    return float(np.sqrt(squares / residual.size))


def _below_sparse_ink(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a quadratic surface to all pixels but those far from it, again and again, from the median of the edge on.

    Returns:
        The coefficients of the surface's terms, float64 ``(6,)``.
    """
    coefficients = np.array([np.median(_edge(values)), 0.0, 0.0, 0.0, 0.0, 0.0])
    for _ in range(MAX_FITS):
        distance = np.abs(values - _surface(coefficients, *values.shape))
        is_background = distance < max(np.median(distance) * 3, 8.0) - ROUNDING
        if is_background.sum() < values.size // 4:
            break
        coefficients = _fit(values, 6, is_background)
    return coefficients


def _below_dense_ink(values: NDArray[np.float64]) -> list[Split]:
    """Fit surfaces of 1, 3 and 6 terms below light and dark pixels at once, that are a step apart.

    Each fit alternates with splitting the pixels anew. It starts from a split of the picture, and from one of what a
    plane leaves of it, if that is another.
    """
    flat, sloping = _split(values, np.zeros(1)), _split(values, _fit(values, 3))
    starts = [flat] if (flat.is_light == sloping.is_light).all() else [flat, sloping]
    splits = [flat]
    for num_terms in (3, 6) if min(values.shape) >= MIN_SURFACE_SIDE else (3,):
        splits += [_fit_below(values, start.is_light, num_terms) for start in starts]
    return splits


def _fit_below(values: NDArray[np.float64], is_light: NDArray[np.bool_], num_terms: int) -> Split:
    """Fit a surface below light and dark pixels, split them anew, and so on until nothing changes."""
    for _ in range(MAX_SPLITS):
        split = _split(values, _fit(values, num_terms, None, is_light))
        if (split.is_light == is_light).all():
            break
        is_light = split.is_light
    return split


def _fit(
    values: NDArray[np.float64],
    num_terms: int,
    is_background: NDArray[np.bool_] | None = None,
    is_raised: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the coefficients of the surface in row and column that fits best (least squares).

    It solves the normal equations, whose sums are matrix products of powers of row and column. They are well
    conditioned, because rows and columns run from -1 to 1.

    Args:
        values: float64 ``(rows, columns)``.
        num_terms: Of the surface: 1, 3 or 6.
        is_background: bool ``(rows, columns)``, which pixels count; all by default.
        is_raised: bool ``(rows, columns)``, where the surface is raised by the same unknown step; nowhere by default.
    """
    rows, columns = (_powers(length) for length in values.shape)
    row_powers, column_powers = ROW_POWERS[:num_terms], COLUMN_POWERS[:num_terms]
    weights = np.ones_like(values) if is_background is None else is_background.astype(np.float64)
    # Sums of row^i * column^j, alone and times the pixel's value
    moments = rows.T @ weights @ columns
    products = rows[:, :3].T @ (values * weights) @ columns[:, :3]
    matrix = moments[np.add.outer(row_powers, row_powers), np.add.outer(column_powers, column_powers)]
    right = products[row_powers, column_powers]
    if is_raised is not None:  # one more unknown, the step
        raised = (rows[:, :3].T @ is_raised.astype(np.float64) @ columns[:, :3])[row_powers, column_powers]
        matrix = np.block([[matrix, raised[:, None]], [raised[None], np.full((1, 1), float(is_raised.sum()))]])
        right = np.append(right, values[is_raised].sum())
    solved = np.linalg.solve(matrix + RIDGE * values.size * np.eye(len(matrix)), right)
    coefficients: NDArray[np.float64] = solved[:num_terms]
    return coefficients


@functools.lru_cache(maxsize=64)
def _powers(length: int) -> NDArray[np.float64]:
    """Return the powers 0 to 4 of `length` numbers from -1 to 1, ``(length, 5)``."""
    powers: NDArray[np.float64] = np.vander(np.linspace(-1, 1, length), 5, increasing=True)
    return powers


def _surface(coefficients: NDArray[np.float64], num_rows: int, num_columns: int) -> NDArray[np.float64]:
    """Return the surface with these coefficients, ``(num_rows, num_columns)``."""
    square = np.zeros((3, 3))
    square[ROW_POWERS[: len(coefficients)], COLUMN_POWERS[: len(coefficients)]] = coefficients
    surface: NDArray[np.float64] = _powers(num_rows)[:, :3] @ square @ _powers(num_columns)[:, :3].T
    return surface


def noise_of(ink: NDArray[np.float64], is_background: NDArray[np.bool_]) -> float:
    """Return the standard deviation of the background's noise, in grey levels, if it is normally distributed.

    It is measured on second differences, so that the soft edges of strokes, which are smooth, do not count.

    Args:
        ink: float64 ``(rows, columns)``.
        is_background: bool of the same shape, where there is no ink.
    """
    step = 1 + min(ink.shape) // 100  # pixels; neighbours in a large picture are smoothed by camera or compression
    ink, is_background = ink[::step, ::step], is_background[::step, ::step]
    parts = (slice(None, -2), slice(1, -1), slice(2, None))
    found = []
    for before, middle, after in (parts, [(slice(None), part) for part in parts]):  # downwards, then across
        is_inside = is_background[before] & is_background[middle] & is_background[after]
        found.append((ink[before] - 2 * ink[middle] + ink[after])[is_inside])
    differences = np.abs(np.concatenate(found))
    if len(differences) < MIN_NOISE_PIXELS:
        return 0.0
    # A second difference has 1 + 4 + 1 times the variance; 1.4826 makes a standard deviation of a median
    return 1.4826 * float(np.median(differences)) / 6**0.5


def otsu_threshold(values: NDArray[np.float64]) -> float:
    """Return the level that best splits values in two groups; of equal values none is above it.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9 (1979).
    """
    low, high = float(values.min()), float(values.max())
    if high - low < ROUNDING:
        return high
    # Count values in bins; numpy.histogram() takes twice the time
    step = (high - low) / HISTOGRAM_BINS
    bins = np.minimum((values - low) / step, HISTOGRAM_BINS - 1).astype(np.intp)
    counts = np.bincount(bins.ravel(), minlength=HISTOGRAM_BINS)[:-1]
    # Find the first split with the largest variance between its two groups
    below = counts.cumsum()
    above = values.size - below
    sums = np.append(counts, values.size - below[-1]) * (low + (np.arange(HISTOGRAM_BINS) + 0.5) * step)
    mass = sums.cumsum()
    between = below * above * (mass[:-1] / below - (mass[-1] - mass[:-1]) / above) ** 2
    return low + (int((between >= (1 - TIE) * between.max()).argmax()) + 1) * step
