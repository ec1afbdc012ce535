import tracemalloc
import zipfile

import numpy as np
import pytest

from tinysight.data import array_headers
from tinysight.data.numpy_files import read_npy_files, read_npz
from tinysight.errors import DataError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([1, 0], np.uint8)


def test_npz_splits_are_read(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=IMAGES[..., None], y_train=LABELS[:, None], x_test=IMAGES, y_test=LABELS)
    (train, test), _, _ = read_npz(path)
    np.testing.assert_array_equal(train.images[..., 0], test.images)
    assert train.labels.ravel().tolist() == [1, 0]
    assert train.source == "set.npz/x_train"


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_validation_images_of_an_npz_are_its_validation_split(tmp_path, name):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, **{f"x_{name}": IMAGES[:1], f"y_{name}": LABELS[:1]})
    assert [(split.split, len(split.images)) for split in read_npz(path)[0]] == [("train", 2), ("validation", 1)]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": IMAGES, "y_train": LABELS, "y_val": LABELS},
            r"it holds x_train uint8 .2, 3, 4., y_train uint8 .2,",
        ),
        ({f"{axis}_{name}": IMAGES for name in ("train", "val", "valid") for axis in "xy"}, "it holds x_train uint8"),
        ({"x_train": IMAGES}, "expected arrays x_train and y_train"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "expected arrays"),
        ({"images": IMAGES}, r"it holds images uint8 .2, 3, 4.$"),
        ({"foo": IMAGES, "bar": LABELS, "baz": LABELS}, "it holds foo uint8"),
        ({}, "it holds no arrays"),
        ({"x_train": IMAGES, "y_train": np.array([object(), None])}, "pickled"),
        ({"x_train": IMAGES, "y_train": np.zeros(5, int)}, "2 images in x_train but 5 labels in y_train"),
        ({"x_train": IMAGES, "y_train": np.array(3)}, "expected one entry an image"),
    ],
)
def test_npz_files_of_another_kind_are_refused(tmp_path, arrays, message):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message):
        read_npz(path)


def test_an_array_named_npz_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", IMAGES)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(DataError, match="not a readable .npz archive"):
        read_npz(tmp_path / "one.npz")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not really a zip", b"text"])
def test_files_that_are_no_npz_are_refused(tmp_path, data):
    path = tmp_path / "set.npz"
    path.write_bytes(data)
    with pytest.raises(DataError, match="not a readable"):
        read_npz(path)


def changed_header(path, name, old, new):
    """Replace text in the header of an array of an .npz file."""
    with zipfile.ZipFile(path) as archive:
        contents = {member: archive.read(member) for member in archive.namelist()}
    contents[name] = contents[name].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in contents.items():
            archive.writestr(member, content)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": np.zeros((20_000, 28, 28), np.uint8), "y_train": LABELS}, "20,000 images in x_train but 2 labels"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": np.zeros((20_000, 28, 28), np.uint8)}, "expected arrays"),
    ],
)
def test_arrays_that_do_not_fit_are_not_unpacked(tmp_path, arrays, message):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **arrays)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        read_npz(path)
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"(2, ", b"(9999999999, ", "announces"),
        (b"'shape': (2,", b"'shape': (-2,", "announces|not a readable"),
        (b"|u1", b"<u8", "announces"),
        (b"NUMPY", b"NUMBY", "not a readable"),
        (b"'descr'", b"'other'", "not a readable"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, old, new, message):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS)
    changed_header(path, "x_train.npy", old, new)
    with pytest.raises(DataError, match=message):
        read_npz(path)


def test_a_large_array_of_an_archive_is_mapped_not_read(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 100, 100), np.uint8), rng.integers(0, 9, 300)
    path = tmp_path / "set.npz"
    np.savez_compressed(path, x_train=np.asfortranarray(images), y_train=labels)
    monkeypatch.setattr(array_headers, "MAX_BYTES_IN_MEMORY", 2**16)
    tracemalloc.start()
    ((split,), _, _) = read_npz(path)
    assert tracemalloc.get_traced_memory()[1] < 2_900_000
    tracemalloc.stop()
    np.testing.assert_array_equal(split.images, images)
    np.testing.assert_array_equal(split.labels, labels)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_arrays_that_would_be_unpacked_without_limit_are_refused(tmp_path, method):
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x_train.npy", bytes(2**24))
    with pytest.raises(DataError, match="savez_compressed"):
        read_npz(path)


def test_damage_in_an_array_is_found(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS)
    data = bytearray(path.read_bytes())
    data[data.index(IMAGES.tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="not a readable"):
        read_npz(path)


def test_npy_files_of_a_folder_are_mapped(tmp_path):
    np.save(tmp_path / "x_train.npy", np.asfortranarray(IMAGES))
    np.save(tmp_path / "y_train.npy", LABELS)
    np.savez(tmp_path / "test-imgs.npz", IMAGES[:1])
    np.savez(tmp_path / "test-labels.npz", LABELS[:1])
    (train, test), class_names, notes = read_npy_files(sorted(tmp_path.iterdir()), "set")
    assert (train.split, test.split, class_names, notes) == ("train", "test", None, [])
    assert isinstance(train.images.base, np.memmap)
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(test.images, IMAGES[:1])


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "not a readable .npy"), (b"text", "not a readable"), (b"short", "announces")]
)
def test_npy_files_that_are_damaged_are_refused_by_name(tmp_path, data, message):
    np.save(tmp_path / "x_train.npy", IMAGES)
    np.save(tmp_path / "y_train.npy", LABELS)
    whole = (tmp_path / "x_train.npy").read_bytes()
    (tmp_path / "x_train.npy").write_bytes(whole[:-1] if data == b"short" else data)
    with pytest.raises(DataError, match=f"x_train.npy: .*{message}"):
        read_npy_files(sorted(tmp_path.iterdir()), "set")


def test_names_of_classes_may_come_with_the_arrays(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=IMAGES, labels=LABELS, label_names=np.array(["cat", "dog"]))
    splits, class_names, notes = read_npz(path)
    assert (len(splits), splits[0].split, class_names, notes) == (1, "all", ["cat", "dog"], [])
