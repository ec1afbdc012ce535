import numpy as np
import pytest

from tinysight.preprocessing.components import find_character, label_pieces, without_lines


def mask_of(*rows):
    return np.array([[sign == "#" for sign in row] for row in rows])


def test_pixels_that_touch_at_a_corner_are_one_piece():
    labels, pieces = label_pieces(mask_of("#..#", ".#..", "#..#"))
    assert [(piece.pixels, piece.height, piece.width) for piece in pieces] == [(3, 3, 2), (1, 1, 1), (1, 1, 1)]
    assert labels[0, 0] == labels[1, 1] == labels[2, 0] == 1


def test_arms_that_meet_further_down_are_one_piece():
    _, pieces = label_pieces(mask_of("#.#.#", "#.#.#", "#####"))
    assert [piece.pixels for piece in pieces] == [11]


@pytest.mark.parametrize("seed", range(5))
def test_pieces_part_the_mask(seed):
    mask = np.random.default_rng(seed).random((40, 30)) > 0.6
    labels, pieces = label_pieces(mask)
    np.testing.assert_array_equal(labels > 0, mask)
    assert sum(piece.pixels for piece in pieces) == mask.sum()
    right, down = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
    assert (labels[:, 1:][right] == labels[:, :-1][right]).all()
    assert (labels[1:][down] == labels[:-1][down]).all()


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
