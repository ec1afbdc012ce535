from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from tinysight.data.dataset import SPLITS, ImageSet
from tinysight.data.groups import group_numbers
from tinysight.data.loading import load_images
from tinysight.data.splits import TEST, TRAIN, UNUSED, VALIDATION, find_leaks, split_images
from tinysight.errors import DataError, SettingsError
from tinysight.preprocessing.framing import Framing


def counts(images):
    return {split: len(images.indices(split)) for split in SPLITS}


def made_up(labels, seed=0, pairs=(), **attributes):
    """Return a set of images that differ in their hashes; `pairs` are near-duplicates."""
    labels = np.asarray(labels, np.int64)
    hashes = np.random.default_rng(seed).integers(0, 256, (len(labels), 32), dtype=np.uint8)
    pixels = np.zeros((len(labels), 4, 4), np.uint8)
    split = np.full(len(labels), SPLITS.index("all"), np.uint8)
    names = (*"abcdefghij", *map(str, range(10, 200)))[: labels.max() + 1]
    images = ImageSet("set", pixels, labels, names, RowNumbers(len(labels)), split, hashes, Framing("whole", 4, 4))
    images = replace(images, **attributes)
    vars(images)["near_duplicates"] = np.array(pairs, np.int64).reshape(-1, 2)
    return images


class RowNumbers(list):
    def __init__(self, number):
        super().__init__(f"{row}.png" for row in range(number))


def test_each_class_is_split_in_proportion():
    """Each image is held out with the chance of the share, so their number varies as that of heads in coin tosses."""
    images = split_images(load_images("digits"), validation=0.25, test=0.2)
    sizes = np.bincount(images.labels)
    for split, share in (("test", 0.2), ("validation", 0.8 * 0.25), ("train", 0.8 * 0.75)):
        per_class = np.bincount(images.labels[images.indices(split)]) / sizes
        assert np.abs(per_class - share).max() < 4 * np.sqrt(share * (1 - share) / sizes.min())
    assert counts(images)["all"] == 0


def test_the_shares_hold_on_average():
    labels = np.arange(20_000) % 10
    splits = [split_images(made_up(labels, seed=seed), 0.1, 0.2, seed).split for seed in range(5)]
    sizes = np.array([np.bincount(split) for split in splits])
    np.testing.assert_allclose(sizes / 20_000, [[0.72, 0.08, 0.2]] * 5, atol=0.012)
    assert len({*sizes[:, 0].tolist()}) > 1  # of other images, and with other seeds, other ones are chosen


@pytest.mark.parametrize("num_new", [1, 300])
def test_new_images_move_no_old_one(num_new):
    digits = load_images("digits")
    for seed in range(3):
        rows = np.sort(np.random.default_rng(seed).permutation(len(digits))[num_new:])
        before, after = split_images(digits.rows(rows), seed=seed), split_images(digits, seed=seed)
        np.testing.assert_array_equal(after.split[rows], before.split)


def test_other_shares_move_no_more_than_they_must():
    images = made_up(np.arange(3_000) % 3)
    few, many = (split_images(images, test=share).split for share in (0.1, 0.3))
    assert (many[few == TEST] == TEST).all()
    assert (many[few == VALIDATION] != TRAIN).all()


def test_the_split_is_the_same_on_any_machine():
    """Recorded; it depends on the hashes of the pixels, the seed and the shares alone."""
    images = split_images(made_up(np.arange(24) % 2), 0.25, 0.25, seed=7)
    assert "".join(str(code) for code in images.split) == "001012102212000202010200"


def test_images_of_one_group_stay_in_one_split():
    labels = np.arange(3_000) % 3
    names = [f"person {row % 97}" for row in range(3_000)]
    images = made_up(labels, groups=group_numbers(names))
    split = split_images(images).split
    assert all(len(set(split[number::97])) == 1 for number in range(97))
    assert 0.1 < np.mean(split == TEST) < 0.3
    # A new person moves nobody, and a person's new images go where the others are
    more = made_up(np.arange(3_300) % 3, seed=1, groups=group_numbers([*names, *names[:200], *(["new"] * 100)]))
    more.hashes[:3_000] = images.hashes
    after = split_images(more).split
    np.testing.assert_array_equal(after[:3_000], split)
    np.testing.assert_array_equal(after[3_000:3_200], split[:200])


def test_images_in_no_group_are_split_as_if_there_were_none():
    images = made_up(np.arange(400) % 2)
    grouped = made_up(np.arange(400) % 2, groups=group_numbers(["x"] * 30 + [""] * 370))
    np.testing.assert_array_equal(split_images(grouped).split[30:], split_images(images).split[30:])
    assert len(set(split_images(grouped).split[:30])) == 1


def test_groups_are_found_in_the_names_of_files():
    images = made_up(np.arange(60) % 2, sources=[f"{'ab'[row % 2]}/p{row // 6}_{row}.png" for row in range(60)])
    split = split_images(images, group=r"/(p\d+)_")
    np.testing.assert_array_equal(split.groups, group_numbers(f"p{row // 6}" for row in range(60)))
    assert all(len(set(split.split[first : first + 6])) == 1 for first in range(0, 60, 6))
    with pytest.raises(SettingsError, match="finds nothing"):
        split_images(images, group="q")


def test_near_duplicates_stay_in_one_split_also_by_way_of_others():
    chains = [(row, row + 1) for row in range(0, 2_000) if row % 4 != 3]  # 0-1-2-3, 4-5-6-7, …
    order = np.random.default_rng(0).permutation(2_000)
    images = made_up(np.arange(2_000) % 2, pairs=np.array([(order[a], order[b]) for a, b in chains]))
    split = split_images(images).split[order].reshape(-1, 4)
    assert (split == split[:, :1]).all()
    assert 0.15 < np.mean(split == TEST) < 0.25


def test_where_near_duplicates_join_a_whole_class_they_are_divided_and_counted():
    images = made_up(np.arange(200) % 2, pairs=[(row, row + 2) for row in range(0, 198, 2)])
    divided = split_images(images)
    assert min(np.bincount(divided.labels[divided.split == TEST], minlength=2)) > 5
    assert find_leaks(divided, images).num_near_duplicates > 5


def test_copies_that_were_changed_a_little_stay_with_their_originals():
    digits = load_images("digits")
    rows = np.arange(0, 600, 3)
    copies = (digits.images[rows] * 0.9).astype(np.uint8)
    copies[::2] = np.roll(digits.images[rows[::2]], 1, axis=1)
    hashes = np.array([list(sha256(image.tobytes()).digest()) for image in copies], np.uint8)
    images = replace(
        digits,
        images=np.concatenate([digits.images, copies]),
        labels=np.concatenate([digits.labels, digits.labels[rows]]),
        split=np.full(len(digits) + len(rows), SPLITS.index("all"), np.uint8),
        hashes=np.concatenate([digits.hashes, hashes]),
        sources=[*digits.sources, *(f"copy {row}" for row in rows)],
    )
    split = split_images(images).split
    assert np.mean(split[rows] == split[len(digits) :]) > 0.98
    assert len(np.unique(split[rows])) == 3
    for one, other in images.near_duplicates:
        assert split[one] == split[other]


def test_a_set_of_more_than_half_a_class_is_for_training():
    labels = np.array([0] * 50 + [1] * 100)
    pairs = [(row, row + 1) for row in range(29)]
    for seed in range(20):
        split = split_images(made_up(labels, pairs=pairs), seed=seed).split
        assert (split[:30] == TRAIN).all()


@pytest.mark.parametrize("seed", range(30))
def test_each_split_has_each_class_however_few_there_are(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), rng.integers(3, 7, 10))
    images = split_images(made_up(labels, seed=seed), 0.1, 0.2, seed)
    for split in ("train", "validation", "test"):
        assert set(images.labels[images.indices(split)]) == set(range(10)), split
    # Groups with images of several classes
    people = rng.integers(0, 4, len(labels) * 3)
    labels = np.tile(np.arange(3), len(labels))
    grouped = split_images(made_up(labels, seed=seed, groups=group_numbers(map(str, people))), 0.1, 0.2, seed)
    for split in ("train", "validation", "test"):
        assert set(grouped.labels[grouped.indices(split)]) == {0, 1, 2}, split


def test_too_few_groups_are_refused_by_name():
    images = made_up(np.arange(20) % 2, groups=group_numbers("xy"[row // 10] for row in range(20)))
    with pytest.raises(DataError, match=r"class 'a' has 2 different .* one group stay together\); expected 3 or more"):
        split_images(images)


def with_own_test_images(num_validation=0):
    """Return 60 images; the last 20 are for testing, two others are near-duplicates of them, five in a group."""
    split = np.repeat([TRAIN, VALIDATION, TEST], [40 - num_validation, num_validation, 20]).astype(np.uint8)
    images = replace(made_up(np.arange(60) % 2, split=split), groups=group_numbers(["x"] * 5 + [""] * 50 + ["x"] * 5))
    vars(images)["near_duplicates"] = np.array([(0, 50), (0, 1), (59, 58), (7, 41)])
    return images


def test_near_duplicates_of_a_sources_own_test_images_are_not_trained_on():
    images = with_own_test_images()
    after = split_images(images)
    np.testing.assert_array_equal(after.split[40:], TEST)
    np.testing.assert_array_equal(np.flatnonzero(after.split == UNUSED), [0, 7])
    assert find_leaks(after, images) == (0, 4)


def test_where_all_splits_are_marked_near_duplicates_are_counted_and_stay():
    images = with_own_test_images(num_validation=10)
    after = split_images(images)
    assert after is images
    assert find_leaks(after, images) == (2, 5)


def test_a_class_that_would_be_left_out_keeps_its_near_duplicates():
    split = np.repeat([TRAIN, TEST], [40, 20]).astype(np.uint8)
    images = made_up(np.arange(60) % 2, split=split)
    vars(images)["near_duplicates"] = np.array([(row, 40) for row in range(0, 40, 2)])
    after = split_images(images)
    assert counts(after)["unused"] == 0
    assert find_leaks(after, images).num_near_duplicates == 20


def test_without_a_share_for_testing_no_image_is():
    images = split_images(made_up(np.arange(200) % 2), test=0)
    assert counts(images) == {"train": 179, "validation": 21, "test": 0, "all": 0, "unused": 0}
    assert split_images(images, test=0) is images


def test_classes_that_only_some_splits_have_are_named():
    split = np.repeat([TRAIN, TEST], [40, 20]).astype(np.uint8)
    images = replace(made_up(np.repeat([0, 1, 2], 20), split=split), class_names=("cat", "dog", "dogs"))
    with pytest.raises(DataError, match=r"no images to train on of 'dogs', .* \(only training has 'cat', 'dog'\)"):
        split_images(images)


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
    num_open = mnist.num_train
    assert counts(images)["validation"] == pytest.approx(0.1 * num_open, abs=4 * np.sqrt(0.09 * num_open))


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
    with pytest.raises(DataError, match="no images to train on of '9', which validation or test has"):
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


@pytest.mark.parametrize("num_classes", [2, 3, 200])
def test_of_two_images_a_class_one_trains_and_the_other_tests_or_validates(num_classes):
    images = split_images(made_up(np.repeat(np.arange(num_classes), 2)))
    assert images.labels[images.indices("train")].tolist() == list(range(num_classes))
    assert len(images.indices("validation")) == num_classes // 2
    assert len(images.indices("test")) == (num_classes + 1) // 2
    again = split_images(made_up(np.repeat(np.arange(num_classes), 2)), seed=1)
    assert (again.split != images.split).any()


def test_a_class_of_two_images_changes_nothing_for_the_others():
    labels = np.array([0] * 20 + [1] * 20 + [2] * 2)
    images = split_images(made_up(labels))
    others = split_images(made_up(labels[:40]))
    np.testing.assert_array_equal(images.split[:40], others.split)
    assert sorted(images.split[40:]) == [TRAIN, TEST]


def test_a_class_of_equal_images_cannot_be_split(class_folders):
    picture = (class_folders / "dark" / "0.png").read_bytes()
    for path in (class_folders / "dark").iterdir():
        path.write_bytes(picture)
    with pytest.raises(DataError, match=r"'dark' has 1 different image to divide .* nearly equal stay together\)"):
        split_images(load_images(class_folders))
