"""Draws digits in the ways that people write them outside of MNIST, for the training of the built-in classifier.

A style is a skeleton: a few strokes of points in a square of side 1, rows from the top. Points, slant, width, pen and
canvas are varied at random; then the drawing is framed as any picture is.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tinysight.preprocessing.ink import frame_ink
from tinysight.training.outliers import cut_corners

Stroke = list[tuple[float, float]]  # points (x, y); straight from one to the next, unless it is smoothed

# Digit -> its styles. Each is a list of strokes, with whether the stroke is smoothed.
CURVE, LINE = True, False
STYLES: dict[int, list[list[tuple[bool, Stroke]]]] = {
    0: [
        [(CURVE, [(0.5, 0.0), (0.12, 0.15), (0.05, 0.5), (0.15, 0.88), (0.5, 1.0), (0.85, 0.85), (0.95, 0.5), (0.85, 0.12), (0.5, 0.0)])],
        [(CURVE, [(0.6, 0.02), (0.2, 0.15), (0.1, 0.6), (0.35, 1.0), (0.75, 0.85), (0.85, 0.4), (0.65, 0.05), (0.45, 0.02)])],
    ],
    1: [
        [(LINE, [(0.5, 0.0), (0.5, 1.0)])],
        [(LINE, [(0.2, 0.3), (0.6, 0.0), (0.6, 1.0)])],  # a short flag
        [(LINE, [(0.0, 0.45), (0.6, 0.0), (0.6, 1.0)])],  # a long one
        [(LINE, [(0.0, 0.75), (0.65, 0.0), (0.65, 1.0)])],  # as long as the stem
        [(CURVE, [(0.0, 0.6), (0.3, 0.4), (0.62, 0.02)]), (LINE, [(0.62, 0.0), (0.6, 1.0)])],
        [(LINE, [(0.2, 0.25), (0.5, 0.0), (0.5, 1.0)]), (LINE, [(0.15, 1.0), (0.85, 1.0)])],  # with a base
        [(LINE, [(0.5, 0.0), (0.5, 1.0)]), (LINE, [(0.15, 1.0), (0.85, 1.0)])],
    ],
    2: [
        [(CURVE, [(0.1, 0.22), (0.35, 0.0), (0.75, 0.05), (0.85, 0.3), (0.6, 0.6), (0.05, 1.0)]), (LINE, [(0.05, 1.0), (0.95, 1.0)])],
        [(CURVE, [(0.1, 0.3), (0.3, 0.02), (0.8, 0.05), (0.8, 0.4), (0.4, 0.8), (0.1, 0.95), (0.2, 0.75), (0.5, 0.9), (0.98, 0.98)])],
    ],
    3: [
        [(CURVE, [(0.1, 0.1), (0.5, 0.0), (0.85, 0.15), (0.75, 0.4), (0.4, 0.48)]), (CURVE, [(0.4, 0.48), (0.85, 0.55), (0.9, 0.85), (0.5, 1.0), (0.05, 0.88)])],
        [(LINE, [(0.1, 0.0), (0.85, 0.0), (0.4, 0.4)]), (CURVE, [(0.4, 0.4), (0.85, 0.5), (0.9, 0.85), (0.5, 1.0), (0.05, 0.9)])],  # a flat top
    ],
    4: [
        [(LINE, [(0.7, 1.0), (0.7, 0.0), (0.0, 0.68), (1.0, 0.68)])],  # closed
        [(LINE, [(0.25, 0.0), (0.05, 0.55), (0.95, 0.55)]), (LINE, [(0.75, 0.1), (0.7, 1.0)])],  # open
        [(LINE, [(0.5, 0.0), (0.02, 0.65), (0.98, 0.65)]), (LINE, [(0.72, 0.35), (0.72, 1.0)])],  # a short stem
    ],
    5: [
        [(LINE, [(0.85, 0.0), (0.2, 0.0), (0.15, 0.42)]), (CURVE, [(0.15, 0.42), (0.5, 0.35), (0.88, 0.55), (0.85, 0.85), (0.5, 1.0), (0.08, 0.9)])],
        [(LINE, [(0.25, 0.05), (0.2, 0.45)]), (CURVE, [(0.2, 0.45), (0.7, 0.42), (0.88, 0.7), (0.6, 0.98), (0.08, 0.92)]), (LINE, [(0.25, 0.03), (0.95, 0.0)])],
    ],
    6: [
        [(CURVE, [(0.75, 0.0), (0.35, 0.2), (0.1, 0.6), (0.2, 0.92), (0.55, 1.0), (0.88, 0.85), (0.85, 0.6), (0.5, 0.5), (0.12, 0.7)])],
        [(CURVE, [(0.92, 0.15), (0.7, 0.0), (0.35, 0.08), (0.1, 0.45), (0.12, 0.85), (0.5, 1.0), (0.88, 0.82), (0.8, 0.55), (0.45, 0.48), (0.1, 0.65)])],  # a curled arm
        [(CURVE, [(0.98, 0.05), (0.55, 0.0), (0.2, 0.25), (0.05, 0.65), (0.3, 0.98), (0.75, 0.95), (0.9, 0.7), (0.7, 0.45), (0.3, 0.5), (0.05, 0.7)])],
    ],
    7: [
        [(LINE, [(0.05, 0.0), (0.95, 0.0), (0.35, 1.0)])],
        [(LINE, [(0.05, 0.0), (0.95, 0.0), (0.35, 1.0)]), (LINE, [(0.25, 0.5), (0.9, 0.5)])],  # crossed
        [(LINE, [(0.05, 0.2), (0.05, 0.0), (0.95, 0.0), (0.4, 1.0)])],  # hooked
        [(CURVE, [(0.05, 0.2), (0.2, 0.02), (0.45, 0.12), (0.9, 0.0)]), (LINE, [(0.9, 0.0), (0.5, 1.0)]), (LINE, [(0.3, 0.52), (0.95, 0.52)])],
        [(CURVE, [(0.0, 0.3), (0.15, 0.05), (0.4, 0.18), (0.7, 0.05)]), (LINE, [(0.7, 0.03), (0.65, 1.0)]), (LINE, [(0.3, 0.55), (1.0, 0.5)])],
    ],
    8: [
        [(CURVE, [(0.5, 0.48), (0.15, 0.3), (0.3, 0.02), (0.7, 0.02), (0.85, 0.28), (0.5, 0.48), (0.08, 0.72), (0.3, 1.0), (0.7, 1.0), (0.92, 0.72), (0.5, 0.48)])],
        [(CURVE, [(0.9, 0.12), (0.5, 0.0), (0.12, 0.2), (0.5, 0.48), (0.9, 0.75), (0.5, 1.0), (0.1, 0.78), (0.5, 0.48), (0.9, 0.12)])],
    ],
    9: [
        [(CURVE, [(0.85, 0.3), (0.55, 0.0), (0.15, 0.15), (0.15, 0.42), (0.5, 0.52), (0.85, 0.3)]), (LINE, [(0.87, 0.15), (0.75, 1.0)])],
        [(CURVE, [(0.85, 0.2), (0.5, 0.0), (0.12, 0.2), (0.25, 0.5), (0.65, 0.48), (0.88, 0.15), (0.85, 0.7), (0.55, 1.0), (0.12, 0.92)])],
        [(CURVE, [(0.8, 0.25), (0.5, 0.0), (0.15, 0.2), (0.3, 0.45), (0.75, 0.3), (0.85, 0.1)]), (CURVE, [(0.85, 0.1), (0.98, 0.55), (0.7, 0.95), (0.02, 1.0)])],  # a wide foot
    ],
}  # fmt: skip
MIN_ASPECT = 0.35  # of width to height; a stem alone, stretched to a square, is no digit


def draw_digits(num_digits: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw digits of random styles, framed as the classifier's input.

    Args:
        num_digits: How many; each class has a tenth of them.
        seed: Equal seeds give equal drawings.

    Returns:
        Images, uint8 ``(num_digits, 28, 28)``, and labels, int64 ``(num_digits,)``.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(num_digits) % 10
    return np.stack([_draw(STYLES[int(label)], rng) for label in labels]), labels


def stretch_digits(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch images cut to their ink to a square, as programs do that resize a cut-out digit, and frame them.

    Args:
        images: uint8 ``(num_images, 28, 28)``, white ink on black.
    """
    return np.stack([_stretched(image) for image in images])


def _draw(styles: list[list[tuple[bool, Stroke]]], rng: np.random.Generator) -> NDArray[np.uint8]:
    while True:
        strokes = styles[rng.integers(len(styles))]
        side = int(rng.choice([20, 28, 48, 64, 96]))
        picture = _paint(strokes, side, rng)
        if rng.random() < 0.3:  # cut to the ink, and stretched to a square
            picture = _stretched_picture(picture, int(rng.choice([16, 20, 28, 64])))
        framed, fault = frame_ink(np.asarray(picture), 28, 28)
        if not fault:
            return framed


def _paint(strokes: list[tuple[bool, Stroke]], side: int, rng: np.random.Generator) -> Image.Image:
    """Draw strokes, varied at random, on a canvas of this side; black on white."""
    scale = 4 if rng.random() < 0.6 else 1  # a pen without anti-aliasing draws at the final size
    height, width = rng.uniform(0.6, 0.85), rng.uniform(0.3, 0.75)
    slant, turn = rng.normal(0, 0.15), rng.normal(0, 0.08)
    bend = rng.normal(0, 0.03, (4, 2))  # low frequencies displace all points of the character
    lines = []
    for is_curved, points in strokes:
        xy = np.array(points) + rng.normal(0, 0.035, (len(points), 2))
        xy += np.sin(np.pi * np.stack([xy[:, 0], xy[:, 1], xy.sum(axis=1), xy[:, 0] - xy[:, 1]], axis=1)) @ bend
        lines.append(cut_corners(xy) if is_curved else (cut_corners(xy, 1) if rng.random() < 0.4 else xy))
    transformation = np.array([[width, 0], [0, height]]) @ np.array([[1, turn], [-slant, 1]])
    canvas = side * scale
    pen_width = max(1, round(canvas * rng.choice([0.0, 0.04, 0.07, 0.1, 0.14])))
    picture = Image.new("L", (canvas, canvas), 255)
    pen = ImageDraw.Draw(picture)
    for line in lines:
        points = ((line - 0.5) @ transformation + 0.5) * canvas
        pen.line([tuple(point) for point in points.tolist()], fill=0, width=pen_width, joint="curve")
        for x, y in (points[0], points[-1]):  # round ends
            pen.ellipse((x - pen_width / 2, y - pen_width / 2, x + pen_width / 2, y + pen_width / 2), fill=0)
    return picture.resize((side, side), Image.Resampling.BOX)


def _stretched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    framed, fault = frame_ink(np.asarray(_stretched_picture(Image.fromarray(255 - image), 20)), 28, 28)
    return image if fault else framed


def _stretched_picture(picture: Image.Image, side: int) -> Image.Image:
    is_ink = np.asarray(picture) < 128
    rows, columns = np.flatnonzero(is_ink.any(axis=1)), np.flatnonzero(is_ink.any(axis=0))
    if not len(rows):
        return picture
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    if box[2] - box[0] < MIN_ASPECT * (box[3] - box[1]):
        return picture
    return picture.resize((side, side), Image.Resampling.BICUBIC, box)
