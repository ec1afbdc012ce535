"""What a training prints, without a training."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight.cli.train_output import FoldLines, show_split
from tinysight.data.dataset import SPLITS
from tinysight.data.groups import group_numbers
from tinysight.data.loading import load_images
from tinysight.data.splits import split_images
from tinysight.evaluation import FoldScore


@pytest.fixture
def digits():
    return load_images("digits").rows(np.arange(300))


def test_the_split_is_printed_in_a_line(digits, capfd):
    show_split(split_images(digits), digits)
    printed, noted = capfd.readouterr()
    numbers = [int(word) for word in printed.replace(",", "").split() if word.isdigit()]
    assert sum(numbers) == 300
    assert printed.count("\n") == 1
    assert noted == ""


def test_classes_without_test_or_validation_images_are_named(capfd):
    digits = load_images("digits")
    rows = [np.flatnonzero(digits.labels == label)[:2] for label in range(10)]
    few = digits.rows(np.sort(np.concatenate(rows)))
    show_split(split_images(few), few)
    printed, warned = capfd.readouterr()
    assert printed == "10 train, 5 validation, 5 test\n"
    assert warned.startswith("warning: too few images: of 10 classes 5 have no test image (")
    assert " and 5 have no validation image (" in warned
    assert warned.count("\n") == 1


def test_groups_and_images_without_one_are_counted(digits, capfd):
    grouped = replace(digits, groups=group_numbers([*map(str, np.arange(250) // 10), *[""] * 50]))
    show_split(split_images(grouped), grouped)
    assert capfd.readouterr().out.splitlines()[1] == "25 groups, each in one split; 50 images are in none"


def test_what_is_like_the_sources_own_test_images_is_left_out_or_noted(digits, capfd):
    split = np.full(300, SPLITS.index("train"), np.uint8)
    split[200:] = SPLITS.index("test")
    marked = replace(
        digits, split=split, groups=group_numbers("xy"[row % 100 // 10] if row % 100 < 20 else "" for row in range(300))
    )
    vars(marked)["near_duplicates"] = np.array([[0, 250], [1, 251], [3, 4]])
    show_split(split_images(marked), marked)
    printed, noted = capfd.readouterr()
    assert "2 groups, some of them in test images too; 240 images are in none" in printed
    assert "2 images are left out: equal images or near-duplicates are in test or validation" in noted
    assert "38 training or validation images are in the same group as test images" in noted


def test_a_line_for_each_fold(capfd):
    lines = FoldLines()
    for fold in (1, 2):
        lines(FoldScore(fold, 1_200, 1_100, 1_100 / 1_200))
    assert capfd.readouterr().out == " fold   images   accuracy\n    1    1,200    91.67 %\n    2    1,200    91.67 %\n"
