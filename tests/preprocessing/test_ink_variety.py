"""A character is framed alike however its picture was cut, scaled and lit. No picture raises."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tinysight.preprocessing.ink import BLANK, DOT, NOTHING, SEVERAL, frame_ink

# Points of strokes, in hundredths of a square
DIGITS = {
    1: [[(38, 32), (56, 14), (50, 86)]],
    2: [[(30, 34), (40, 20), (56, 16), (70, 28), (68, 44), (34, 84), (74, 84)]],
    3: [[(30, 22), (52, 16), (68, 28), (62, 44), (46, 48), (66, 54), (70, 72), (50, 86), (28, 78)]],
    4: [[(64, 86), (64, 14), (26, 60), (80, 60)]],
    5: [[(70, 16), (36, 16), (34, 44), (56, 42), (70, 56), (66, 76), (48, 86), (30, 78)]],
    7: [[(28, 18), (72, 18), (46, 86)]],
}


def drawn(digit, size, width=9.0, strength=0.85, paper=235.0):
    """Draw a digit, dark on light; `width` is in hundredths of the side."""
    large = 8 * size if size < 100 else 2 * size
    mask = Image.new("L", (large, large), 0)
    pen = ImageDraw.Draw(mask)
    for points in DIGITS[digit]:
        scaled = [(x * large / 100, y * large / 100) for x, y in points]
        pen.line(scaled, fill=255, width=max(1, round(width * large / 100)), joint="curve")
    ink = np.asarray(mask.resize((size, size), Image.Resampling.BOX)) / 255
    return paper * (1 - strength * ink)


def shaded(size, amount, angle):
    """Return paper of level 235 where it is lightest, whose light falls off by `amount` across the picture."""
    down, across = np.mgrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j]
    return 235 - amount / 2 + amount * (np.cos(angle) * across + np.sin(angle) * down)


def as_grey(levels):
    return np.rint(levels).clip(0, 255).astype(np.uint8)


def cropped(grey):
    """Cut a dark drawing to its ink."""
    is_ink = grey < 128
    rows, columns = np.flatnonzero(is_ink.any(axis=1)), np.flatnonzero(is_ink.any(axis=0))
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def cropped_digit(digit, size):
    """Draw a digit that fills its picture, whose longer side is `size`."""
    return scaled(cropped(as_grey(drawn(digit, 300))), size)


def scaled(grey, longer_side):
    size = [max(1, round(side * longer_side / max(grey.shape))) for side in grey.shape[::-1]]
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))


def bordered(grey):
    framed = grey.copy()
    framed[[0, -1]] = framed[:, [0, -1]] = 0
    return framed


VARIANTS = {
    "plain": lambda digit, size: as_grey(drawn(digit, size)),
    "light on dark": lambda digit, size: 255 - as_grey(drawn(digit, size)),
    "border": lambda digit, size: bordered(as_grey(drawn(digit, size))),
    "cropped": cropped_digit,
    "cropped, light on dark": lambda digit, size: 255 - cropped_digit(digit, size),
    "cropped, margin of a pixel": lambda digit, size: np.pad(cropped_digit(digit, size), 1, constant_values=235),
    "shaded paper": lambda digit, size: as_grey(drawn(digit, size, paper=shaded(size, 60, digit))),
}


def likeness(one, other):
    """Return the correlation of two images, whose centres may be rounded to neighbouring pixels."""
    shifts = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    return max(np.corrcoef(one.ravel(), np.roll(other, shift, (0, 1)).ravel())[0, 1] for shift in shifts)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [16, 20, 28, 64, 300])
def test_a_digit_is_framed_alike_however_it_was_cut_and_lit(variant, size):
    for digit in DIGITS:
        expected, _ = frame_ink(as_grey(drawn(digit, 300)), 28, 28)
        framed, fault = frame_ink(VARIANTS[variant](digit, size), 28, 28)
        assert not fault, digit
        assert likeness(framed, expected) > (0.6 if size <= 20 else 0.85), digit  # few pixels: other softness and width


@pytest.mark.parametrize("size", [28, 31, 32, 300])
@pytest.mark.parametrize(("width", "amount"), [(4, 40), (4, 60), (6, 80), (8, 80), (12, 100)])
def test_thin_ink_on_uneven_paper_is_found(size, width, amount):
    for digit in DIGITS:
        thin = {"width": width / 3, "strength": 0.5}
        expected, _ = frame_ink(as_grey(drawn(digit, size, **thin)), 28, 28)
        for angle in (0, 1, 2.5, 4):
            framed, fault = frame_ink(as_grey(drawn(digit, size, paper=shaded(size, amount, angle), **thin)), 28, 28)
            assert not fault, (digit, angle)
            assert likeness(framed, expected) > 0.75, (digit, angle)


@pytest.mark.parametrize("size", [20, 28, 64, 300])
def test_strokes_that_reach_both_sides_of_a_tight_crop_stay(size):
    for digit, is_line in ((4, lambda tight: tight.mean(axis=1).argmin()), (7, lambda tight: 0)):
        grey = as_grey(drawn(digit, size))
        tight = cropped(grey)
        line = is_line(tight)
        tight[line : line + max(1, size // 14)] = 30  # the crossbar, from side to side
        framed, fault = frame_ink(tight, 28, 28)
        expected, _ = frame_ink(grey, 28, 28)
        assert not fault
        assert likeness(framed, expected) > 0.75


@pytest.mark.parametrize("size", [64, 120, 300])
def test_ruled_paper_loses_its_lines(size):
    ruled = as_grey(drawn(4, size))
    for row in range(size // 10, size, size // 6):
        ruled[row : row + max(1, size // 100)] = 60
    framed, fault = frame_ink(ruled, 28, 28)
    expected, _ = frame_ink(as_grey(drawn(4, size)), 28, 28)
    assert not fault
    assert likeness(framed, expected) > 0.85


def zero(size, stroke):
    """Return a 0, dark on light, that touches all four sides."""
    rows, columns = (np.indices((size, size)) - (size - 1) / 2) / (size / 2)
    distance = np.hypot(rows, columns)
    return np.where((distance <= 1.02) & (distance > 1 - stroke), 30, 230).astype(np.uint8)


@pytest.mark.parametrize("size", [16, 28, 64, 200])
@pytest.mark.parametrize("stroke", [0.2, 0.3, 0.45, 0.6])
def test_a_tight_zero_keeps_its_polarity(size, stroke):
    expected, _ = frame_ink(np.pad(zero(size, stroke), size // 2, constant_values=230), 28, 28)
    for grey in (zero(size, stroke), 255 - zero(size, stroke)):
        framed, fault = frame_ink(grey, 28, 28)
        assert not fault
        assert likeness(framed, expected) > 0.85


@pytest.mark.parametrize("size", [16, 28, 64])
@pytest.mark.parametrize("letter", "ACGJOQSTVYaceos")
def test_bold_letters_cropped_tightly_keep_their_polarity(letter, size):
    picture = Image.new("L", (4 * size, 4 * size), 230)
    font = ImageFont.load_default(2 * size)
    ImageDraw.Draw(picture).text((size, size), letter, fill=30, font=font, stroke_width=size / 10, stroke_fill=30)
    tight = scaled(cropped(np.asarray(picture)), size)
    expected, _ = frame_ink(np.pad(tight, size, constant_values=230), 28, 28)
    for grey in (tight, 255 - tight):
        framed, fault = frame_ink(grey, 28, 28)
        assert not fault
        assert likeness(framed, expected) > 0.75


@pytest.mark.parametrize("is_inverted", [False, True])
def test_a_digit_of_eight_pixels_is_framed(is_inverted):
    rows = ("00044000", "00499200", "00940940", "00900490", "00900490", "00900940", "00499400", "00044000")
    digit = np.array([[25 * int(level) for level in row] for row in rows], np.uint8)
    framed, fault = frame_ink(255 - digit if is_inverted else digit, 28, 28)
    assert not fault
    is_ink = framed > 128
    assert is_ink.any(axis=1).sum() >= 12
    assert not is_ink[12:16, 13:15].any()  # the belly
    assert is_ink[14, :13].any()
    assert is_ink[14, 15:].any()


# What is not a character


@pytest.mark.parametrize("level", [0, 130, 255])
def test_only_a_picture_of_one_colour_is_called_blank(level):
    grey = np.full((60, 60), level, np.uint8)
    assert frame_ink(grey, 28, 28)[1] == BLANK
    grey[20] = level - 5 if level else 5
    assert frame_ink(grey, 28, 28)[1] == BLANK


def test_paper_without_ink_shows_nothing():
    assert frame_ink(as_grey(shaded(200, 60, 1)), 28, 28)[1] == NOTHING
    noise = np.random.default_rng(0).normal(128, 12, (100, 100))
    assert frame_ink(as_grey(noise), 28, 28)[1] == NOTHING


@pytest.mark.parametrize(("size", "radius"), [(280, 1), (280, 4), (280, 10), (280, 13), (60, 1), (60, 2)])
@pytest.mark.parametrize("is_inverted", [False, True])
def test_a_dot_is_called_a_dot(size, radius, is_inverted):
    picture = Image.new("L", (size, size), 255)
    middle = size // 3
    ImageDraw.Draw(picture).ellipse((middle - radius, middle - radius, middle + radius, middle + radius), fill=0)
    grey = np.asarray(picture)
    assert frame_ink(255 - grey if is_inverted else grey, 28, 28)[1] == DOT


@pytest.mark.parametrize("digit", DIGITS)
def test_a_tiny_digit_on_a_large_sheet_is_no_dot(digit):
    sheet = np.full((300, 300), 235, np.uint8)
    sheet[100:128, 60:88] = as_grey(drawn(digit, 28))
    assert not frame_ink(sheet, 28, 28)[1]


# Random drawings


def random_drawing(rng):
    """Draw lines, blobs, boxes, a grid or hair lines in random greys, at times with noise, on either background."""
    longest = 600 if rng.random() < 0.01 else 48
    width, height = np.exp(rng.uniform(0, np.log(longest), 2)).astype(int).tolist()
    picture = Image.new("L", (width, height), 255)
    pen, kind = ImageDraw.Draw(picture), rng.integers(5)
    for _ in range(rng.integers(1, 8)):
        points = rng.uniform(-0.1, 1.1, (rng.integers(2, 6), 2)) * (width, height)
        corners = [*np.sort(points[:2], axis=0).ravel().tolist()]
        grey, thickness = int(rng.integers(256)), int(rng.integers(1, max(2, min(width, height) // 3 + 2)))
        if kind == 0:
            pen.line([tuple(point) for point in points.tolist()], fill=grey, width=thickness)
        elif kind == 1:
            pen.ellipse(corners, fill=grey)
        elif kind == 2:
            pen.rectangle(corners, fill=grey)
        elif kind == 3:
            for x in range(0, width, int(rng.integers(2, 40))):
                pen.line((x, 0, x, height), fill=grey, width=min(thickness, 5))
        else:
            pen.line([tuple(point) for point in points.tolist()], fill=grey, width=1)
    levels = np.asarray(picture).astype(float)
    if rng.random() < 0.3:
        levels += rng.normal(0, rng.uniform(0, 40), levels.shape)
    grey = rng.integers(0, 256, levels.shape, dtype=np.uint8) if rng.random() < 0.05 else as_grey(levels)
    return 255 - grey if rng.random() < 0.5 else grey


@pytest.mark.slow
def test_no_drawing_raises():
    faults = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy's division by zero, overflow, mean of nothing
        for seed in range(8_000):
            framed, fault = frame_ink(random_drawing(np.random.default_rng(seed)), 28, 28)
            assert framed.shape == (28, 28)
            assert framed.any() or fault in (BLANK, NOTHING, DOT)
            faults.add(fault)
    assert faults == {"", BLANK, NOTHING, DOT, SEVERAL}
