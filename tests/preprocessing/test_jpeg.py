import io

import numpy as np
import pytest
from PIL import Image

from tinysight.errors import PictureError
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.jpeg import with_end_marker

KINDS = [
    {},
    {"optimize": True},
    {"progressive": True},
    {"restart_marker_blocks": 3},
    {"progressive": True, "restart_marker_rows": 1},
    {"quality": 95, "subsampling": 0},
]


def jpeg(seed, size=(50, 37), mode="RGB", **options):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_file_without_its_end_marker_has_the_same_pixels(options, mode):
    data = jpeg(0, mode=mode, **options)
    whole = read_picture(data)
    for cut in (data[:-1], data[:-2], data[:-2] + bytes(20)):
        read = read_picture(cut)
        assert (read.mode, read.tobytes()) == (whole.mode, whole.tobytes())


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(options):
    for seed, mode in ((1, "L"), (2, "RGB")):
        data = jpeg(seed, mode=mode, **options)
        assert [cut for cut in range(3, min(len(data), 400)) if with_end_marker(data[:-cut])] == []
        with pytest.raises(PictureError, match="damaged"):
            read_picture(data[:-30])


def test_a_file_that_lacks_a_scan_is_refused():
    data = jpeg(3, progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    tables = data.rindex(b"\xff\xc4", 0, last_scan)
    assert with_end_marker(data[:tables]) is None
    assert with_end_marker(data[:last_scan]) is None
    assert with_end_marker(data[: last_scan + 5]) is None


def test_the_orientation_is_kept():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(4, exif=exif)
    assert read_picture(data[:-2]).size == (37, 50)


def test_damage_is_refused_without_an_exception():
    for data in (b"", b"\xff", b"\xff\xd8\xff", b"\xff\xd8\xff\xda\0", b"\xff\xd8\xff\xc0\0\0\xff\xda\0\2"):
        assert with_end_marker(data) is None
