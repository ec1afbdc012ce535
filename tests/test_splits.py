from dataclasses import replace

import numpy as np
import pytest

from tinysight.errors import DataError
from tinysight.images import SPLITS, load_images
from tinysight.splits import split_images


def counts(images):
    return {split: len(images.indices(split)) for split in SPLITS}


def test_each_class_is_parted_in_proportion():
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


def test_an_official_test_set_stays_one(data_folder):
    mnist = load_images("mnist")
    images = split_images(mnist)
    np.testing.assert_array_equal(images.indices("test"), mnist.indices("test"))
    assert counts(images)["validation"] == pytest.approx(6_000, abs=5)


def test_equal_images_stay_on_one_side():
    digits = load_images("digits")
    chosen = np.tile(np.arange(300), 4)
    rows = {name: getattr(digits, name)[chosen] for name in ("images", "labels", "split", "hashes")}
    images = split_images(replace(digits, **rows, sources=[digits.sources[i] for i in chosen]))
    by_image = images.split.reshape(4, 300)
    assert (by_image == by_image[0]).all()
    assert all(counts(images)[split] for split in ("train", "validation", "test"))


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
    with pytest.raises(DataError, match="class 'light' has 1 image .*expected 3 or more"):
        split_images(load_images(class_folders))


def test_a_class_of_equal_images_cannot_be_parted(class_folders):
    picture = (class_folders / "dark" / "0.png").read_bytes()
    for path in (class_folders / "dark").iterdir():
        path.write_bytes(picture)
    with pytest.raises(DataError, match="too few different images"):
        split_images(load_images(class_folders))
