import io
import struct
import warnings
from zlib import compress, crc32

import numpy as np
import pytest
from pictures import png_files
from PIL import Image, PngImagePlugin

from tinysight.errors import PictureError
from tinysight.preprocessing import decode
from tinysight.preprocessing.decode import MAX_PNG_PIXELS, PNG_START, read_picture, read_plain_png


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(array, **options):
    return encoded(Image.fromarray(array), **options)


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


@pytest.mark.parametrize("array", [np.zeros((28, 28)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 5), np.uint8)])
def test_arrays_that_are_no_pictures_are_refused(array):
    with pytest.raises(PictureError, match="expected uint8"):
        read_picture(array)


def drawn(seed, shape):
    """Pixels smooth enough for the encoder to choose each of PNG's filters."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-9, 10, shape).cumsum(axis=0).cumsum(axis=1)
    return (steps + rng.integers(0, 256)).clip(0, 255).astype(np.uint8)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc32(name + content))


def with_chunks(data, *more, before=b"IEND"):
    position = data.index(before) - 4
    return data[:position] + b"".join(more) + data[position:]


def outcome(data):
    try:
        picture = read_picture(data)
    except PictureError as error:
        return str(error)
    return picture.mode, picture.size, picture.tobytes()


@pytest.mark.parametrize("shape", [(28, 28), (1, 1), (40, 17), (28, 28, 3), (100, 150, 3)])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_plain_png_files_are_read_to_the_same_pixels(shape, level):
    for seed in range(20):
        array = drawn(seed, shape)
        picture = read_plain_png(png(array, compress_level=level))
        assert picture.mode == ("L" if len(shape) == 2 else "RGB")
        np.testing.assert_array_equal(np.asarray(picture), array)


def test_other_png_files_are_left_to_pillow():
    grey, colour = drawn(0, (28, 28)), drawn(1, (28, 28, 3))
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "seven")
    turned = Image.Exif()
    turned[0x0112] = 6
    content = compress(b"".join(b"\0" + row.tobytes() for row in grey))
    in_two = [chunk(b"IDAT", content[:50]), chunk(b"IDAT", content[50:])]
    two = with_chunks(
        PNG_START[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""), *in_two
    )
    np.testing.assert_array_equal(np.asarray(read_picture(two)), grey)
    others = [
        two,
        png(grey, pnginfo=info),
        png(grey, exif=turned),
        png(grey, transparency=0),
        encoded(Image.fromarray(colour).quantize(16)),
        encoded(Image.fromarray(colour).convert("RGBA")),
        png(grey.astype(np.uint16)),
        png(grey > 100),
        png(np.zeros((1_025, 1_024), np.uint8)),
        png(grey)[:-20],
        b"",
        PNG_START,
        b"GIF89a",
        with_chunks(png(grey), chunk(b"tIME", bytes(7))),
        with_chunks(png(grey), chunk(b"gAMA", bytes(4)), before=b"IDAT"),
    ]
    assert [read_plain_png(data) for data in others] == [None] * len(others)


def test_a_small_file_of_a_vast_picture_is_not_decoded_here():
    width = MAX_PNG_PIXELS + 1
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0))
    bomb = PNG_START[:8] + header + chunk(b"IDAT", compress(bytes(width + 1), 9)) + chunk(b"IEND", b"")
    assert len(bomb) < 2_000
    assert read_plain_png(bomb) is None
    with pytest.raises(PictureError, match="too many"):
        read_picture(png(drawn(0, (28, 28))), max_pixels=700)


def test_damaged_png_files_end_as_they_do_with_pillow_alone(monkeypatch):
    """Thousands of files with bytes changed, left out, doubled or cut off: the same pixels or the same message."""
    rng = np.random.default_rng(0)
    shapes = [(6, 5), (12, 9), (5, 4, 3)]
    originals = [png(drawn(0, shape), compress_level=level) for shape in shapes for level in (0, 9)]
    damaged = []
    for _ in range(4_000):
        data = bytearray(originals[rng.integers(len(originals))])
        for _ in range(rng.integers(1, 4)):
            first, length = rng.integers(8, len(data) - 4), rng.integers(1, 5)
            match rng.integers(4):
                case 0:
                    data[first] ^= 1 << rng.integers(8)
                case 1:
                    del data[first : first + length]
                case 2:
                    data[first:first] = data[first : first + length]
                case _:
                    data = data[: max(first, 40)]
        damaged.append(bytes(data))
    ours = [outcome(data) for data in damaged]
    assert sum(read_plain_png(data) is not None for data in damaged) > 30  # damage that no pixel shows
    monkeypatch.setattr(decode, "read_plain_png", lambda *_: None)
    theirs = [outcome(data) for data in damaged]
    assert theirs == ours
