import numpy as np
import pytest

from tinysight.preprocessing.components import find_character, find_runs, label_components, without_lines


def mask_of(*rows):
    return np.array([[sign == "#" for sign in row] for row in rows])


def test_pixels_that_touch_at_a_corner_are_one_component():
    labels, components = label_components(mask_of("#..#", ".#..", "#..#"))
    assert [(one.num_pixels, one.height, one.width) for one in components] == [(3, 3, 2), (1, 1, 1), (1, 1, 1)]
    assert labels[0, 0] == labels[1, 1] == labels[2, 0] == 1


def test_arms_that_meet_further_down_are_one_component():
    _, components = label_components(mask_of("#.#.#", "#.#.#", "#####"))
    assert [component.num_pixels for component in components] == [11]


@pytest.mark.parametrize("seed", range(5))
def test_components_split_the_mask(seed):
    mask = np.random.default_rng(seed).random((40, 30)) > 0.6
    labels, components = label_components(mask)
    np.testing.assert_array_equal(labels > 0, mask)
    assert sum(component.num_pixels for component in components) == mask.sum()
    right, down = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
    assert (labels[:, 1:][right] == labels[:, :-1][right]).all()
    assert (labels[1:][down] == labels[:-1][down]).all()


def flood_filled(mask):
    """Label a mask pixel by pixel, in the order in which components begin."""
    labels = np.zeros(mask.shape, int)
    for first in zip(*np.nonzero(mask), strict=True):
        waiting = [] if labels[first] else [first]
        label = labels.max() + 1
        while waiting:
            row, column = waiting.pop()
            if 0 <= row < len(mask) and 0 <= column < mask.shape[1] and mask[row, column] and not labels[row, column]:
                labels[row, column] = label
                waiting += [(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    return labels


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (25, 31)])
@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5, 0.8, 1])
def test_labels_are_those_of_a_flood_fill(shape, share):
    mask = np.random.default_rng(0).random(shape) < share
    labels, components = label_components(mask)
    np.testing.assert_array_equal(labels, flood_filled(mask))
    assert [component.label for component in components] == list(range(1, labels.max() + 1))
    for one in components:
        rows, columns = np.nonzero(labels == one.label)
        assert one.num_pixels == len(rows)
        assert (one.top, one.bottom) == (rows.min(), rows.max() + 1)
        assert (one.left, one.right) == (columns.min(), columns.max() + 1)


def test_runs_are_found_row_by_row():
    rows, starts, ends = find_runs(mask_of("##.#", "....", "###."))
    assert list(zip(rows, starts, ends, strict=True)) == [(0, 0, 2), (0, 3, 4), (2, 0, 3)]


def test_a_stroke_across_a_ruled_line_stays_whole():
    mask = np.zeros((60, 60), bool)
    mask[10:50, 28:32] = True
    expected = mask.copy()
    mask[30] = True
    np.testing.assert_array_equal(without_lines(mask), expected)


def test_a_picture_that_is_one_line_keeps_it():
    mask = np.zeros((60, 60), bool)
    mask[:, 30] = True
    assert find_character(mask)[0].any()


def test_an_empty_mask_has_no_character():
    mask, is_several = find_character(np.zeros((10, 10), bool))
    assert not mask.any()
    assert not is_several


def box_mask(*boxes, shape=(200, 200)):
    """Return a mask of boxes, each given by its first and last row and column."""
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        mask[top : bottom + 1, left : right + 1] = True
    return mask


def test_a_fat_dash_beside_a_thin_bar_is_a_character():
    mask = box_mask((40, 139, 144, 146), (90, 124, 40, 139))  # the tallest has few pixels, the largest is low
    character, is_several = find_character(mask)
    np.testing.assert_array_equal(character, mask)
    assert not is_several


def test_the_largest_component_counts_beside_one_of_usual_height():
    bars = [(40, 139, 20, 29), (40, 139, 150, 159)]
    assert find_character(box_mask(*bars))[1]
    # A low component that is the largest reaches from one bar to the next
    assert not find_character(box_mask(*bars, (150, 189, 20, 159)))[1]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_dust_inside_a_belly_is_dropped(size):
    zero = box_mask((40, 159, 60, 139)) & ~box_mask((56, 143, 76, 123))
    speck = box_mask((90, 89 + size, 95, 94 + size))
    character, is_several = find_character(zero | speck)
    np.testing.assert_array_equal(character, zero)
    assert not is_several


@pytest.mark.parametrize(
    "boxes",
    [
        [(80, 159, 96, 111), (50, 63, 97, 110)],  # i
        [(60, 159, 104, 119), (144, 159, 60, 119), (34, 46, 106, 118)],  # j
        [(92, 107, 40, 159), (60, 73, 94, 107), (126, 139, 94, 107)],  # ÷
        [(40, 55, 40, 159), (144, 159, 40, 159), (40, 159, 40, 55), (40, 159, 144, 159), (94, 107, 94, 107)],  # a ring
        [(40, 119, 96, 111), (140, 153, 97, 110)],  # !
    ],
    ids=["i", "j", "division sign", "dot in a ring", "exclamation mark"],
)
def test_dots_that_the_pen_drew_stay(boxes):
    mask = box_mask(*boxes)
    np.testing.assert_array_equal(find_character(mask)[0], mask)


def test_a_crossbar_that_reaches_both_sides_of_a_tight_crop_stays():
    four = box_mask((0, 59, 22, 26), (36, 40, 0, 35), (0, 38, 0, 4), shape=(60, 36))
    seven = box_mask((0, 4, 0, 35), (0, 59, 18, 22), shape=(60, 36))
    for mask in (four, seven):
        np.testing.assert_array_equal(without_lines(mask), mask)
        np.testing.assert_array_equal(without_lines(mask.T), mask.T)


def test_ruled_lines_beside_a_character_are_taken_out():
    character = box_mask((30, 79, 40, 47), shape=(120, 100))
    lines = box_mask(*[(row, row + 1, 0, 99) for row in (10, 50, 90, 110)], shape=(120, 100))
    np.testing.assert_array_equal(without_lines(character | lines), character)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (7, 30)])
def test_a_mask_full_of_ink_is_a_character(shape):
    mask = np.ones(shape, bool)
    assert find_character(mask)[0].all()
