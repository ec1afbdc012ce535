import numpy as np
import pytest
from PIL import Image, ImageDraw

from tinysight.data.loading import load_images
from tinysight.preprocessing.ink import (
    BLANK,
    BOX_SHARE,
    NOTHING,
    SEVERAL,
    THINNEST,
    are_framed,
    frame_ink,
    place_strokes,
    stroke_width,
)


def drawn_seven(size=200, ink=0, background=255, width=12, offset=(0, 0)):
    picture = Image.new("L", (size, size), background)
    x, y = offset
    points = [(60 + x, 60 + y), (120 + x, 60 + y), (80 + x, 150 + y)]
    ImageDraw.Draw(picture).line(points, fill=ink, width=width, joint="curve")
    return np.asarray(picture)


def box_of(framed):
    rows, columns = np.flatnonzero(framed.any(axis=1)), np.flatnonzero(framed.any(axis=0))
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def test_ink_fills_mnists_box_with_its_mass_in_the_middle():
    framed, fault = frame_ink(drawn_seven(), 28, 28)
    assert not fault
    assert framed.shape == (28, 28)
    assert framed.dtype == np.uint8
    assert max(box_of(framed)) == round(28 * BOX_SHARE)
    assert framed.max() == 255
    weights = framed / framed.sum()
    assert abs(weights.sum(axis=1) @ np.arange(28) - 14) <= 0.5
    assert abs(weights.sum(axis=0) @ np.arange(28) - 14) <= 0.5


def test_strokes_may_be_faint():
    assert place_strokes(np.full((1, 1), 10, np.uint8), 28, 28).any()


def test_ink_of_a_small_picture_fills_the_box_too():
    small = np.full((20, 20), 255, np.uint8)
    small[4:15, 9:11] = 0
    framed, _ = frame_ink(small, 28, 28)
    assert box_of(framed > 100)[0] == 20


@pytest.mark.parametrize(
    "other",
    [
        {"ink": 255, "background": 0}, {"ink": 90, "background": 150}, {"offset": (40, -30)}, {"offset": (-50, 40)},
    ],
)  # fmt: skip
def test_polarity_contrast_and_position_make_no_difference(other):
    expected, _ = frame_ink(drawn_seven(), 28, 28)
    framed, _ = frame_ink(drawn_seven(**other), 28, 28)
    assert np.abs(framed.astype(int) - expected).mean() < 4


def test_a_shadow_over_the_background_is_not_ink():
    shadow = np.linspace(0, 110, 200)[None, :]
    framed, _ = frame_ink((drawn_seven(ink=20, background=250) - shadow).clip(0, 255).astype(np.uint8), 28, 28)
    expected, _ = frame_ink(drawn_seven(), 28, 28)
    assert np.corrcoef(framed.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("background", [0, 128, 255])
def test_a_blank_picture_has_no_ink(background):
    framed, fault = frame_ink(np.full((100, 80), background, np.uint8), 28, 28)
    assert fault == BLANK
    assert not framed.any()


def test_framing_twice_changes_nothing():
    once, _ = frame_ink(drawn_seven(), 28, 28)
    twice, _ = frame_ink(once, 28, 28)
    np.testing.assert_array_equal(once, twice)


def test_mnists_own_images_pass_unharmed(mnist):
    images = np.asarray(load_images("mnist").subset("test").images)
    assert len(images) == mnist.num_test
    assert are_framed(images).all()
    assert not are_framed(255 - images).any()
    assert not are_framed(np.pad(images, ((0, 0), (3, 0), (0, 0)))[:, :28]).any()
    assert not are_framed(np.zeros((1, 28, 28), np.uint8)).any()


@pytest.mark.parametrize(("size", "width"), [(1500, 1), (1500, 3), (200, 2), (60, 2), (40, 9), (24, 5)])
def test_a_hair_line_and_a_brush_give_usable_strokes(size, width):
    seven = Image.new("L", (size, size), 255)
    points = [(0.3 * size, 0.3 * size), (0.6 * size, 0.3 * size), (0.4 * size, 0.75 * size)]
    ImageDraw.Draw(seven).line(points, fill=0, width=width, joint="curve")
    framed, fault = frame_ink(np.asarray(seven), 28, 28)
    assert not fault
    assert 0.8 * THINNEST <= stroke_width(framed > 100) <= 5
    expected, _ = frame_ink(drawn_seven(), 28, 28)
    assert np.corrcoef(framed.ravel(), expected.ravel())[0, 1] > 0.6


def with_drawing(draw):
    picture = Image.fromarray(drawn_seven())
    draw(ImageDraw.Draw(picture))
    return np.asarray(picture)


@pytest.mark.parametrize(
    "draw",
    [
        lambda pen: [pen.ellipse((x, y, x + 3, y + 3), fill=0) for x, y in ((10, 180), (180, 20), (30, 90))],
        lambda pen: pen.rectangle((0, 0, 199, 199), outline=0, width=4),
        lambda pen: pen.line((0, 0, 0, 199), fill=0, width=12),
        lambda pen: [pen.line((0, y, 199, y), fill=0, width=2) for y in (20, 180)],
        lambda pen: [pen.line((0, y, 199, y), fill=0, width=2) for y in range(5, 200, 24)],
        lambda pen: [pen.line((x, 0, x, 199), fill=200, width=2) for x in range(5, 200, 24)],
        lambda pen: pen.polygon([(0, 199), (0, 150), (30, 199)], fill=90),
    ],
    ids=["specks", "border", "dark side", "two lines", "ruled paper", "grid of grey lines", "corner"],
)  # fmt: skip
def test_what_is_not_the_character_is_dropped(draw):
    framed, fault = frame_ink(with_drawing(draw), 28, 28)
    expected, _ = frame_ink(drawn_seven(), 28, 28)
    assert not fault
    assert np.corrcoef(framed.ravel(), expected.ravel())[0, 1] > 0.85  # half a pixel to the side gives 0.88


def test_a_loose_bar_belongs_to_its_character():
    five = Image.new("L", (200, 200), 255)
    pen = ImageDraw.Draw(five)
    pen.line([(70, 60), (70, 100)], fill=0, width=8)
    pen.arc((60, 95, 130, 165), 200, 140, fill=0, width=8)
    pen.line([(84, 50), (140, 50)], fill=0, width=8)
    framed, fault = frame_ink(np.asarray(five), 28, 28)
    assert not fault
    assert framed[4:7].max() > 200
    assert box_of(framed)[0] == 20


def test_two_characters_are_reported():
    picture = Image.fromarray(np.hstack([drawn_seven(), drawn_seven()]))
    _, fault = frame_ink(np.asarray(picture), 28, 28)
    assert fault == SEVERAL


def test_noise_is_not_ink():
    noise = np.random.default_rng(0).normal(0, 12, (300, 240))
    assert frame_ink((180 + noise).clip(0, 255).astype(np.uint8), 28, 28)[1] == NOTHING
    noisy = (drawn_seven(ink=60, background=200) + np.random.default_rng(1).normal(0, 10, (200, 200))).clip(0, 255)
    framed, fault = frame_ink(noisy.astype(np.uint8), 28, 28)
    expected, _ = frame_ink(drawn_seven(), 28, 28)
    assert not fault
    assert np.corrcoef(framed.ravel(), expected.ravel())[0, 1] > 0.85  # half a pixel to the side gives 0.88
