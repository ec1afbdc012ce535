from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.dataset import SPLITS
from tinysight.data.loading import load_images
from tinysight.data.splits import split_images
from tinysight.errors import DataError


def counts(images):
    return {split: len(images.indices(split)) for split in SPLITS}


def test_each_class_is_split_in_proportion():
    images = split_images(load_images("digits"), validation=0.25, test=0.2)
    for split, share in (("test", 0.2), ("validation", 0.8 * 0.25), ("train", 0.8 * 0.75)):
        per_class = np.bincount(images.labels[images.indices(split)]) / np.bincount(images.labels)
        assert np.abs(per_class - share).max() < 0.02
    assert counts(images)["all"] == 0


def test_the_seed_decides():
    digits = load_images("digits")
    first, again, other = (split_images(digits, seed=seed).split for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_order_of_the_images_does_not_matter():
    digits = load_images("digits")
    images = split_images(digits)
    order = np.random.default_rng(5).permutation(len(digits))
    shuffled = split_images(rows_of(digits, order))
    np.testing.assert_array_equal(shuffled.split, images.split[order])
    assert shuffled.data_hash == images.data_hash


def test_an_official_test_set_stays_one(mnist):
    loaded = load_images("mnist")
    images = split_images(loaded)
    np.testing.assert_array_equal(images.indices("test"), loaded.indices("test"))
    assert counts(images)["validation"] == pytest.approx(mnist.num_validation, abs=5)


def test_equal_images_stay_in_one_split():
    digits = load_images("digits")
    chosen = np.tile(np.arange(300), 4)
    rows = {name: getattr(digits, name)[chosen] for name in ("images", "labels", "split", "hashes")}
    images = split_images(replace(digits, **rows, sources=[digits.sources[i] for i in chosen]))
    by_image = images.split.reshape(4, 300)
    assert (by_image == by_image[0]).all()
    assert all(counts(images)[split] for split in ("train", "validation", "test"))


@pytest.mark.parametrize("copies", [4, 10])
def test_copies_do_not_change_the_shares(copies):
    digits = load_images("digits")
    images = split_images(digits.rows(np.arange(400)))
    many = split_images(rows_of(digits, np.tile(np.arange(400), copies)))
    for split in ("train", "validation", "test"):
        assert len(many.indices(split)) == pytest.approx(copies * len(images.indices(split)), rel=0.3), split


def rows_of(images, rows):
    """Return the images at any positions, repeated ones included."""
    arrays = {name: getattr(images, name)[rows] for name in ("images", "labels", "split", "hashes")}
    return replace(images, **arrays, sources=[images.sources[row] for row in rows])


@pytest.mark.parametrize("seed", range(12))
def test_three_different_images_of_a_class_are_enough(class_folders, seed):
    for class_name in ("dark", "light"):
        for path in sorted((class_folders / class_name).iterdir())[3:]:
            path.unlink()
    (class_folders / "dark" / "copy.png").write_bytes((class_folders / "dark" / "0.png").read_bytes())
    images = split_images(load_images(class_folders), seed=seed)
    for split in ("train", "validation", "test"):
        assert set(images.labels[images.indices(split)]) == {0, 1}, split


def test_training_images_that_equal_a_test_image_are_not_used():
    digits = load_images("digits")
    images = rows_of(digits, np.concatenate([np.arange(300), np.arange(20)]))
    official = np.repeat([0, 2], [300, 20]).astype(np.uint8)
    images = split_images(replace(images, split=official))
    assert counts(images)["test"] == 20
    assert counts(images)["unused"] == 20
    assert set(images.indices("unused")) == set(range(20))


def test_splits_without_images_to_train_on_are_refused():
    digits = load_images("digits")
    with pytest.raises(DataError, match="to train on"):
        split_images(replace(digits, split=(np.arange(len(digits)) % 2 + 1).astype(np.uint8)))
    of_nine = digits.labels == 9
    split = np.where(of_nine, 1 + np.arange(len(digits)) % 2, 0).astype(np.uint8)
    with pytest.raises(DataError, match="class '9' has 0 images to train on"):
        split_images(replace(digits, split=split))


def test_a_set_that_is_split_stays_as_it_is():
    images = split_images(load_images("digits"), seed=3)
    assert split_images(images, seed=4) is images


def test_the_set_given_is_not_changed():
    digits = load_images("digits")
    split_images(digits)
    assert counts(digits)["all"] == 1797


def test_one_class_is_not_enough(class_folders):
    for path in (class_folders / "light").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"has 1 class \('dark'\); expected 2 or more"):
        split_images(load_images(class_folders))


def test_a_class_with_one_image_is_named(class_folders):
    for path in sorted((class_folders / "light").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match="class 'light' has 1 image to train on .*expected 3 or more"):
        split_images(load_images(class_folders))


def test_a_class_of_equal_images_cannot_be_split(class_folders):
    picture = (class_folders / "dark" / "0.png").read_bytes()
    for path in (class_folders / "dark").iterdir():
        path.write_bytes(picture)
    with pytest.raises(DataError, match="too few different images"):
        split_images(load_images(class_folders))
