from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.folds import split_into_folds
from tinysight.data.groups import group_numbers
from tinysight.data.loading import load_images
from tinysight.errors import DataError


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def folds_of(splits):
    """Return the fold of each image, and check that each is in one."""
    is_test = np.array([split.split == 2 for split in splits])
    assert (is_test.sum(axis=0) == 1).all()
    return is_test.argmax(axis=0)


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_each_image_is_tested_once_and_each_class_divided_evenly(digits, folds):
    splits = split_into_folds(digits, folds)
    fold = folds_of(splits)
    counts = np.array([np.bincount(digits.labels[fold == one], minlength=10) for one in range(folds)])
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 10
    for split in splits:
        assert set(split.labels[split.indices("validation")]) == set(range(10))
        assert 0.05 < len(split.indices("validation")) / len(split.indices("train")) < 0.2


def test_folds_do_not_depend_on_the_order_of_the_images_but_on_the_seed(digits):
    rows = np.random.default_rng(0).permutation(len(digits))
    arrays = {name: getattr(digits, name)[rows] for name in ("images", "labels", "split", "hashes")}
    shuffled = replace(digits, **arrays, sources=[digits.sources[row] for row in rows])
    first, same, other = (
        folds_of(split_into_folds(*arguments)) for arguments in ((digits, 5), (shuffled, 5), (digits, 5, 0.1, 1))
    )
    np.testing.assert_array_equal(same, first[rows])
    assert (first != other).any()


def test_what_stays_together_is_in_one_fold(digits):
    some = digits.rows(np.arange(600))
    people = np.random.default_rng(0).integers(0, 40, 600)
    grouped = replace(some, groups=group_numbers(map(str, people)))
    fold = folds_of(split_into_folds(grouped, 4))
    assert all(len(set(fold[people == person])) == 1 for person in range(40))
    assert np.bincount(fold).min() > 100
    by_name = split_into_folds(replace(some, sources=[f"{person}-x" for person in people]), 4, group=r"^\d+")
    np.testing.assert_array_equal(folds_of(by_name), fold)


def test_sets_that_cannot_be_divided_are_refused(digits):
    marked = digits.split.copy()
    marked[:30] = 2
    with pytest.raises(DataError, match="has 30 test images of its own; .* leave out --folds"):
        split_into_folds(replace(digits, split=marked), 5)
    few = digits.rows(np.flatnonzero(digits.labels < 2)[:6])
    with pytest.raises(DataError, match="expected"):
        split_into_folds(replace(few, class_names=("0", "1")), 7)
    with pytest.raises(DataError, match="class"):
        split_into_folds(replace(few, class_names=("0", "1"), groups=group_numbers("aabbab")), 2)
