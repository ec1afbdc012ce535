import gzip

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tinysight.ink import BOX_SHARE, frame_ink, is_framed


def drawn_seven(size=200, ink=0, paper=255, width=12, offset=(0, 0)):
    picture = Image.new("L", (size, size), paper)
    x, y = offset
    points = [(60 + x, 60 + y), (120 + x, 60 + y), (80 + x, 150 + y)]
    ImageDraw.Draw(picture).line(points, fill=ink, width=width, joint="curve")
    return np.asarray(picture)


def box_of(framed):
    rows, columns = np.flatnonzero(framed.any(axis=1)), np.flatnonzero(framed.any(axis=0))
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def test_ink_fills_mnists_box_with_its_mass_in_the_middle():
    framed, found = frame_ink(drawn_seven(), 28, 28)
    assert found
    assert framed.shape == (28, 28)
    assert framed.dtype == np.uint8
    assert max(box_of(framed)) == round(28 * BOX_SHARE)
    assert framed.max() == 255
    weights = framed / framed.sum()
    assert abs(weights.sum(axis=1) @ np.arange(28) - 14) <= 0.5
    assert abs(weights.sum(axis=0) @ np.arange(28) - 14) <= 0.5


@pytest.mark.parametrize(
    "other",
    [
        {"ink": 255, "paper": 0}, {"ink": 90, "paper": 150}, {"offset": (40, -30)}, {"offset": (-50, 40)},
    ],
)  # fmt: skip
def test_polarity_contrast_and_place_make_no_difference(other):
    expected, _ = frame_ink(drawn_seven(), 28, 28)
    framed, _ = frame_ink(drawn_seven(**other), 28, 28)
    assert np.abs(framed.astype(int) - expected).mean() < 4


def test_a_shadow_over_the_paper_is_not_ink():
    shadow = np.linspace(0, 110, 200)[None, :]
    framed, _ = frame_ink((drawn_seven(ink=20, paper=250) - shadow).clip(0, 255).astype(np.uint8), 28, 28)
    expected, _ = frame_ink(drawn_seven(), 28, 28)
    assert np.corrcoef(framed.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("paper", [0, 128, 255])
def test_a_blank_picture_has_no_ink(paper):
    framed, found = frame_ink(np.full((100, 80), paper, np.uint8), 28, 28)
    assert not found
    assert not framed.any()


def test_framing_twice_changes_nothing():
    once, _ = frame_ink(drawn_seven(), 28, 28)
    twice, _ = frame_ink(once, 28, 28)
    np.testing.assert_array_equal(once, twice)


def test_mnists_own_images_pass_unharmed(data_folder):
    data = gzip.decompress((data_folder / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)
    assert all(is_framed(image, 28, 28) for image in images)
