import weakref

import numpy as np
import pytest
from PIL import Image

from tinysight.errors import SettingsError
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.framing import Framing, frame_picture, frame_pictures


def test_a_framing_of_impossible_size_is_refused():
    with pytest.raises(SettingsError, match="image height"):
        Framing(height=0)
    with pytest.raises(SettingsError, match="framing"):
        Framing("half")


def test_a_picture_of_the_right_size_is_left_alone():
    values = np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8)
    framed, note, _ = frame_picture(Image.fromarray(values), Framing("whole"))
    np.testing.assert_array_equal(framed, values)
    assert note == ""


def test_whole_framing_keeps_the_aspect_and_says_what_it_did():
    picture = Image.new("RGB", (200, 100), (255, 255, 255))
    picture.paste((0, 0, 0), (50, 25, 150, 75))
    framed, note, _ = frame_picture(picture, Framing("whole"))
    assert framed.shape == (28, 28)
    assert note == "framed from 200×100 colour"
    rows, columns = np.flatnonzero((framed < 128).any(axis=1)), np.flatnonzero((framed < 128).any(axis=0))
    assert len(columns) == pytest.approx(2 * len(rows), abs=2)
    assert framed[0, 0] == 255


def test_colour_framing_gives_three_channels():
    framed, *_ = frame_picture(Image.new("L", (5, 9), 77), Framing("whole", 12, 10, 3))
    assert framed.shape == (12, 10, 3)
    assert (framed == 77).all()


def test_arrays_and_pictures_are_framed_alike():
    values = np.full((28, 28), 250, np.uint8)
    values[3:15, 4:6] = 20
    framed, note, _ = frame_picture(read_picture(values), Framing("ink"))
    again, same_note, _ = frame_picture(Image.fromarray(values), Framing("ink"))
    np.testing.assert_array_equal(framed, again)
    assert note == same_note == "re-centred: its ink was not light on dark and centred as in MNIST"
    assert frame_picture(read_picture(framed), Framing("ink"))[1] == ""


@pytest.mark.parametrize(
    "framing",
    [
        Framing("ink"),
        Framing("whole"),
        Framing("ink", channels=3),
        Framing("whole", channels=3),
        Framing("ink", 20, 24),
    ],
)
def test_pictures_framed_together_are_framed_as_each_alone(framing):
    drawn = np.full((28, 28), 250, np.uint8)
    drawn[3:15, 4:6] = 20
    centred = frame_picture(Image.fromarray(drawn), Framing("ink")).pixels
    colour = np.stack([centred, 255 - centred, drawn], axis=-1)
    arrays = [centred, drawn, 255 - centred, np.zeros_like(drawn), colour, centred[:20], drawn.repeat(3, axis=0)]
    pictures = [Image.fromarray(array) for array in [*arrays, centred]]
    together = frame_pictures(iter(pictures), framing)
    assert len(together) == len(pictures)
    for framed, alone in zip(together, [frame_picture(picture, framing) for picture in pictures], strict=True):
        np.testing.assert_array_equal(framed.pixels, alone.pixels)
        assert framed[1:] == alone[1:]
    assert frame_pictures([], framing) == []


def test_of_pictures_that_are_no_input_yet_one_is_in_memory_at_a_time():
    pictures = []

    def read():
        for _ in range(5):
            assert not any(picture() for picture in pictures)
            picture = Image.new("L", (50, 40))
            pictures.append(weakref.ref(picture))
            yield picture
            del picture

    assert len(frame_pictures(read(), Framing("whole"))) == 5
