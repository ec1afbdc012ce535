import pytest

from tinysight.data.split_folders import find_layout
from tinysight.data.split_names import given_split, splits_of
from tinysight.errors import DataError


def layout_of(*folders, **counts):
    """Return the classes of each split in folders that hold five pictures each."""
    layout = find_layout({**dict.fromkeys(folders, 5), **counts}, "SET")
    found = {}
    for one in layout.classes:
        found.setdefault(one.split, set()).add(one.class_name)
    return found, layout.skipped


def two_classes(*parts):
    return [f"{part}/{name}" for part in parts for name in ("cats", "dogs")]


BOTH = {"cats", "dogs"}


@pytest.mark.parametrize(
    ("train", "others"),
    [
        ("training_set", {"test_set": "test"}),
        ("train_data", {"test_data": "test"}),
        ("train_images", {"test_images": "test"}),
        ("images_train", {"images_val": "validation"}),
        ("split_train", {"split_test": "test"}),
        ("seg_train/seg_train", {"seg_test/seg_test": "test"}),
        ("trainval", {"test": "test"}),
        ("train_val", {"test": "test"}),
        ("tr", {"te": "test", "va": "validation"}),
        ("Training", {"Testing": "test"}),
        ("TRAIN", {"VALID": "validation", "TEST": "test"}),
        ("train2017", {"val2017": "validation"}),
        ("TrainImages", {"TestImages": "test"}),
        ("Train Data", {"Test Data": "test"}),
        ("train", {"dev": "validation", "eval": "test"}),
        ("train", {"eval": "validation", "test": "test"}),
        ("a/b/train", {"a/b/test": "test"}),
        ("train/images", {"test/images": "test"}),
        ("pets_train_v2", {"pets_test_v2": "test"}),
        ("trainset", {"testset": "test", "valset": "validation"}),
    ],
)
def test_folders_of_splits_are_known_by_what_they_hold(train, others):
    splits, skipped = layout_of(*two_classes(train, *others))
    assert splits == {"train": BOTH, **dict.fromkeys(others.values(), BOTH)}
    assert skipped == {}


@pytest.mark.parametrize(
    "parts", [("fold1", "fold2"), ("batch_a", "batch_b", "batch_c"), ("apples", "pears"), ("part-0", "part-1")]
)
def test_splits_whose_names_do_not_say_which_are_refused(parts):
    with pytest.raises(DataError) as caught:
        layout_of(*two_classes(*parts))
    message = str(caught.value)
    assert message.startswith(f"SET: {', '.join(parts)} hold folders of the same names (cats, dogs)")
    assert "rename them to train, validation or test, or give a manifest with columns file,label,split" in message


def test_a_split_of_unknown_name_beside_known_ones_is_refused():
    with pytest.raises(DataError, match="extra holds folders of the same names .cats, dogs. as train, test"):
        layout_of(*two_classes("train", "test", "extra"))


@pytest.mark.parametrize("parts", [("train", "test"), ("training_set", "test_set"), ("Train", "Valid", "Test")])
def test_splits_without_class_folders_are_refused(parts):
    with pytest.raises(DataError, match="hold pictures, but no class folders; expected such as .*/CLASS/PICTURE.png"):
        layout_of(*parts)


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (["cats", "dogs"], BOTH),
        (["pets/cats", "pets/dogs"], BOTH),
        (["a/b/c/cats", "a/b/c/dogs"], BOTH),
        (["cats/2019", "cats/2020", "dogs/home", "dogs/park"], BOTH),
        (["n1/images", "n2/images", "n3/images"], {"n1", "n2", "n3"}),
        (["train", "plane"], {"train", "plane"}),
        (["train_station", "test_tube"], {"train_station", "test_tube"}),
        (["train_station/day", "train_station/night", "harbour/a", "harbour/b"], {"train_station", "harbour"}),
        (["cats"], {"cats"}),
        (["cafe\u0301", "the"], {"caf\u00e9", "the"}),
    ],
)
def test_other_folders_are_classes(folders, classes):
    assert layout_of(*folders) == ({"all": classes}, {})


def test_splits_may_lie_below_the_classes():
    splits, _ = layout_of("cats/train", "cats/test", "dogs/train", "dogs/test", "dogs/val")
    assert splits == {"train": BOTH, "test": BOTH, "validation": {"dogs"}}


def test_a_class_may_be_missing_in_a_split():
    splits, _ = layout_of(*two_classes("training_set"), "test_set/cats")
    assert splits == {"train": BOTH, "test": {"cats"}}


def test_what_is_beside_the_splits_is_skipped():
    splits, skipped = layout_of(*two_classes("train"), "plots", "test")
    assert splits == {"train": BOTH}
    assert skipped == dict.fromkeys(["plots", "test"], "skipped, since it is beside train")


def test_loose_pictures_make_no_class():
    assert layout_of("cats", "dogs", "") == ({"all": BOTH}, {})
    assert layout_of(*two_classes("train", "test"), train=2)[0] == {"train": BOTH, "test": BOTH}


def test_a_lone_split_is_one():
    assert layout_of(*two_classes("train")) == ({"train": BOTH}, {})


def test_values_of_a_column_of_splits_are_mapped():
    values = {"Training": "train", "": "all", " TEST ": "test", "dev": "validation", "unused": "unused", "all": "all"}
    assert {value: given_split(value, "table") for value in values} == values
    with pytest.raises(DataError, match="table: split is 'fold 3'; expected train, validation or test, or nothing"):
        given_split("fold 3", "table")


@pytest.mark.parametrize("name", ["untrained", "contest", "latest", "value", "trainers", "train_test", "strain"])
def test_words_that_hold_such_a_word_are_no_splits(name):
    assert splits_of([name])[name].split == ""
