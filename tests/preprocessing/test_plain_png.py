import io
import struct
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tinysight.errors import PictureError
from tinysight.preprocessing import decode
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.plain_png import MAX_PNG_PIXELS, PNG_START, read_plain_png


def encoded(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def png(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


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
