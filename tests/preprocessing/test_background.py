import numpy as np
import pytest
from PIL import Image, ImageDraw

from tinysight.preprocessing.background import ROUNDING, extract_ink, noise_of, otsu_threshold, without_frame


def seven(size=60, ink=20, paper=230, width=6):
    picture = Image.new("L", (size, size), paper)
    points = [(size * x, size * y) for x, y in ((0.3, 0.25), (0.65, 0.25), (0.42, 0.8))]
    ImageDraw.Draw(picture).line(points, fill=ink, width=width, joint="curve")
    return np.asarray(picture)


def with_border(grey, thickness, level):
    framed = grey.copy()
    framed[:thickness] = framed[-thickness:] = framed[:, :thickness] = framed[:, -thickness:] = level
    return framed


@pytest.mark.parametrize(("size", "thickness"), [(20, 1), (28, 1), (60, 1), (60, 3), (300, 1), (300, 18)])
@pytest.mark.parametrize("is_inverted", [False, True])
def test_a_frame_is_cut_off(size, thickness, is_inverted):
    grey = with_border(seven(size, width=max(2, size // 10)), thickness, 30)
    grey = 255 - grey if is_inverted else grey
    inside = grey[thickness:-thickness, thickness:-thickness]
    np.testing.assert_array_equal(without_frame(grey), inside)


def test_what_is_not_a_frame_stays():
    thick = with_border(seven(60), 8, 30)
    faint = with_border(seven(60), 2, 200)
    open_below = with_border(seven(60), 2, 30)
    open_below[-2:] = 230
    ring = np.full((28, 28), 255, np.uint8)  # a tightly cropped 0: its edge is not of one colour
    ring[tuple(np.nonzero(np.abs(np.hypot(*(np.indices((28, 28)) - 13.5)) - 11.5) < 2.5))] = 0
    for grey in (seven(60), thick, faint, open_below, ring, np.full((5, 5), 9, np.uint8), np.zeros((1, 1), np.uint8)):
        assert without_frame(grey) is grey


@pytest.mark.parametrize("shade", ["none", "plane", "lamp"])
@pytest.mark.parametrize("is_inverted", [False, True])
def test_ink_is_what_departs_from_a_smooth_background(shade, is_inverted):
    down, across = np.mgrid[-1:1:100j, -1:1:100j]
    below = {"none": 0 * down, "plane": 30 * down + 25 * across, "lamp": -50 * (down**2 + across**2) / 2}[shade]
    is_ink = seven(100, ink=0, paper=1, width=8) == 0
    grey = np.rint(180 + below - 60 * is_ink).astype(np.uint8)
    ink = extract_ink(255 - grey if is_inverted else grey)
    assert np.abs(ink[is_ink] - 60).max() < 6
    assert np.abs(ink[~is_ink]).max() < 6


@pytest.mark.parametrize("size", [8, 16, 28, 31, 32, 200])
@pytest.mark.parametrize("is_inverted", [False, True])
def test_ink_may_fill_more_than_half_of_the_picture(size, is_inverted):
    rows, columns = (np.indices((size, size)) - (size - 1) / 2) / (size / 2)
    distance = np.hypot(rows, columns)
    is_ink = (distance < 1) & (distance > 0.25)  # a bold 0, cropped tightly
    grey = np.where(is_ink, 40, 220).astype(np.uint8)
    ink = extract_ink(255 - grey if is_inverted else grey)
    assert is_ink.mean() > 0.6
    np.testing.assert_array_equal(ink > 90, is_ink)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (40, 40), (200, 90)])
@pytest.mark.parametrize("level", [0, 130, 255])
def test_a_picture_of_one_colour_has_no_ink(shape, level):
    assert np.abs(extract_ink(np.full(shape, level, np.uint8))).max() < 0.01


def test_ink_is_rounded_so_that_equal_pixels_stay_equal():
    ink = extract_ink(seven(100))
    np.testing.assert_array_equal(ink, np.rint(ink / ROUNDING) * ROUNDING)


@pytest.mark.parametrize("deviation", [0, 2, 10])
@pytest.mark.parametrize("shape", [(40, 60), (300, 200)])
def test_noise_is_measured_beside_ink(deviation, shape):
    noise = np.random.default_rng(0).normal(0, deviation, shape) if deviation else np.zeros(shape)
    is_background = np.ones(shape, bool)
    is_background[10:20, 10:30] = False
    noise[~is_background] += 100
    assert noise_of(noise, is_background) == pytest.approx(deviation, rel=0.1)


def test_soft_edges_of_strokes_are_no_noise():
    slope = np.tile(np.linspace(0, 100, 50), (50, 1))
    assert noise_of(slope, np.ones((50, 50), bool)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (4, 5)])
def test_few_pixels_tell_nothing_about_noise(shape):
    assert noise_of(np.random.default_rng(0).normal(0, 10, shape), np.ones(shape, bool)) == 0


def test_the_threshold_splits_two_groups():
    rng = np.random.default_rng(0)
    low, high = rng.normal(20, 5, 900), rng.normal(90, 5, 300)
    assert 35 < otsu_threshold(np.concatenate([low, high])) < 75
    assert otsu_threshold(np.full((3, 3), 7.0)) == 7


@pytest.mark.parametrize("seed", range(20))
def test_rounding_does_not_decide_between_splits(seed):
    rng = np.random.default_rng(seed)
    values = rng.choice(rng.integers(0, 256, rng.integers(2, 6)).astype(float), (30, 40))
    mirrored = 2.0 * values.mean() - values
    for grid in (values, np.stack([values, mirrored])):  # mirrored, two splits may be equally good
        threshold = otsu_threshold(grid)
        assert otsu_threshold(grid.T) == threshold
        assert otsu_threshold(grid + 1e-11 * rng.random(grid.shape)) == pytest.approx(threshold, abs=1e-6)
