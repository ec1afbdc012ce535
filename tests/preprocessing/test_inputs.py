import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysight.errors import PictureError
from tinysight.preprocessing import inputs
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.inputs import each_picture

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


class Tensor:
    """What other libraries' tensors have in common."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        if self._array is None:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self._array


class Stream(io.RawIOBase):
    """Bytes that come in parts and cannot be rewound, as from a network."""

    def __init__(self, data):
        self._parts = [data[:10], data[10:]]

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self._parts.pop(0) if self._parts else b""
        buffer[: len(part)] = part
        return len(part)


def same_pictures():
    data = png(GREY)
    yield "bytearray", bytearray(data)
    yield "memoryview", memoryview(data)
    yield "BytesIO", io.BytesIO(data)
    yield "BytesIO at its end", written(data)
    yield "stream", Stream(data)
    yield "Pillow image", Image.fromarray(GREY)
    yield "Pillow image that is not decoded yet", Image.open(io.BytesIO(data))
    yield "Pillow image, RGBA", Image.fromarray(GREY).convert("RGBA")
    yield "array", GREY
    yield "array with a channel", GREY[..., None]
    yield "array with a channel first", GREY[None]
    yield "array that is not contiguous", np.asfortranarray(GREY)
    yield "grey, alpha", np.dstack([GREY, np.full_like(GREY, 255)])
    yield "RGBA", np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    yield "tensor", Tensor(GREY)


def written(data):
    buffer = io.BytesIO()
    buffer.write(data)
    return buffer


@pytest.mark.parametrize("picture", [pytest.param(picture, id=about) for about, picture in same_pictures()])
def test_each_kind_of_input_gives_the_same_picture(picture):
    read = read_picture(picture)
    assert read.mode == "L"
    np.testing.assert_array_equal(np.asarray(read), GREY)
    assert len(list(each_picture(picture, (28, 28)))) == 1


def test_a_colour_array_stays_in_colour():
    np.testing.assert_array_equal(np.asarray(read_picture(COLOUR)), COLOUR)
    np.testing.assert_array_equal(np.asarray(read_picture(Image.fromarray(COLOUR))), COLOUR)


def test_truth_values_are_black_and_white():
    np.testing.assert_array_equal(np.asarray(read_picture(GREY > 99)), np.where(GREY > 99, 255, 0))


def test_a_pillow_image_is_turned_as_its_file_would_be(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        assert read_picture(picture).tobytes() == read_picture(tmp_path / "a.png").tobytes()
        assert picture.size == (6, 8)  # the caller's image is as it was


def test_an_open_file_is_read_from_its_start_and_stays_open(tmp_path):
    (tmp_path / "a.png").write_bytes(png(GREY))
    with (tmp_path / "a.png").open("rb") as file:
        assert read_picture(file).tobytes() == read_picture(file).tobytes()
        assert inputs.source_of(file) == str(tmp_path / "a.png")


ONE = [(4, 6), (4, 6, 1), (4, 6, 2), (4, 6, 3), (4, 6, 4), (1, 4, 6), (1, 28, 28), (784, 28), (3, 5, 3)]
SEVERAL = [
    (5, 4, 6),
    (2, 28, 28),
    (3, 28, 28),
    (4, 28, 28),
    (7, 28, 28, 1),
    (5, 28, 28, 3),
    (3, 28, 28, 4),
    (6, 1, 28, 28),
    (28, 28, 28),
    (0, 28, 28),
]
AMBIGUOUS = [(3, 4, 6), (4, 30, 30), (9, 784), (1, 784), (28, 28, 10)]
IMPOSSIBLE = [(784,), (), (2, 3, 4, 6), (5, 3, 28, 28), (1, 2, 3, 4, 5), (2, 4, 6, 5)]


def pictures_of(shape):
    return list(each_picture(np.zeros(shape, np.uint8), (28, 28)))


@pytest.mark.parametrize("shape", ONE)
def test_an_array_of_one_picture_is_one(shape):
    (array,) = pictures_of(shape)
    assert read_picture(array)


@pytest.mark.parametrize("shape", SEVERAL)
def test_an_array_of_several_pictures_is_several(shape):
    found = pictures_of(shape)
    assert len(found) == shape[0]
    assert all(map(read_picture, found))


@pytest.mark.parametrize("shape", AMBIGUOUS + IMPOSSIBLE)
def test_other_arrays_are_refused_with_their_shape_and_the_expected_ones(shape):
    with pytest.raises(PictureError) as caught:
        pictures_of(shape)
    assert f"got an array uint8 {shape}; expected uint8 of shape (height, width)" in str(caught.value)
    assert str(caught.value).count("; for ") == (2 if shape in AMBIGUOUS else shape[1:2] in [(3,), (4,)])


def test_what_to_give_instead_is_accepted():
    first, last = np.zeros((3, 30, 30), np.uint8), np.zeros((28, 28, 10), np.uint8)
    flat = np.zeros((9, 784), np.uint8)
    for instead, number in (
        (first.transpose(1, 2, 0), 1),
        (list(first), 3),
        (last.transpose(2, 0, 1), 10),
        (list(last), 28),
        (flat.reshape(-1, 28, 28), 9),
        (Image.fromarray(flat), 1),
    ):
        assert len([read_picture(one) for one in each_picture(instead, (28, 28))]) == number


@pytest.mark.parametrize("dtype", [float, np.float32, np.int64, np.uint16, complex, "U3", object])
def test_arrays_of_other_types_are_refused_with_what_to_do(dtype):
    array = np.zeros((28, 28)).astype(dtype)
    for read in (read_picture, lambda given: list(each_picture(given, (28, 28)))):
        with pytest.raises(PictureError, match=r"got an array .* \(28, 28\); expected uint8") as caught:
            read(array)
        assert ("astype('uint8')" in str(caught.value)) == (array.dtype.kind in "fiu")


def test_an_array_without_pixels_is_refused():
    with pytest.raises(PictureError, match="expected uint8"):
        read_picture(np.zeros((0, 5), np.uint8))


def test_an_array_of_paths_is_its_paths():
    paths = np.array(["a.png", "b.png"])
    assert list(each_picture(paths, (28, 28))) == ["a.png", "b.png"]
    assert list(each_picture(np.array([Path("a")], object), (28, 28))) == [Path("a")]


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (5, "int 5"),
        (None, "NoneType None"),
        ([[0, 1], [2, 3]], "list"),
        ([0, 1], "list"),
        (object(), "object"),
        (io.StringIO("text"), "'rb'"),
        (Tensor(None), "cannot be made an array"),
        (np.uint8(5), "got an array uint8 ()"),
        ("a\0b", "cannot be a file's name"),
        ("\udcff" * 3000, "cannot be"),
    ],
)
def test_other_things_are_refused_in_one_line(thing, words):
    with pytest.raises(PictureError) as caught:
        read_picture(thing)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(PictureError, match="closed file"):
        read_picture(closed)
    monkeypatch.setattr(inputs, "MAX_FILE_BYTES", 20)
    with pytest.raises(PictureError, match="larger than"):
        read_picture(io.BytesIO(bytes(21)))
    with pytest.raises(PictureError, match="empty"):
        read_picture(io.BytesIO())


def test_a_cut_picture_that_pillow_has_opened_is_damaged():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG")
    with pytest.raises(PictureError, match="the picture: damaged"):
        read_picture(Image.open(io.BytesIO(buffer.getvalue()[:-900])))
