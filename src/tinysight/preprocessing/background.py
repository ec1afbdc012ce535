"""Finds the background of a picture of one character, and subtracts it: what is left is ink.

The page's `background.js` holds the same functions; `tests/page/test_port.py` keeps both equal.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAME = 0.06  # of the picture's side: a frame of even colour is at most as thick as that
FRAME_SPREAD = 24  # grey levels: a frame's pixels differ less than that from their median
FRAME_CONTRAST = 48  # grey levels: what a frame encloses differs more than that from it
ENCLOSED = 0.75  # of the pixels inside of a frame differ from it
MIN_FRAMED_SIDE = 6  # pixels; what a frame encloses is at least as large

SURFACE_SIDE = 100  # pixels; a surface is fitted to the picture reduced to that, which takes a tenth of the time
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

ROUNDING = 1e-6  # grey levels; a smaller difference is one of rounding, and decides nothing
MIN_NOISE_PIXELS = 32  # fewer pixels of background, away from ink, tell nothing about noise


def without_frame(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut off a frame of even colour along all four edges that differs from nearly all that it encloses.

    Args:
        grey: uint8 ``(rows, columns)``.
    """
    shorter_side = min(grey.shape)
    for thickness in range(1, 1 + max(1, round(FRAME * shorter_side))):
        if shorter_side < 2 * thickness + MIN_FRAMED_SIDE:
            break
        outer, inside = _edge(_cropped(grey, thickness - 1)), _cropped(grey, thickness)
        level = np.median(outer)
        if np.abs(outer - level).max() > FRAME_SPREAD:
            break
        if (np.abs(_edge(inside) - level) > FRAME_CONTRAST).mean() > ENCLOSED:
            return inside
    return grey


def _cropped(grey: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    rows, columns = grey.shape
    return grey[margin : rows - margin, margin : columns - margin]


def _edge(grid: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the pixels of the outermost rows and columns; those at the corners are of both."""
    return np.concatenate([grid[0], grid[-1], grid[:, 0], grid[:, -1]]).astype(np.float64)


def extract_ink(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much each pixel differs from the background, in grey levels, above 0 for ink, lighter or darker.

    The background is a smooth surface, so that a shadow or a lamp on one side of a photograph does not count as ink.

    Args:
        grey: uint8 ``(rows, columns)``.

    Returns:
        float64 ``(rows, columns)``.
    """
    factor = -(-max(grey.shape) // SURFACE_SIDE)
    small = (grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))).astype(np.float64)
    # Fit surfaces in several ways; the one that leaves the least unexplained, for its number of terms, is right
    fits = [
        (SPARSE_PENALTY, _below_sparse_ink(small)),
        *((PENALTIES[len(fit)], fit) for fit in _below_dense_ink(small)),
    ]
    residuals = [small - _surface(coefficients, *small.shape) for _, coefficients in fits]
    lights = [residual > otsu_threshold(residual) for residual in residuals]
    unexplained = [
        penalty * _spread(residual, is_light)
        for (penalty, _), residual, is_light in zip(fits, residuals, lights, strict=True)
    ]
    best = int(np.argmin(np.round(unexplained, 6)))
    # Decide whether light or dark pixels are ink
    is_background = lights[best] if _is_background(lights[best]) else ~lights[best]
    level = np.median(residuals[best][is_background]) if is_background.any() else 0.0
    residual = grey - _surface(fits[best][1], *grey.shape) - level
    ink: NDArray[np.float64] = -residual if is_background is lights[best] else residual
    return ink


def _is_background(is_light: NDArray[np.bool_]) -> bool:
    """Tell whether the light pixels are the background: they have most of the edge, of the corners, and of the whole."""
    side = max(1, round(min(is_light.shape) / 10))
    ends = (slice(side), slice(-side, None))
    corners = np.mean([is_light[rows, columns].mean() for rows in ends for columns in ends])
    return float(_edge(is_light).mean() + corners + is_light.mean()) > 1.5


def _spread(residual: NDArray[np.float64], is_light: NDArray[np.bool_]) -> float:
    """Return the standard deviation of light and dark pixels around their own means."""
    squares = sum(((part - part.mean()) ** 2).sum() for part in (residual[is_light], residual[~is_light]) if part.size)
    return float(np.sqrt(squares / residual.size))


def _below_sparse_ink(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a quadratic surface to all pixels but those far from it, again and again, from the median of the edge on.

    Returns:
        The coefficients of the surface's terms, float64 ``(6,)``.
    """
    coefficients = np.array([np.median(_edge(values)), 0.0, 0.0, 0.0, 0.0, 0.0])
    for _ in range(MAX_FITS if min(values.shape) >= MIN_SURFACE_SIDE else 0):
        distance = np.abs(values - _surface(coefficients, *values.shape))
        is_background = distance < max(np.median(distance) * 3, 8.0) - ROUNDING
        if is_background.sum() < values.size // 4:
            break
        coefficients = _fit(values, is_background.astype(np.float64), 6)
    return coefficients


def _below_dense_ink(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Fit surfaces of 1, 3 and 6 terms below light and dark pixels at once, that are a step apart.

    Each fit alternates with splitting the pixels anew. It starts from a split of the picture, and from one of what a
    plane leaves of it.

    Returns:
        The coefficients of each surface, float64 ``(1,)``, ``(3,)`` or ``(6,)``.
    """
    everywhere = np.ones_like(values)
    plane = _surface(_fit(values, everywhere, 3), *values.shape)
    starts = [start > otsu_threshold(start) for start in (values, values - plane)]
    surfaces = [np.zeros(1)]
    for num_terms in (3, 6) if min(values.shape) >= MIN_SURFACE_SIDE else (3,):
        for is_light in starts:
            for _ in range(MAX_SPLITS):
                coefficients = _fit(values, everywhere, num_terms, step=is_light)
                residual = values - _surface(coefficients, *values.shape)
                before, is_light = is_light, residual > otsu_threshold(residual)
                if (is_light == before).all():
                    break
            surfaces.append(coefficients)
    return surfaces


def _fit(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    num_terms: int,
    step: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the coefficients of the surface in row and column that fits best (least squares), with a step or without.

    It solves the normal equations, whose sums are matrix products of powers of row and column. They are well
    conditioned, because rows and columns run from -1 to 1.
    """
    rows, columns = (_powers(length) for length in values.shape)
    row_powers, column_powers = ROW_POWERS[:num_terms], COLUMN_POWERS[:num_terms]
    # Sums of row^i * column^j, alone and times the pixel's value
    moments = rows.T @ weights @ columns
    products = rows[:, :3].T @ (values * weights) @ columns[:, :3]
    matrix = moments[np.add.outer(row_powers, row_powers), np.add.outer(column_powers, column_powers)]
    right = products[row_powers, column_powers]
    if step is not None:  # one more unknown: how far the surface is raised where `step` is true
        raised = (rows[:, :3].T @ step.astype(np.float64) @ columns[:, :3])[row_powers, column_powers]
        matrix = np.block([[matrix, raised[:, None]], [raised[None], np.full((1, 1), float(step.sum()))]])
        right = np.append(right, values[step].sum())
    solved = np.linalg.solve(matrix + RIDGE * values.size * np.eye(len(matrix)), right)
    coefficients: NDArray[np.float64] = solved[:num_terms]
    return coefficients


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
    distance = 1 + min(ink.shape) // 100  # pixels; neighbours in a large picture are smoothed by camera or compression
    found = []
    for grid, mask in ((ink, is_background), (ink.T, is_background.T)):
        middle, after, before = (slice(distance, -distance), slice(2 * distance, None), slice(None, -2 * distance))
        is_inside = mask[middle] & mask[after] & mask[before]
        found.append((grid[after] - 2 * grid[middle] + grid[before])[is_inside])
    differences = np.abs(np.concatenate(found))
    if len(differences) < MIN_NOISE_PIXELS:
        return 0.0
    # A second difference has 1 + 4 + 1 times the variance; 1.4826 makes a standard deviation of a median
    return 1.4826 * float(np.median(differences)) / 6**0.5


def otsu_threshold(values: NDArray[np.float64]) -> float:
    """Return the level that best splits values in two groups; of equal values none is above it.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9 (1979).
    """
    if values.max() - values.min() < ROUNDING:
        return float(values.max())
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts.sum() - counts.cumsum()
    mass = (counts * middles).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[np.nan_to_num(between).argmax() + 1])
