"""Pictures and masks that Python and the page's scripts must treat alike."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.formats import SUFFIXES
from tinysight.preprocessing.framing import Framing, frame_picture

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


def drawn(size, *lines, width=10, ink=0, background=255):
    """Draw lines; points are in hundredths of the picture's sides."""
    picture = Image.new("L", size, background)
    for line in lines:
        points = [(x * size[0] / 100, y * size[1] / 100) for x, y in line]
        ImageDraw.Draw(picture).line(points, fill=ink, width=width, joint="curve")
    return picture


SEVEN = [(30, 25), (65, 25), (42, 80)]
BAR, DASH = [(60, 15), (60, 85)], [(25, 50), (45, 50)]


def synthetic_pictures():
    """Yield name and picture, of all kinds that ink framing treats differently."""
    rng = np.random.default_rng(0)
    seven = np.asarray(drawn((90, 110), SEVEN, ink=20, background=250)).astype(float)
    slope = np.add.outer(np.linspace(0, 60, 110), np.linspace(0, 80, 90))
    for name, pixels in {
        "shaded background": seven - slope,
        "lamp in the middle": seven - 90 * ((np.mgrid[-1:1:110j, -1:1:90j] ** 2).sum(axis=0)) / 2,
        "noise": seven * 0.5 + 60 + rng.normal(0, 10, seven.shape),
        "noise alone": 128 + rng.normal(0, 12, seven.shape),
        "random": rng.integers(0, 256, seven.shape),
        "light on dark": 255 - seven,
        "half the picture dark": np.where(np.arange(90) < 45, 30, 220) + 0 * seven,
    }.items():
        yield name, Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
    for width in (1, 2, 4, 8, 16, 30):
        yield f"stroke {width} pixels wide", drawn((100, 100), SEVEN, width=width)
    ruled = [[(0, y), (100, y)] for y in range(4, 100, 12)]
    yield "ruled lines", drawn((100, 120), SEVEN, *ruled, width=2)
    yield (
        "grid of grey lines",
        Image.fromarray(
            np.minimum(drawn((100, 100), *ruled, [(50, 0), (50, 100)], width=1, ink=190), drawn((100, 100), SEVEN))
        ),
    )
    yield "border", drawn((100, 100), SEVEN, [(0, 0), (100, 0), (100, 100), (0, 100), (0, 0)], width=3)
    yield "cut off at the edge", drawn((100, 100), SEVEN, [(0, 90), (12, 99)])
    yield "all cut off", drawn((60, 60), [(0, 40), (100, 70)], [(0, 100), (20, 80)], width=6)
    yield "specks", drawn((100, 100), SEVEN, [(5, 5), (7, 5)], [(90, 90), (91, 91)], width=2)
    yield "loose dot close by", drawn((100, 100), [(50, 40), (50, 90)], [(50, 26), (51, 27)])
    yield "several characters", drawn((200, 100), [(10, 20), (10, 80)], [(40, 20), (40, 80)], [(80, 20), (90, 80)])
    yield (
        "fat dash beside a thin bar",
        Image.fromarray(np.minimum(drawn((100, 100), BAR, width=3), drawn((100, 100), DASH, width=24))),
    )
    yield "blank", Image.new("L", (80, 60), 255)
    yield "black", Image.new("L", (40, 40), 0)
    yield "nearly blank", drawn((80, 60), SEVEN, ink=247)
    yield "few pixels of ink", drawn((80, 60), [(50, 50), (52, 50)], width=2)
    yield "large", drawn((1_003, 641), SEVEN, width=40)
    yield "wide", drawn((160, 12), [(10, 50), (90, 40)], width=2)
    yield "colour", Image.fromarray(rng.integers(0, 256, (50, 40, 3), dtype=np.uint8))
    yield "colour of the input's size", Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
    for side in range(1, 33):
        yield f"{side}×{side}", drawn((side, side), SEVEN, width=max(1, side // 8))
        yield f"{side}×{33 - side}, random", Image.fromarray(rng.integers(0, 256, (33 - side, side), dtype=np.uint8))
    yield from cut_and_lit_pictures()
    yield from pictures_of_few_levels(rng)
    yield "centred already", Image.fromarray(frame_picture(drawn((90, 90), SEVEN), Framing("ink")).pixels)
    yield "of the input's size, not centred", drawn((28, 28), SEVEN, width=3)


def cut_and_lit_pictures():
    """Yield name and picture, of tight crops, frames, small shaded pictures, dense ink and dots."""
    tight = drawn((60, 80), [(5, 5), (95, 5)], [(95, 5), (40, 95)], width=8)
    four = drawn((60, 80), [(70, 0), (70, 100)], [(0, 60), (100, 60)], [(70, 0), (5, 60)], width=7)
    for name, picture in {"7": tight, "4": four}.items():
        for side in (8, 16, 20, 28, 64, 150):
            small = picture.resize((side * 3 // 4, side), Image.Resampling.BICUBIC)
            yield f"tight {name} of {side} pixels", small
            yield f"tight {name} of {side} pixels, light on dark", Image.fromarray(255 - np.asarray(small))
        yield f"{name} stretched", picture.resize((40, 16), Image.Resampling.BICUBIC)
        yield f"{name} without anti-aliasing", picture.resize((30, 40), Image.Resampling.NEAREST)
    for side in (16, 28, 31, 40, 128):
        levels = np.asarray(drawn((side, side), SEVEN, width=max(2, side // 10), ink=60, background=230))
        for thickness in (1, 2, side // 20 + 1):
            framed = levels.copy()
            framed[:thickness] = framed[-thickness:] = framed[:, :thickness] = framed[:, -thickness:] = 10
            yield f"{side}×{side}, frame of {thickness}", Image.fromarray(framed)
        for shade in (40, 100):
            slope = np.add.outer(np.linspace(0, shade / 3, side), np.linspace(0, shade / 2, side))
            yield f"{side}×{side}, shaded by {shade}", Image.fromarray((levels - slope).astype(np.uint8))
            yield f"{side}×{side}, steps of {shade}", Image.fromarray((levels - slope // 20 * 20).astype(np.uint8))
        distance = np.hypot(*(np.indices((side, side)) - (side - 1) / 2)) * 2 / side
        for stroke in (0.25, 0.5, 0.8):
            yield (
                f"tight 0 of {side} pixels, stroke {stroke}",
                Image.fromarray(np.where((distance < 1) & (distance > 1 - stroke), 40, 210).astype(np.uint8)),
            )
    for radius in (1, 3, 9):
        picture = Image.new("L", (140, 140), 255)
        ImageDraw.Draw(picture).ellipse((50, 60, 50 + radius, 60 + radius), fill=0)
        yield f"dot {radius} pixels wide", picture


def pictures_of_few_levels(rng):
    """Yield name and picture, of few grey levels, so that many pixels lie exactly on a threshold, or of few pixels."""
    for low, high in ((0, 128), (64, 128), (100, 132), (0, 255)):
        for num_levels in (2, 3, 5):
            levels = np.linspace(low, high, num_levels).astype(np.uint8)
            yield f"{num_levels} levels from {low} to {high}", Image.fromarray(rng.choice(levels, (40, 36)))
            stripes = np.tile(levels.repeat(4), (24, 2))
            yield f"stripes of {num_levels} levels from {low} to {high}", Image.fromarray(stripes)
    for size in ((1, 1), (1, 2), (1, 50), (50, 1), (2, 70), (3, 3), (33, 1)):
        yield f"random {size}", Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
        yield f"plain {size}", Image.fromarray(np.full(size, 77, np.uint8))
        yield f"steps {size}", Image.fromarray((np.arange(size[0] * size[1]).reshape(size) * 8 % 256).astype(np.uint8))


def pictures():
    for path in sorted(path for path in EXAMPLES.rglob("*") if path.suffix in SUFFIXES):
        yield f"{path.parent.name}/{path.name}", read_picture(path)
    yield from synthetic_pictures()


def masks():
    """Yield name and mask, of bars as far apart as characters just are or are not, and of random rectangles."""
    for gap in (2, 3, 4):
        mask = np.zeros((31, 40), bool)
        mask[3:28, 5:9] = mask[3:28, 9 + gap : 13 + gap] = True
        yield f"bars {gap} pixels apart", mask
    for side in (9, 10, 11):
        mask = np.zeros((40, 40), bool)
        mask[:20, :15] = mask[25 : 25 + side, 30:33] = True
        yield f"a component of {side} pixels beside a larger one that is cut off", mask
    rng = np.random.default_rng(2)
    for number in range(100):
        mask = np.zeros(rng.integers(1, 40, 2), bool)
        for _ in range(rng.integers(1, 9)):
            (top, left), (height, width) = rng.integers(0, 40, 2), rng.integers(1, 40, 2) ** rng.integers(0, 2, 2)
            mask[top : top + height, left : left + width] = True
        yield f"random rectangles {number}", mask
