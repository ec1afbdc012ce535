import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from tinysight.data import arrays
from tinysight.data.arrays import (
    SplitArrays,
    find_idx_files,
    label_indices,
    parse_idx,
    read_idx,
    read_idx_files,
    read_npz,
)
from tinysight.errors import DataError


def idx(array, type_code=8):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, type_code, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([1, 0], np.uint8)


@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_idx_files_are_read_plain_or_gzip(tmp_path, compress):
    path = tmp_path / "images"
    path.write_bytes(compress(idx(IMAGES)))
    np.testing.assert_array_equal(read_idx(path), IMAGES)


def test_a_large_plain_idx_file_is_mapped_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES_IN_MEMORY", 10)
    path = tmp_path / "images"
    path.write_bytes(idx(IMAGES))
    assert isinstance(read_idx(path), np.memmap)
    np.testing.assert_array_equal(read_idx(path), IMAGES)
    for damaged, message in ((idx(IMAGES)[:-1], "truncated"), (idx(IMAGES) + b"x", "too long")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            read_idx(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx(IMAGES)[:-1], "truncated"),
        (idx(IMAGES) + b"x", "too long"),
        (idx(IMAGES)[:7], "truncated"),
        (idx(IMAGES, type_code=0x0D), "type 0x0d"),
        (b"hello, world", "not an IDX file"),
        (b"", "not an IDX file"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "announces"),
    ],
)
def test_idx_files_that_are_damaged_are_refused_by_name(data, message):
    with pytest.raises(DataError, match=f"^some-file: .*{message}"):
        parse_idx(io.BytesIO(data), "some-file")


def test_a_truncated_gzip_is_refused(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx(IMAGES))[:-6])
    with pytest.raises(DataError, match="gzip"):
        read_idx(path)


def test_a_folder_of_idx_files_has_splits(tmp_path):
    for split in ("train", "t10k"):
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx(IMAGES))
        (tmp_path / f"{split}-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    splits = read_idx_files(find_idx_files(tmp_path), "set")
    assert {split.split: len(split.images) for split in splits} == {"train": 2, "test": 2}


def test_images_and_labels_must_be_as_many(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match="2 train images but 3 labels"):
        read_idx_files(find_idx_files(tmp_path), "set")


def test_idx_images_need_their_labels(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(DataError, match="none with train labels"):
        read_idx_files(find_idx_files(tmp_path), "set")


def test_npz_splits_are_read(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=IMAGES[..., None], y_train=LABELS[:, None], x_test=IMAGES, y_test=LABELS)
    train, test = read_npz(path)
    np.testing.assert_array_equal(train.images, test.images)
    assert train.labels.tolist() == [1, 0]
    assert train.source == "set.npz/x_train"


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_validation_images_of_an_npz_are_its_validation_split(tmp_path, name):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, **{f"x_{name}": IMAGES[:1], f"y_{name}": LABELS[:1]})
    assert [(split.split, len(split.images)) for split in read_npz(path)] == [("train", 2), ("validation", 1)]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": IMAGES, "y_train": LABELS, "y_val": LABELS}, "x_val, y_val; it holds x_train, y_train, y_val"),
        ({f"{axis}_{name}": IMAGES for name in ("train", "val", "valid") for axis in "xy"}, "it holds x_train, x_val,"),
        ({"x_train": IMAGES}, "expected arrays x_train, y_train"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "expected arrays"),
        ({"images": IMAGES}, "it holds none of them"),
        ({"x_train": IMAGES, "y_train": np.array([object(), None])}, "pickled"),
        ({"x_train": IMAGES.astype(np.float32), "y_train": LABELS}, "expected uint8"),
        ({"x_train": IMAGES, "y_train": np.eye(2)}, "whole numbers"),
        ({"x_train": IMAGES, "y_train": np.zeros(5, int)}, "2 train images but 5 labels"),
    ],
)
def test_npz_files_of_another_kind_are_refused(tmp_path, arrays, message):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message):
        read_npz(path)


def test_a_gzip_that_grows_without_end_is_not_unpacked(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="too long"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


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


def test_labels_without_names_are_named_by_their_value():
    splits = [SplitArrays("train", IMAGES, np.array([7, 3]), ""), SplitArrays("test", IMAGES, np.array([3, 9]), "")]
    labels, class_names = label_indices(splits, None, "set")
    assert class_names == ("3", "7", "9")
    assert labels.tolist() == [1, 0, 0, 2]


def test_labels_outside_their_names_are_refused():
    with pytest.raises(DataError, match="label 2 is outside 0–1"):
        label_indices([SplitArrays("train", IMAGES, np.array([0, 2]), "")], ("a", "b"), "set")


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
        ({"x_train": np.zeros((20_000, 28, 28), np.uint8), "y_train": LABELS}, "20,000 train images but 2 labels"),
        ({"x_train": np.zeros((5_000, 28, 28), np.float32), "y_train": np.zeros(5_000, int)}, "expected uint8"),
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
        (b"|u1", b"<u8", "expected uint8|announces"),
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
    monkeypatch.setattr(arrays, "MAX_BYTES_IN_MEMORY", 2**16)
    tracemalloc.start()
    (split,) = read_npz(path)
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
