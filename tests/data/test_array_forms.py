import numpy as np
import pytest
from PIL import Image

from tinysight import load_images
from tinysight.data.array_forms import label_indices, label_values
from tinysight.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8), dtype=np.uint8)
LABELS = np.arange(20) % 2
ALPHA = np.full((20, 8, 8, 1), 255, np.uint8)
COLOUR = RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)


def load(images, labels=LABELS, **others):
    return load_images({"images": images, "labels": labels, **others}, framing="whole")


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        (IMAGES / 255, "levels of 0…1 are scaled to 0…255"),
        ((IMAGES / 255).astype(np.float32), "levels of 0…1"),
        (IMAGES / 127.5 - 1, "levels of −1…1"),
        (IMAGES.astype(np.float64), "levels of 0…255 are rounded"),
        (IMAGES.astype(np.int64), ""),
        (IMAGES.astype(">u2"), ""),
        (IMAGES.astype(np.uint16) * 257, "levels of 0…65,535"),
        (IMAGES.reshape(20, 64), ""),
        (IMAGES[:, None], ""),
        (IMAGES[..., None], ""),
        (np.concatenate([IMAGES[..., None], ALPHA], 3), ""),
        (np.asfortranarray(IMAGES), ""),
    ],
)
def test_grey_images_come_in_many_forms(stored, note):
    images = load(stored)
    np.testing.assert_array_equal(images.images, IMAGES)
    assert images.class_names == ("0", "1")
    assert [line for line in images.skipped if note not in line] == []
    assert len(images.skipped) == bool(note)


@pytest.mark.parametrize(
    "stored",
    [COLOUR, COLOUR.transpose(0, 3, 1, 2), np.concatenate([COLOUR, ALPHA], 3), COLOUR / 255, COLOUR.astype(np.int32)],
)
def test_colour_images_come_in_many_forms(stored):
    np.testing.assert_array_equal(load(stored).images, COLOUR)


@pytest.mark.parametrize("stored", [IMAGES > 127, (IMAGES > 127).astype(np.uint8), (IMAGES > 127).astype(np.int64)])
def test_images_of_two_levels_are_black_and_white(stored):
    np.testing.assert_array_equal(load(stored).images, np.where(IMAGES > 127, 255, 0))


@pytest.mark.parametrize(("bits", "dtype"), [(10, np.uint16), (12, np.int32), (16, np.uint16)])
def test_levels_are_scaled_by_the_least_depth_that_holds_them(bits, dtype):
    stored = np.linspace(0, 2**bits - 1, 20 * 64).astype(dtype).reshape(20, 8, 8)
    expected = np.rint(stored * (255 / (2**bits - 1)))
    np.testing.assert_array_equal(load(stored).images, expected)


def test_one_scale_holds_for_all_splits():
    arrays = {"x_train": IMAGES.astype(np.uint16) * 16, "x_test": IMAGES.astype(np.uint16), "y_train": LABELS}
    images = load_images({**arrays, "y_test": LABELS}, framing="whole")
    assert images.subset("test").images.max() <= 16


def test_transparent_pixels_are_laid_on_what_pictures_are():
    clear = np.concatenate([COLOUR // 4, ALPHA * (COLOUR[..., :1] > 99)], 3)
    images = load(clear)
    expected = np.asarray(Image.fromarray(clear[0]).convert("RGBA"))
    shown = expected[..., 3] > 0
    np.testing.assert_array_equal(images.images[0][shown], expected[..., :3][shown])
    assert (images.images[0][~shown] == 255).all()


@pytest.mark.parametrize(
    ("labels", "class_names"),
    [
        (LABELS[:, None], ("0", "1")),
        (LABELS.astype(float), ("0", "1")),
        (LABELS.astype(bool), ("0", "1")),
        (np.eye(2)[LABELS], ("0", "1")),
        (np.eye(2, dtype=bool)[LABELS], ("0", "1")),
        (np.array(["cat", "dog"])[LABELS], ("cat", "dog")),
        (np.array([b"cat", b"dog"])[LABELS], ("cat", "dog")),
        ([["cat", "dog"][label] for label in LABELS], ("cat", "dog")),
        (np.array(["10", "9"])[1 - LABELS], ("9", "10")),
        (LABELS * 7 - 3, ("-3", "4")),
    ],
)
def test_labels_come_in_many_forms(labels, class_names):
    images = load(IMAGES, labels)
    assert images.class_names == class_names
    np.testing.assert_array_equal(images.labels, LABELS)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES / 20, LABELS, "numbers from 0 to 12.75; expected floats in 0…1, −1…1 or 0…255"),
        (IMAGES / 255 - 3, LABELS, "numbers from -3 to -2"),
        (np.where(IMAGES > 9, IMAGES / 255, np.nan), LABELS, "NaN or infinity"),
        (IMAGES.astype(np.int64) - 1, LABELS, "numbers from -1 to 254; expected whole levels from 0"),
        (IMAGES.astype(np.int64) * 300, LABELS, "to 76500; expected whole levels"),
        (IMAGES.reshape(20, 4, 16)[:, :3], LABELS[:19], "20 images in images but 19 labels"),
        (IMAGES.reshape(10, 128), LABELS[:10], "laid flat, but not square"),
        (COLOUR.reshape(20, 192), LABELS, "laid flat, but not square"),
        (COLOUR[:, :3], LABELS, "channels may be first or last"),
        (RNG.integers(0, 9, (20, 5, 6, 7)), LABELS, "no axis has 1 to 4 channels"),
        (IMAGES.astype(complex), LABELS, "images are complex128"),
        (IMAGES[:, 0, 0], LABELS, "images are uint8 .20,."),
        (IMAGES, np.eye(2)[LABELS] * 2, "not one-hot"),
        (IMAGES, np.ones((20, 2)), "not one-hot"),
        (IMAGES, LABELS + 0.5, "parts of numbers or NaN"),
        (IMAGES, np.full(20, np.nan), "parts of numbers or NaN"),
        (IMAGES, np.zeros((20, 2, 2)), "labels are float64 .20, 2, 2."),
    ],
)
def test_what_is_ambiguous_or_no_image_is_refused(images, labels, message):
    with pytest.raises(DataError, match=f"^arrays: .*{message}"):
        load(images, labels)


def test_arrays_of_two_shapes_are_refused():
    with pytest.raises(DataError, match="images of shape .7, 8. and of .8, 8.; expected all of one shape"):
        load_images({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS})


def test_labels_without_names_are_named_by_their_value():
    labels, class_names = label_indices([np.array([7, 3]), np.array([3, 10])], None, "set")
    assert class_names == ("3", "7", "10")
    assert labels.tolist() == [1, 0, 0, 2]


def test_labels_outside_their_names_are_refused():
    with pytest.raises(DataError, match="label 2 is outside 0–1"):
        label_indices([np.array([0, 2])], ("a", "b"), "set")


def test_labels_of_two_kinds_are_refused():
    with pytest.raises(DataError, match="labels of one split are numbers, of another texts"):
        label_indices([np.array([0, 2]), np.array(["0", "2"])], None, "set")


def test_other_numbers_of_labels_are_refused():
    with pytest.raises(DataError, match="set: 3 images but 2 labels"):
        label_values(LABELS[:2], 3, "set")
