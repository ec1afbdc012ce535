"""Draws synthetic out-of-distribution images, from which a network learns low confidence outside its classes.

They are scribbles, blobs, silhouettes, noise, and mixtures and parts of the training images. None comes from a public
data set, so that rejection can be measured on public data sets.

Source: D. Hendrycks, M. Mazeika, T. Dietterich, "Deep Anomaly Detection with Outlier
Exposure", https://arxiv.org/abs/1812.04606.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..preprocessing.ink import frame_ink, place_strokes

STREAM = 1  # of NumPy's random numbers: other than that of the split and of the order of images
CANVAS_SIDE = 96  # pixels of the square on which scribbles are drawn, before it is scaled down
SILHOUETTE_SIDE = 28  # pixels
NUM_STROKES = (1, 5)
NUM_POINTS = (2, 7)  # of a stroke, before its corners are cut
NUM_CORNER_CUTS = 3  # rounds; then a polyline looks like a curve


def draw_outliers(images: NDArray[np.uint8], num_outliers: int, seed: int) -> NDArray[np.uint8]:
    """Draw out-of-distribution images of random kinds.

    Args:
        images: Training images, uint8 ``(num_images, height, width)`` or ``(…, 3)``.
        num_outliers: Number of images to draw.
        seed: Equal seeds give equal images.

    Returns:
        uint8 ``(num_outliers, *image_shape)``.
    """
    rng = np.random.default_rng([STREAM, seed])
    shape = images.shape[1:]
    kinds = (_scribble, _scribble, _scribble, _blob, _silhouette, _noise)
    outliers = np.empty((num_outliers, *shape), np.uint8)
    for number in range(num_outliers):
        kind = rng.integers(len(kinds) + 3)
        if kind < len(kinds):
            drawn = kinds[kind](shape[0], shape[1], rng)
            outliers[number] = drawn if len(shape) == 2 else drawn[..., None]
        else:
            first, second = images[rng.integers(len(images), size=2)]
            outliers[number] = _mixture(first, second, rng)
    return outliers


def _scribble(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a few curves and straight strokes."""
    canvas = Image.new("L", (CANVAS_SIDE, CANVAS_SIDE))
    pen = ImageDraw.Draw(canvas)
    thickness = int(rng.integers(3, 16))
    for _ in range(rng.integers(*NUM_STROKES)):
        points = rng.uniform(0.1, 0.9, (rng.integers(*NUM_POINTS), 2)) * CANVAS_SIDE
        if rng.random() < 0.7:
            points = cut_corners(points)
        pen.line([tuple(point) for point in points.tolist()], fill=255, width=thickness, joint="curve")
    return place_strokes(np.asarray(canvas), height, width)


def cut_corners(points: NDArray[np.float64], num_rounds: int = NUM_CORNER_CUTS) -> NDArray[np.float64]:
    """Return a smoother polyline with the same ends: Chaikin's algorithm.

    Args:
        points: float64 ``(num_points, 2)``.
        num_rounds: How often each corner is replaced by two.

    Source: G. Chaikin, "An algorithm for high-speed curve generation" (1974).
    """
    for _ in range(num_rounds):
        before, after = points[:-1], points[1:]
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def _blob(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a filled shape with a smooth outline, plain or noisy, in a character's box or over the whole image."""
    coarse = rng.normal(size=(rng.integers(2, 6), rng.integers(2, 6))).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float64)
    shape = ((field - np.quantile(field, rng.uniform(0.2, 0.8))) * rng.uniform(2, 20) + 0.5).clip(0, 1)
    if rng.random() < 0.5:
        shape = shape * (1 - rng.uniform(0, 0.8) * rng.random((height, width)))
    levels = np.rint(shape * rng.uniform(100, 255)).astype(np.uint8)
    return place_strokes(levels, height, width) if rng.random() < 0.5 and levels.any() else levels


def _silhouette(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a filled shape, symmetric from left to right, with a gap or a pattern, as framing shows it or as it is."""
    rows, side = np.linspace(0, 1, SILHOUETTE_SIDE), SILHOUETTE_SIDE
    knots = np.linspace(0, 1, rng.integers(3, 9))
    half_width = np.interp(rows, knots, rng.uniform(0.08, 0.48, len(knots)))
    distance = np.abs(np.linspace(-0.5, 0.5, side))[None]
    is_inside = distance < half_width[:, None]
    if rng.random() < 0.3:  # a gap in the middle, from some row on
        is_inside &= (distance > rng.uniform(0.02, 0.1)) | (rows[:, None] < rng.uniform(0.1, 0.7))
    cycles, phase = rng.uniform(0, 12, 2), rng.uniform(0, 6.3)
    pattern = np.sin(6.3 * (cycles[0] * rows[:, None] + cycles[1] * rows[None]) + phase)
    levels = is_inside * (1 - rng.uniform(0, 0.6) * (0.5 + 0.5 * pattern) * (rng.random() < 0.7))
    drawn = np.rint(levels * rng.uniform(80, 255)).astype(np.uint8)
    margin = rng.integers(0, 4)
    if rng.random() < 0.7:
        framed, fault = frame_ink(np.pad(drawn, margin), height, width)
        if not fault:
            return framed
    return place_strokes(drawn, height, width)


def _noise(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw noise: uniform, sparse, or constant along rows or columns; sometimes a plain or a black image."""
    pixels = rng.random((height, width))
    kind = rng.integers(4)
    if kind == 0:
        pixels = (pixels < rng.uniform(0.02, 0.6)).astype(np.float64)
    elif kind == 1:
        pixels = pixels[:1].repeat(height, axis=0) if rng.random() < 0.5 else pixels[:, :1].repeat(width, axis=1)
    elif kind == 2:
        pixels = np.full((height, width), rng.random() * (rng.random() < 0.7))
    return np.rint(pixels * 255).astype(np.uint8)


def _mixture(first: NDArray[np.uint8], second: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Make an image of no class from two images: a negative, an overlay, a quarter, or both small side by side."""
    kind = rng.integers(6)
    if kind == 0:
        return np.asarray(255 - first)
    if kind in (4, 5):  # half of the first above or beside half of the second, which is mirrored or not
        other = second[:, ::-1] if rng.random() < 0.5 else second
        result = first.copy()
        if kind == 4:
            result[first.shape[0] // 2 :] = other[first.shape[0] // 2 :]
        else:
            result[:, first.shape[1] // 2 :] = other[:, first.shape[1] // 2 :]
        fits = (result == first).all() or (result == second).all()
        return np.asarray(255 - first) if fits else result
    if kind == 1:  # the second, rotated, over the first
        return np.maximum(first, np.rot90(second) if second.shape[0] == second.shape[1] else second[::-1])
    if kind == 2:  # a quarter of the first
        rows, columns = first.shape[0] // 2, first.shape[1] // 2
        result = np.zeros_like(first)
        top, left = rng.integers(2, size=2) * (rows, columns)
        result[top : top + rows, left : left + columns] = first[top : top + rows, left : left + columns]
        return result
    side = first.shape[1] // 2  # both at half their size, side by side
    result = np.zeros_like(first)
    top = first.shape[0] // 4
    small = first[::2, ::2][: first.shape[0] // 2, :side], second[::2, ::2][: first.shape[0] // 2, :side]
    result[top : top + len(small[0]), : small[0].shape[1]] = small[0]
    result[top : top + len(small[1]), side : side + small[1].shape[1]] = small[1]
    return result
