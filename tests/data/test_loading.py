import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysight.data.loading import load_images
from tinysight.errors import DataError
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.framing import Framing, frame_picture


def write_idx_pair(folder, name, images, labels):
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, *images.shape)
    (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    header = struct.pack(">BBBBI", 0, 0, 8, 1, len(labels))
    (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels.astype(np.uint8).tobytes()))


def write_idx_set(folder, num_train=6, num_test=4, side=5, num_classes=2):
    rng = np.random.default_rng(0)
    for name, count in (("train", num_train), ("t10k", num_test)):
        images = rng.integers(0, 255, (count, side, side), dtype=np.uint8)
        write_idx_pair(folder, name, images, np.arange(count) % num_classes)


def test_digits_are_framed_to_mnists_size():
    images = load_images("digits")
    assert images.images.shape == (1797, 28, 28)
    assert images.images.dtype == np.uint8
    assert images.class_names == tuple("0123456789")
    assert images.framing == Framing("ink")
    assert len(images.indices("all")) == 1797
    assert images.images.max(axis=(1, 2)).min() > 200


def test_mnist_keeps_its_official_test_set(mnist):
    images = load_images("mnist")
    assert len(images.indices("all")) == 0
    assert (len(images.indices("train")), len(images.indices("test"))) == (mnist.num_train, mnist.num_test)
    test = images.subset("test")
    assert test.labels[:5].tolist() == mnist.first_labels
    assert test.sources[0] == "t10k-images-idx3-ubyte.gz[0]"


@pytest.mark.usefixtures("fashion_mnist")
def test_fashion_mnist_has_names():
    images = load_images("fashion-mnist")
    assert images.class_names[9] == "Ankle boot"
    assert images.framing == Framing("whole")


def test_a_named_set_with_other_content_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    write_idx_set(tmp_path / "mnist")
    monkeypatch.setenv("TINYSIGHT_DATA", str(tmp_path))
    with pytest.raises(DataError, match="not the published file"):
        load_images("mnist")


def test_idx_folders_and_npz_files_hold_the_same(tmp_path):
    write_idx_set(tmp_path)
    from_idx = load_images(tmp_path)
    subsets = {split: from_idx.subset(split) for split in ("train", "test")}
    arrays = {f"x_{split}": images.images for split, images in subsets.items()}
    arrays |= {f"y_{split}": images.labels for split, images in subsets.items()}
    np.savez(tmp_path / "set.npz", **arrays)
    from_npz = load_images(tmp_path / "set.npz")
    assert from_npz.data_hash == from_idx.data_hash
    assert from_npz.framing == Framing("whole", 5, 5)
    np.testing.assert_array_equal(from_npz.split, from_idx.split)


def test_arrays_are_framed_to_a_classifiers_size(tmp_path):
    write_idx_set(tmp_path)
    images = load_images(tmp_path, like=Framing("whole", 8, 9, 3))
    assert images.images.shape == (10, 8, 9, 3)


def test_class_folders_become_classes(class_folders):
    images = load_images(class_folders)
    assert images.class_names == ("dark", "light")
    assert images.images.shape == (20, 28, 28)
    assert images.sources[0] == "dark/0.png"
    means = [images.images[images.labels == label].mean() for label in (0, 1)]
    assert means[0] < 128 < means[1]


def test_colour_is_kept_where_there_is_some(class_folders):
    Image.new("RGB", (12, 12), (200, 10, 10)).save(class_folders / "dark" / "red.png")
    images = load_images(class_folders, image_size=(10, 20))
    assert images.images.shape == (21, 10, 20, 3)
    assert images.framing == Framing("whole", 10, 20, 3)


def framed_one_by_one(images, folder):
    """Return what the pictures behind a set become, each read and framed alone."""
    return [frame_picture(read_picture(folder / name), images.framing).pixels for name in images.sources]


def test_pictures_keep_their_rows_where_others_are_unreadable(class_folders):
    for number in range(3):
        (class_folders / "dark" / f"{number}.png").write_bytes(b"damaged")
    grey = load_images(class_folders)
    np.testing.assert_array_equal(grey.images, framed_one_by_one(grey, class_folders))
    assert Path(grey.images.filename).stat().st_size == 17 * 28 * 28
    Image.new("RGB", (12, 12), (200, 10, 10)).save(class_folders / "dark" / "red.png")
    coloured = load_images(class_folders)
    assert coloured.images.shape == (18, 28, 28, 3)
    np.testing.assert_array_equal(coloured.images, framed_one_by_one(coloured, class_folders))


def test_unreadable_pictures_are_named_and_left_out(class_folders):
    (class_folders / "dark" / "empty.png").write_bytes(b"")
    (class_folders / "light" / "text.png").write_text("text")
    images = load_images(class_folders)
    assert len(images) == 20
    assert len(images.unreadable) == 2
    assert "empty.png" in images.unreadable[0]
    assert load_images(class_folders).unreadable == images.unreadable
    assert not any("empty.png" in source for source in images.sources)


def test_a_changed_folder_is_read_again(class_folders):
    assert len(load_images(class_folders)) == 20
    (class_folders / "dark" / "0.png").unlink()
    assert len(load_images(class_folders)) == 19


def test_a_damaged_cache_is_rebuilt(class_folders, own_cache):
    expected = load_images(class_folders).data_hash
    before = set((own_cache / "images").iterdir())
    Image.new("L", (3, 3)).save(class_folders / "dark" / "new.png")
    load_images(class_folders)
    (folder,) = set((own_cache / "images").iterdir()) - before
    (folder / "images.u8").write_bytes(b"short")
    assert len(load_images(class_folders)) == 21
    (class_folders / "dark" / "new.png").unlink()
    assert load_images(class_folders).data_hash == expected


def test_a_folder_and_the_one_above_it_are_told_apart(class_folders, tmp_path):
    (tmp_path / "above").mkdir()
    inner = class_folders.rename(tmp_path / "above" / "all")
    assert load_images(inner).class_names == ("dark", "light")
    assert load_images(tmp_path / "above").sources[0] == "all/dark/0.png"
    (tmp_path / "set").mkdir()
    train = inner.rename(tmp_path / "set" / "train")
    assert len(load_images(tmp_path / "set").indices("train")) == 20
    assert len(load_images(train).indices("all")) == 20


def test_a_picture_that_becomes_readable_is_read(class_folders):
    picture = class_folders / "dark" / "0.png"
    picture.chmod(0o600)
    first = load_images(class_folders)
    picture.chmod(0o644)
    assert load_images(class_folders).images.filename != first.images.filename


def test_reading_pictures_is_reported(class_folders):
    reports = []
    load_images(class_folders, image_size=(9, 9), progress=lambda *report: reports.append(report))
    assert reports[-1] == ("reading pictures", 20, 20)


@pytest.mark.parametrize(
    ("name", "message"),
    [("mnits", "did you mean 'mnist'"), ("no/such/folder", "neither a path"), ("fashion-mnst", "'fashion-mnist'")],
)
def test_unknown_names_are_refused_with_the_nearest_known(name, message):
    with pytest.raises(DataError, match=message):
        load_images(name)


def test_folders_without_pictures_and_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no pictures in class folders"):
        load_images(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        load_images(tmp_path)
    (tmp_path / "a" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of its 1 pictures can be read"):
        load_images(tmp_path)
    with pytest.raises(DataError, match="is a file of an unknown kind"):
        load_images(tmp_path / "a" / "0.png")


def test_arrays_of_characters_are_framed_as_their_pictures_would_be(tmp_path):
    """Black on white and out of the middle, as an array from anywhere may be."""
    digits = load_images("digits")
    foreign = 255 - np.roll(np.asarray(digits.images[:60]), 3, axis=1)
    np.savez(tmp_path / "some.npz", x_train=foreign, y_train=digits.labels[:60])
    for images in (
        load_images(tmp_path / "some.npz", framing="ink"),
        load_images(tmp_path / "some.npz", like=digits.framing),
    ):
        assert images.framing == digits.framing
        expected = [frame_picture(Image.fromarray(image), digits.framing).pixels for image in foreign]
        np.testing.assert_array_equal(images.images, expected)
    np.testing.assert_array_equal(load_images(tmp_path / "some.npz", framing="whole").images, foreign)


def test_the_same_images_in_other_formats_are_the_same_set(tmp_path):
    digits = load_images("digits").rows(np.arange(200))
    np.savez(tmp_path / "some.npz", x_train=digits.images, y_train=digits.labels)
    (tmp_path / "idx").mkdir()
    write_idx_pair(tmp_path / "idx", "train", np.asarray(digits.images), digits.labels)
    for row, (image, label) in enumerate(zip(digits.images, digits.labels, strict=True)):
        folder = tmp_path / "files" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{row}.png")
    for source in ("some.npz", "idx", "files"):
        images = load_images(tmp_path / source)
        assert images.framing == digits.framing
        assert images.data_hash == digits.data_hash, source


@pytest.mark.parametrize("name", ["labels.npy", "hashes.npy", "split.npy"])
def test_an_empty_file_in_the_cache_is_rebuilt(name, own_cache):
    expected = load_images("digits")
    folder = Path(expected.images.filename).parent
    (folder / name).write_bytes(b"")
    again = load_images("digits")
    np.testing.assert_array_equal(again.labels, expected.labels)
    np.testing.assert_array_equal(again.hashes, expected.hashes)
