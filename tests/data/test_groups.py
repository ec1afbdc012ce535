import numpy as np
import pytest

from tinysight.data.groups import NO_GROUP, group_numbers, groups_by_pattern
from tinysight.errors import SettingsError


def test_a_name_has_one_number_in_every_set():
    numbers = group_numbers(["anna", "bert", "anna", "", "łódź", "\udcff"])
    assert numbers.dtype == np.int64
    assert numbers[0] == numbers[2] == group_numbers(["x", "anna"])[1] == 3074777303797688423
    assert len(set(numbers.tolist())) == 5
    assert numbers[3] == NO_GROUP
    assert (np.delete(numbers, 3) >= 0).all()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"p\d+", ["p1", "p2", "p1", ""]),
        (r"/(p\d+)_", ["p1", "p2", "p1", ""]),
        (r"(p1)|p2", ["p1", "", "p1", ""]),
        (r"^[^/]+", ["a", "a", "b", "b"]),
        (r"_(\d)\.(png)", ["0", "1", "0", "7"]),
    ],
)
def test_a_group_is_what_the_pattern_finds(pattern, expected):
    sources = ["a/p1_0.png", "a/p2_1.png", "b/p1_0.png", "b/x_7.png"]
    np.testing.assert_array_equal(groups_by_pattern(sources, pattern), group_numbers(expected))


@pytest.mark.parametrize(
    ("pattern", "words"), [("(", "no regular expression"), ("q", "finds nothing"), ("x*", "finds")]
)
def test_patterns_that_give_no_groups_are_refused_in_a_line(pattern, words):
    with pytest.raises(SettingsError, match=words) as caught:
        groups_by_pattern(["a/0.png", "b/1.png"], pattern)
    assert "\n" not in str(caught.value)
