"""Checks of image sets: each planted fault is found and named, and a sound set has none."""

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter

from tinysight.checks.run import check_images, quick
from tinysight.data.loading import load_images
from tinysight.errors import DataError


def picture(number, size=(28, 28), mode="L"):
    """Smooth noise, another one for each number."""
    small = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def folder(tmp_path):
    """A sound set: two classes of 20 pictures that all differ."""
    for number in range(40):
        path = tmp_path / "set" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return tmp_path / "set"


def found(source, **options):
    """The findings by kind."""
    return {one.kind: one for one in check_images(source, framing="whole", **options).findings}


def test_a_sound_set_has_no_findings(folder):
    check = check_images(folder, framing="whole")
    assert check.findings == ()
    assert check.is_sound
    assert check.class_counts == {"a": {"all": 20}, "b": {"all": 20}}
    assert check.commonest == ("a", 0.5)


def _turned(path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture(99).save(path, exif=exif)


FAULTS = {
    "empty file": ("unreadable", "a/empty.png", lambda path: path.write_bytes(b"")),
    "cut file": ("unreadable", "a/cut.png", lambda path: path.write_bytes((path.parent / "00.png").read_bytes()[:70])),
    "text": ("unreadable", "a/text.jpg", lambda path: path.write_text("hello")),
    "another format": ("disguised", "a/odd.jpg", lambda path: picture(99).save(path, "PNG")),
    "turned": ("turned", "a/phone.jpg", _turned),
    "transparent": ("transparent", "a/alpha.png", lambda path: picture(99, mode="RGBA").save(path)),
    "other size": ("size", "a/large.png", lambda path: picture(99, (200, 200)).save(path)),
    "other shape": ("size", "a/wide.png", lambda path: picture(99, (90, 28)).save(path)),
    "blank": ("blank", "a/blank.png", lambda path: Image.new("L", (28, 28), 255).save(path)),
    "hidden picture": ("hidden", "a/.hidden.png", lambda path: picture(99).save(path)),
    "exact copy": ("duplicates", "a/copy.png", lambda path: Image.open(path.parent / "00.png").save(path)),
    "copy with another label": ("two_labels", "a/copy.png", lambda path: picture(1).save(path)),
    "smaller copy": ("near_duplicates", "a/small.png", lambda path: picture(0).resize((22, 22)).save(path)),
    "nearly a copy with another label": ("two_labels_nearly", "a/s.png", lambda p: picture(1).resize((22, 22)).save(p)),
    "link that leads nowhere": ("unreadable", "a/gone.png", lambda path: path.symlink_to("/nowhere.png")),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(fault, folder):
    kind, name, plant = FAULTS[fault]
    plant(folder / name)

    findings = found(folder)

    assert kind in findings
    assert any(name in item for item in findings[kind].items)
    assert len(findings[kind].items) == 1


def test_colour_among_grey_is_named(folder):
    picture(99, mode="RGB").save(folder / "b" / "red.png")
    assert found(folder)["mixed_colour"].items == ("b/red.png",)


def test_one_pixel_makes_an_image_coloured_or_keeps_it_from_being_blank():
    images = np.full((40, 30, 30, 3), 200, np.uint8)
    images[:, :15] = np.random.default_rng(0).integers(0, 256, (40, 15, 30, 1), np.uint8)  # grey patterns
    images[0] = images[1] = images[2] = 200
    images[0, 11, 13] = 210
    images[2, 11, 13] = 207  # within the range of a blank one
    images[3, 29, 29] = 0, 9, 0
    findings = found((images, np.arange(40) % 2))
    assert findings["blank"].rows == ((1,), (2,))
    assert findings["mixed_colour"].rows == ((3,),)


def test_blurred_photographs_are_named(tmp_path):
    for number in range(24):
        rng = np.random.default_rng(number)
        noise = rng.normal(0, 20, (96, 96)) + np.asarray(picture(number, (96, 96)))
        sharp = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
        path = tmp_path / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        (sharp.filter(ImageFilter.GaussianBlur(3)) if number == 7 else sharp).save(path)
    assert found(tmp_path)["blurred"].items == ("b/07.png",)


def test_an_empty_class_and_names_that_are_nearly_the_same_are_named(folder):
    (folder / "c").mkdir()
    for name in ("Café au lait", "cafe-au-lait"):
        (folder / name).mkdir()
        for number in range(3):
            picture(len(name) * 50 + number).save(folder / name / f"{number}.png")
    findings = found(folder)
    assert "c" in findings["empty_class"].items[0]
    assert findings["class_names"].items == ("'Café au lait' / 'cafe-au-lait'",)
    assert "43.48 %" in findings["unbalanced"].message


def test_copies_across_splits_and_classes_without_test_images_are_named(folder, tmp_path):
    for split, names in (("train", "ab"), ("test", "a")):
        for name in names:
            (tmp_path / "parts" / split).mkdir(parents=True, exist_ok=True)
            if split == "train":
                (folder / name).rename(tmp_path / "parts" / split / name)
    test = tmp_path / "parts" / "test" / "a"
    test.mkdir()
    for number in range(100, 104):
        picture(number).save(test / f"{number}.png")
    picture(0).save(test / "equal.png")
    picture(2).resize((24, 24)).save(test / "near.png")

    findings = found(tmp_path / "parts")

    assert set(findings["duplicates_across_splits"].items[0].split(" = ")) == {"train/a/00.png", "test/a/equal.png"}
    assert set(findings["near_duplicates_across_splits"].items[0].split(" = ")) == {"train/a/02.png", "test/a/near.png"}
    assert findings["no_test_images"].items == ("b",)


def test_too_few_images_are_unusable(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(5):
        picture(number).save(tmp_path / "a" / f"{number}.png")
    check = check_images(tmp_path, framing="whole")
    assert "expected 2 or more" in check.unusable
    assert not check.is_sound
    with pytest.raises(DataError):
        check_images(tmp_path / "nothing")


def test_arrays_are_checked_too():
    images = np.stack([np.asarray(picture(number)) for number in range(40)])
    labels = np.arange(40) % 2
    images[1] = images[0]
    findings = found((images, labels))
    assert list(findings) == ["two_labels", "duplicates"]


def test_quick_says_in_a_line_each_what_train_should_tell(folder):
    picture(0).save(folder / "b" / "copy.png")
    Image.new("L", (28, 28)).save(folder / "b" / "black.png")
    lines = quick(load_images(folder, "whole"))
    assert lines == [
        "1 picture is in more than one class: a/00.png = b/copy.png",
        "1 image blank: nearly one colour: b/black.png",
    ]


def test_a_read_only_folder_is_left_as_it_was(folder):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.png")}
    for path in (folder / "a", folder / "b", folder):
        path.chmod(0o555)
    try:
        assert check_images(folder, framing="whole").is_sound
    finally:
        for path in (folder, folder / "a", folder / "b"):
            path.chmod(0o755)
    assert {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    } == before
