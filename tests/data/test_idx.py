import gzip
import io
import struct
import tracemalloc

import numpy as np
import pytest

from tinysight.data import idx as idx_files
from tinysight.data.idx import find_idx_files, parse_idx, read_idx, read_idx_files, with_emnist_names
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
    monkeypatch.setattr(idx_files, "MAX_BYTES_IN_MEMORY", 10)
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
        (idx(IMAGES, type_code=0x07), "type 0x07"),
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
    splits, notes = read_idx_files(find_idx_files(tmp_path), "set")
    assert notes == []
    assert {split.split: len(split.images) for split in splits} == {"train": 2, "test": 2}


def test_idx_images_need_their_labels(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(DataError, match="none with train labels"):
        read_idx_files(find_idx_files(tmp_path), "set")


def test_a_gzip_that_grows_without_end_is_not_unpacked(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="too long"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz"),
        ("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int.gz"),
        ("TRAIN-IMAGES.IDX3-UBYTE", "Train-Labels.idx"),
        ("my_train_images.idx", "my_train_labels.idx"),
        ("train-images.idx3-ubyte", "train-labels-idx1-ubyte.gz"),
    ],
)
def test_idx_files_have_many_names(tmp_path, images, labels):
    for name in (images, labels):
        (tmp_path / name).write_bytes(b"")
    assert find_idx_files(tmp_path) == {"train": {"images": tmp_path / images, "labels": tmp_path / labels}}


def test_of_several_sets_one_is_chosen_by_a_file(tmp_path):
    for name in ("emnist-digits", "emnist-letters"):
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            (tmp_path / f"{name}-test-{kind}").write_bytes(b"")
    with pytest.raises(DataError, match="several sets of IDX files .emnist-digits, emnist-letters.; give one file"):
        find_idx_files(tmp_path)
    (pair,) = find_idx_files(tmp_path / "emnist-digits-test-images-idx3-ubyte").values()
    assert {path.name[:13] for path in pair.values()} == {"emnist-digits"}


def test_emnist_is_turned_and_its_labels_are_characters(tmp_path):
    (tmp_path / "emnist-letters-train-images-idx3-ubyte").write_bytes(idx(IMAGES.transpose(0, 2, 1)))
    (tmp_path / "emnist-letters-train-labels-idx1-ubyte").write_bytes(idx(LABELS + np.uint8(1)))
    files = find_idx_files(tmp_path)
    splits, notes = read_idx_files(files, "set")
    np.testing.assert_array_equal(splits[0].images, IMAGES)
    assert notes == [
        "emnist-letters-train-images-idx3-ubyte: rows and columns are exchanged, since EMNIST stores them so"
    ]
    assert with_emnist_names(splits, files)[0].labels.tolist() == [2, 1]
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n")
    assert with_emnist_names(splits, files)[0].labels.tolist() == ["B", "A"]


def test_qmnists_labels_are_in_the_first_of_eight_columns(tmp_path):
    labels = np.arange(16, dtype=">i4").reshape(2, 8)
    (tmp_path / "qmnist-test-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "qmnist-test-labels-idx2-int").write_bytes(idx(labels, type_code=0x0C))
    ((split,), _) = read_idx_files(find_idx_files(tmp_path), "set")
    assert split.labels.tolist() == [0, 8]
