import io
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from pictures import png_files
from PIL import Image
from samples import as_png

from tinysight.errors import PictureError
from tinysight.preprocessing import bands, decode
from tinysight.preprocessing.decode import num_pixels, read_picture
from tinysight.preprocessing.jpeg import num_scans
from tinysight.preprocessing.turns import LARGE_PICTURES

DIGITS = Path(__file__).parents[2] / "docs" / "examples" / "digits"


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


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


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "array"])
def test_grey_of_16_bits_is_read_by_the_least_depth_that_holds_it(bits, kind):
    levels = np.tile(np.linspace(0, 2**bits - 1, 30), (20, 1)).astype(np.uint16)
    picture = Image.fromarray(levels)
    read = read_picture(picture if kind == "array" else encoded(picture, kind))
    np.testing.assert_array_equal(np.asarray(read), np.rint(levels * (255 / (2**bits - 1))))


def test_a_digit_is_the_same_however_it_is_stored(classifier):
    """In 16 bits, in 12 of 16, in CMYK, or with transparency around it, on black or on white."""
    with Image.open(DIGITS / "five.jpg") as picture:
        grey = picture.convert("L")
    wide = np.asarray(grey).astype(np.uint16)
    alpha = grey.point(lambda level: 255 if level < 160 else 0)
    on_black, on_white = (Image.merge("LA", (Image.new("L", grey.size, level), alpha)) for level in (255, 0))
    same = [grey, Image.fromarray(wide * 257), Image.fromarray(wide * 16), Image.fromarray(wide * 4)]
    files = [encoded(picture) for picture in (*same, on_black, on_white)]
    files.append(encoded(grey.convert("CMYK"), "TIFF"))
    predictions = list(classifier.predict(files))
    assert len({prediction.class_name for prediction in predictions}) == 1
    exact = [prediction.probability for prediction in predictions[:4]]
    np.testing.assert_allclose(exact, exact[0], atol=0.01)


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


def tag(number, value):
    """Return a TIFF file's entry of one 16-bit number."""
    return struct.pack("<HHIH", number, 3, 1, value)


def test_files_of_unsupported_kinds_are_not_called_damaged():
    bitmap = bytearray(encoded(Image.new("RGB", (9, 9)), "BMP"))
    tiff = encoded(Image.new("RGB", (9, 9)), "TIFF")
    jpeg = bytearray(encoded(Image.new("L", (9, 9)), "JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + 4] = 12
    files = {
        "BMP held as PNG": (bytes(bitmap[:30]) + b"\5" + bytes(bitmap[31:]), "BMP"),
        "BMP of 2 bits": (bytes(bitmap[:28]) + b"\2" + bytes(bitmap[29:]), "BMP"),
        "BMP of OS/2 2.0, short": (bytes(bitmap[:14]) + b"\x10" + bytes(bitmap[15:]), "BMP"),
        "TIFF of 12 bits": (tiff.replace(struct.pack("<HHH", 8, 8, 8), struct.pack("<HHH", 12, 12, 12)), "TIFF"),
        "TIFF held as JBIG": (tiff.replace(tag(259, 1), tag(259, 34661)), "TIFF"),
        "JPEG of 12 bits": (bytes(jpeg), "JPEG"),
    }
    for about, (data, kind) in files.items():
        with pytest.raises(PictureError, match=f"unsupported kind of {kind}.*; save it anew") as caught:
            read_picture(data, about)
        assert "\n" not in str(caught.value)


def test_the_picture_is_named_once():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    with pytest.raises(PictureError) as caught:
        read_picture(encoded(noise)[:-600])
    assert str(caught.value).count("picture") == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"\x80", b"\x7f"), (tag(277, 3), tag(277, 65535))],
    ids=["libtiff", "Pillow's log, of too many samples per pixel"],
)
def test_libraries_write_nothing_on_standard_error(old, new):
    data = encoded(Image.effect_noise((40, 40), 50).convert("RGB"), "TIFF", compression="tiff_lzw").replace(old, new)
    code = "import sys; from tinysight.preprocessing.decode import *\ntry: read_picture(sys.stdin.buffer.read())\n"
    code += "except PictureError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.startswith(b"the picture: ")
    assert done.stderr == b""


def test_a_picture_with_a_long_side_is_refused_before_it_is_decoded():
    for size in ((1, 32_769), (32_769, 1)):
        with pytest.raises(PictureError, match="no side longer than 32,768 pixels"):
            read_picture(as_png(Image.new("L", size)), "long.png")
    assert read_picture(as_png(Image.new("L", (32_768, 1)))).size == (32_768, 1)


def test_a_webp_picture_of_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(decode, "MAX_WEBP_PIXELS", 100)
    file = io.BytesIO()
    Image.new("RGB", (10, 11)).save(file, "WEBP", lossless=True)
    with pytest.raises(PictureError, match="smaller than 100 pixels"):
        read_picture(file.getvalue())


def test_a_jpeg_file_of_many_scans_is_refused(monkeypatch):
    """A scan of a few bytes takes as long to decode as the whole picture."""
    file = io.BytesIO()
    Image.effect_noise((300, 300), 50).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    start = data.rindex(b"\xff\xda")
    last = data[start:-2]
    assert num_scans(data) == data.count(b"\xff\xda") > 3
    repeated = data[:-2] + last * (100 - num_scans(data)) + b"\xff\xd9" + last
    assert num_scans(repeated) == 100
    assert read_picture(repeated).size == (300, 300)
    with pytest.raises(PictureError, match="101 scans, more than 100"):
        read_picture(data[:-2] + last * (101 - num_scans(data)) + b"\xff\xd9")


def test_the_number_of_pixels_is_told_without_decoding():
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        file = io.BytesIO()
        Image.new("RGB", (40, 30)).save(file, kind)
        assert num_pixels(file.getvalue(), 1_200) == 1_200, kind
        assert num_pixels(file.getvalue(), 1_199) == 0
    assert num_pixels(as_png(Image.new("L", (1, 40_000))), 1_000_000) == 0
    assert num_pixels(b"no picture", 100) == num_pixels(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 100) == 0


@pytest.mark.parametrize("kind", ["clear", "sheet", "16 bits", "floats", "colour", "grey in colour"])
def test_bands_of_rows_change_no_pixel(monkeypatch, kind):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (70, 50, 4), np.uint8)
    if kind == "sheet":
        pixels[..., :3], pixels[..., 3], pixels[:3] = 230, 180, 0
        pixels[20:40, 20:25, :3] = 0
    if kind == "grey in colour":
        pixels[..., 1:3] = pixels[..., :1]
    pixels = {
        "16 bits": rng.integers(0, 5_000, (70, 50)).astype(np.uint16),
        "floats": rng.normal(0, 9, (70, 50)).astype(np.float32),
        "colour": pixels[..., :3],
        "grey in colour": pixels,
    }.get(kind, pixels)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF")
    whole = read_picture(file.getvalue())
    monkeypatch.setattr(bands, "BAND_PIXELS", 350)
    in_bands = read_picture(file.getvalue())
    assert (in_bands.mode, in_bands.tobytes()) == (whole.mode, whole.tobytes())


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch):
    monkeypatch.setattr(decode, "LARGE_PIXELS", 100)
    data = as_png(Image.new("L", (1_100, 1_000)))
    waiting = threading.Thread(target=read_picture, args=(data,))
    with LARGE_PICTURES:
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(20)
    assert not waiting.is_alive()
