import io

import pytest
from PIL import Image

from tinysight.errors import PictureError
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.formats import FORMATS, NUM_START_BYTES, format_of, has_suffix, is_picture_file


def encoded(kind):
    buffer = io.BytesIO()
    Image.new("L", (9, 9)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_recognized_by_its_start(kind):
    assert format_of(encoded(kind)[:NUM_START_BYTES]) == kind


def test_odd_formats_are_recognized(odd_pictures):
    for name, data in odd_pictures.items():
        assert read_picture(data, name)
        assert format_of(data[:NUM_START_BYTES]), name


@pytest.mark.parametrize("text", [b"", b"BMW is a car, and a car is no picture", b"P1 is a plan", b"II", b"\xff\xd8"])
def test_text_is_not_recognized(text):
    assert format_of(text) == ""


@pytest.mark.parametrize("name", ["a.jpg?v=1", "a.png:large", "a.JPG_large", "a", "a.jpg~", "a.txt"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_under_another_suffix_is_known_by_its_content(tmp_path, name, kind):
    (tmp_path / name).write_bytes(encoded(kind))
    assert is_picture_file(tmp_path / name)
    (tmp_path / name).write_bytes(b"no picture")
    assert not is_picture_file(tmp_path / name)


def test_raw_files_of_cameras_are_no_pictures(tmp_path):
    (tmp_path / "a.NEF").write_bytes(encoded("TIFF"))
    assert not is_picture_file(tmp_path / "a.NEF")


def test_what_cannot_be_read_is_a_picture_by_its_suffix_only(tmp_path):
    assert is_picture_file(tmp_path / "missing.png")
    assert not is_picture_file(tmp_path / "missing")
    assert not is_picture_file(tmp_path)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"hevc"])
def test_heic_is_named_as_such(tmp_path, brand):
    data = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0heic" + bytes(100)
    for name in ("photo.heic", "photo.jpg", "photo"):
        (tmp_path / name).write_bytes(data)
        assert is_picture_file(tmp_path / name)
        with pytest.raises(PictureError, match=f"{name}: a HEIC picture, which is not read; convert it to JPEG or PNG"):
            read_picture(tmp_path / name)


def test_a_format_that_pillow_was_built_without_is_named(monkeypatch):
    data = b"\0\0\0\x1cftypavif\0\0\0\0avif" + bytes(100)
    assert format_of(data) == "AVIF"
    for module in ("formats", "decode"):
        monkeypatch.setattr(f"tinysight.preprocessing.{module}.FORMATS", ("JPEG", "PNG"))
    with pytest.raises(PictureError, match="a picture of type AVIF, which this Pillow was built without"):
        read_picture(data)


@pytest.mark.parametrize("name", ["a.tga", "a.jp2", "a.svg", "a.HEIC", "a.b/c.ico"])
def test_pictures_of_other_formats_are_named_when_they_are_read(name):
    assert has_suffix(name)
    with pytest.raises(PictureError, match="not a picture that can be read; expected one of"):
        read_picture(b"something else", name)
