from itertools import product

import numpy as np
import pytest

from tinysight.data.hashed_choice import TooFewSetsError, choose_sets, random_shares


def test_equal_numbers_seeds_and_purposes_give_equal_shares_on_any_machine():
    numbers = np.array([0, 1, 2**64 - 1, 1], np.uint64)
    shares = random_shares(numbers, 0, 0)
    assert shares[1] == shares[3]
    assert shares[0] == 0xE220A8397B1DCDAF // 2**11 / 2**53  # SplitMix64's first output of the seed 0
    others = [random_shares(numbers, seed, purpose) for seed in (0, 1, 2**32 - 1) for purpose in range(3)]
    assert len(np.unique(others)) == 27


def test_shares_are_uniform_and_do_not_depend_on_each_other():
    numbers = np.arange(100_000, dtype=np.uint64)
    columns = [random_shares(numbers, *which) for which in ((0, 0), (0, 1), (1, 0), (123, 0))]
    for share in columns:
        assert np.abs(np.histogram(share, 20, (0, 1))[0] - 5_000).max() < 5 * np.sqrt(5_000)
    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 0.02


@pytest.mark.parametrize("seed", range(40))
def test_each_class_has_sets_on_both_sides(seed):
    rng = np.random.default_rng(seed)
    num_classes, num_sets, leave = (int(rng.integers(low, high)) for low, high in ((2, 6), (4, 30), (1, 3)))
    sets = rng.integers(0, num_sets, 300)
    labels = (sets + rng.integers(0, 2, 300) * (seed % 2)) % num_classes  # in every second case sets of two classes
    _, sets = np.unique(sets, return_inverse=True)
    draws = rng.random(sets.max() + 1)
    share = float(rng.choice([0.001, 0.2, 0.9]))
    try:
        chosen = choose_sets(labels, sets, draws, share, leave)
    except TooFewSetsError as error:
        assert error.num_sets == len(np.unique(sets[labels == error.label]))
        assert error.num_sets <= leave or seed % 2
        return
    for label in range(num_classes):
        of_class = np.unique(sets[labels == label])
        assert chosen[of_class].any()
        assert (~chosen[of_class]).sum() >= leave


def test_sets_of_several_classes_are_chosen_wherever_it_is_possible():
    rng = np.random.default_rng(0)
    num_solved = 0
    for _ in range(200):
        num_sets, num_classes, leave = (int(rng.integers(*bounds)) for bounds in ((3, 7), (2, 5), (1, 3)))
        has = rng.random((num_sets, num_classes)) < rng.choice([0.3, 0.6, 0.9])
        has[~has.any(axis=1), 0] = True
        sets, labels = np.nonzero(has)
        choices = (np.array(one, bool) for one in product([0, 1], repeat=num_sets))
        is_possible = any((has[one].any(axis=0) & (has[~one].sum(axis=0) >= leave)).all() for one in choices)
        try:
            choose_sets(labels, sets, rng.random(num_sets), 0.2, leave)
        except TooFewSetsError:
            assert not is_possible or not has.any(axis=0).all()
        else:
            num_solved += 1
    assert num_solved > 50


def test_where_none_is_below_the_share_the_nearest_is_chosen():
    labels, sets = np.zeros(5, int), np.arange(5)
    draws = np.array([0.9, 0.5, 0.3, 0.4, 0.8])
    np.testing.assert_array_equal(np.flatnonzero(choose_sets(labels, sets, draws, 0.1, 1)), [2])
    np.testing.assert_array_equal(np.flatnonzero(choose_sets(labels, sets, draws, 0.95, 2)), [1, 2, 3])
    np.testing.assert_array_equal(np.flatnonzero(choose_sets(labels, sets, draws, 0.45, 2)), [2, 3])
