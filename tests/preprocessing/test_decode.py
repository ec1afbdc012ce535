import io
import warnings
import weakref

import numpy as np
import pytest
from pictures import png_files
from PIL import Image

from tinysight.errors import PictureError, SettingsError
from tinysight.preprocessing import decode
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.framing import Framing, frame_picture, frame_pictures


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_framing_of_impossible_size_is_refused():
    with pytest.raises(SettingsError, match="image height"):
        Framing(height=0)
    with pytest.raises(SettingsError, match="framing"):
        Framing("half")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F"])
def test_every_mode_becomes_grey_or_colour_of_8_bits(mode):
    grey = Image.fromarray(np.tile(np.linspace(0, 255, 30, dtype=np.uint8), (20, 1)))
    if mode in ("I;16", "F"):
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16 if mode == "I;16" else np.float32) * 257)
    else:
        picture = grey.convert("RGB").convert(mode) if mode in ("CMYK", "P") else grey.convert(mode)
    kind = "TIFF" if mode in ("CMYK", "F") else "PNG"
    read = read_picture(encoded(picture, kind))
    assert read.mode == ("RGB" if mode in ("RGB", "CMYK") else "L")
    assert read.size == (30, 20)
    values = np.asarray(read.convert("L")).astype(int)
    assert values[:, 0].max() <= 3
    assert values[:, -1].min() >= 252


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_a_photograph_is_turned_upright(photograph_folders, shape):
    for folder in photograph_folders:
        upright = np.asarray(read_picture(folder / shape / f"{shape}_1.jpg").resize((30, 20)), dtype=int)
        for orientation in range(2, 9):
            other = read_picture(folder / shape / f"{shape}_{orientation}.jpg").resize((30, 20))
            assert np.abs(np.asarray(other, dtype=int) - upright).mean() < 12, orientation


@pytest.mark.parametrize(("ink", "background"), [(0, 255), (255, 0)])
def test_transparency_becomes_the_background_that_shows_the_ink(ink, background):
    picture = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    picture.paste((ink, ink, ink, 255), (3, 3, 6, 6))
    values = np.asarray(read_picture(encoded(picture)))
    assert values[0, 0] == background
    assert values[4, 4] == ink


def test_an_animation_is_its_first_frame():
    frames = [Image.new("L", (8, 8), value) for value in (10, 200)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(read_picture(data).convert("L")).max() <= 12


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "empty"), (b"just some text", "not a picture"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "picture")],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, data, message):
    path = tmp_path / "odd.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=message) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_picture_is_refused():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    with pytest.raises(PictureError, match="damaged"):
        read_picture(encoded(noise)[:-600])


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(PictureError, match="no such file"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(PictureError, match="folder"):
        read_picture(tmp_path)


def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 99)
    with pytest.raises(PictureError, match="too many"):
        read_picture(encoded(Image.new("L", (10, 10))))


def test_other_formats_of_pillow_are_refused():
    with pytest.raises(PictureError, match="expected one of"):
        read_picture(encoded(Image.new("RGB", (10, 10)), "ICO"))


def test_every_malformed_picture_is_read_or_refused_in_one_line(broken_pictures):
    refused = 0
    for name, data in broken_pictures.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert read_picture(data, name).mode in ("L", "RGB")
        except PictureError as error:
            refused += 1
            assert "\n" not in str(error)
    assert 0 < refused < len(broken_pictures)


def test_every_odd_format_is_read(odd_pictures):
    assert len(odd_pictures) > 100
    for name, data in odd_pictures.items():
        assert read_picture(data, name).mode in ("L", "RGB"), name


def test_pngs_of_every_kind_have_their_pixels():
    for name, data in png_files().items():
        values = np.asarray(read_picture(data, name).convert("L")).astype(int)
        if "tRNS0" in name and values.size > 1:
            assert values[:, 0].max() == 0, name
            assert values[:, -1].min() >= 254, name
            assert (np.diff(values) >= 0).all(), name
            assert (values == values[0]).all(), name


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
    assert note == same_note == "framed anew: its ink was not light on dark, in MNIST's place"
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
    placed = frame_picture(Image.fromarray(drawn), Framing("ink")).pixels
    colour = np.stack([placed, 255 - placed, drawn], axis=-1)
    arrays = [placed, drawn, 255 - placed, np.zeros_like(drawn), colour, placed[:20], drawn.repeat(3, axis=0), placed]
    pictures = [Image.fromarray(array) for array in arrays]
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


@pytest.mark.parametrize("array", [np.zeros((28, 28)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 5), np.uint8)])
def test_arrays_that_are_no_pictures_are_refused(array):
    with pytest.raises(PictureError, match="expected uint8"):
        read_picture(array)
