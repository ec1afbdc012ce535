"""Intervals of 95 % must contain the true figure 93 to 97 % of the time, in simulated test sets where it is known."""

from math import inf

import numpy as np
import pytest
from scipy.stats import binom, binomtest, t

from tinysight.intervals import (
    bootstrap_interval,
    mcnemar_p_value,
    mean_interval,
    mean_share_interval,
    paired_interval,
    wilson_interval,
)

NUM_SETS = 2_000


def coverage(intervals, truth):
    bounds = np.array(intervals)
    assert (bounds[:, 0] <= bounds[:, 1]).all()
    return float(((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean())


@pytest.mark.parametrize(
    ("num_correct", "num_images", "expected"),
    [(0, 10, (0, 0.2775)), (10, 10, (0.7225, 1)), (81, 263, (0.2553, 0.3662)), (9_850, 10_000, (0.9824, 0.9872))],
)
def test_wilsons_interval(num_correct, num_images, expected):
    """Source of 81 of 263: R. G. Newcombe, Statistics in Medicine 17 (1998), table I."""
    assert wilson_interval(num_correct, num_images) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("num_images", "accuracy"), [(200, 0.9), (360, 0.97), (1_000, 0.7), (10_000, 0.985)])
def test_the_interval_of_an_accuracy_contains_it(num_images, accuracy):
    hits = np.random.default_rng(1).binomial(num_images, accuracy, NUM_SETS)
    found = coverage([wilson_interval(count, num_images) for count in hits.tolist()], accuracy)
    assert 0.93 <= found <= 0.97


@pytest.mark.parametrize(
    ("counts", "recalls"),
    [
        ([100] * 10, [0.95] * 10),
        ([1, 5, 50, 500], [0.6, 0.8, 0.9, 0.97]),  # few images of a hard class
        ([20, 980], [0.8, 0.99]),
        ([10] * 200, [0.99] * 200),
    ],
)
def test_the_interval_of_a_balanced_accuracy_contains_it(counts, recalls):
    hits = np.random.default_rng(2).binomial(counts, recalls, (NUM_SETS, len(counts)))
    assert 0.93 <= coverage([mean_share_interval(row, counts) for row in hits], np.mean(recalls)) <= 0.97


def test_of_one_share_or_equal_groups_the_mean_share_is_a_share():
    assert mean_share_interval([9], [10])[0] == pytest.approx(wilson_interval(9, 10)[0], abs=0.02)
    assert mean_share_interval([95, 95], [100, 100]) == pytest.approx(wilson_interval(190, 200), abs=2e-3)
    assert mean_share_interval([5, 5], [5, 5]) == pytest.approx(wilson_interval(10, 10))
    assert mean_share_interval([0, 0], [5, 5]) == pytest.approx(wilson_interval(0, 10))


@pytest.mark.slow
def test_the_interval_of_a_log_loss_contains_it(monkeypatch):
    """Losses of a calibrated classifier are skewed: most are near 0, a few are large."""
    monkeypatch.setattr("tinysight.intervals.NUM_RESAMPLES", 400)
    rng = np.random.default_rng(3)

    def losses(shape):
        chances = 1 / (1 + np.exp(-rng.normal(3, 2, shape)))
        return -np.log(np.where(rng.random(shape) < chances, chances, 1 - chances))

    truth = losses(3_000_000).mean()
    found = coverage([bootstrap_interval(values) for values in losses((500, 200))], truth)
    assert 0.93 <= found <= 0.97


def test_the_bootstrap_of_many_values_is_as_wide_as_that_of_few(monkeypatch):
    values = np.random.default_rng(4).exponential(size=7_001)
    low, high = bootstrap_interval(values)  # of groups of one or two
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)
    monkeypatch.setattr("tinysight.intervals.MAX_RESAMPLED", 10_000)
    assert bootstrap_interval(values) == pytest.approx((low, high), abs=0.15 * half)


def test_the_bootstrap_repeats_and_takes_values_that_tell_little():
    values = np.array([0.1, 0.2, 0.9, 0.4, 0.3, 0.35, 0.2, 0.8, 0.1, 0.6])
    assert bootstrap_interval(values) == bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    assert bootstrap_interval(np.array([0.5])) == (-inf, inf)
    assert bootstrap_interval(np.array([0.5, 0.5, 0.5])) == (0.5, 0.5)
    low, high = bootstrap_interval(np.array([0.1, 0.2]))
    assert low <= 0.1
    assert high >= 0.2


@pytest.mark.parametrize(
    ("num_images", "only_first", "only_second"),
    [(10_000, 0.0003, 0.0003), (10_000, 0.001, 0.0005), (1_000, 0.01, 0.002), (100, 0.05, 0.05), (100, 0.1, 0.02)],
)
def test_the_interval_of_a_paired_difference_contains_it(num_images, only_first, only_second):
    rng = np.random.default_rng(5)
    counts = rng.multinomial(num_images, [only_first, only_second, 1 - only_first - only_second], NUM_SETS)
    intervals = [paired_interval(first, second, num_images) for first, second, _ in counts.tolist()]
    assert 0.93 <= coverage(intervals, only_second - only_first) <= 0.97


def test_the_paired_interval_is_that_of_the_difference():
    low, high = paired_interval(30, 50, 1_000)
    assert low < 0.02 < high
    assert paired_interval(50, 30, 1_000) == pytest.approx((-high, -low))
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(80 / 1_000 - 0.02**2) / np.sqrt(1_000), rel=0.02)
    assert paired_interval(0, 10, 100)[1] == pytest.approx(wilson_interval(10, 100)[1])  # one is always as good
    assert paired_interval(0, 0, 100) == pytest.approx((-wilson_interval(0, 100)[1], wilson_interval(0, 100)[1]))
    assert paired_interval(0, 7, 7)[1] == 1


@pytest.mark.parametrize("counts", [(0, 1), (0, 6), (3, 5), (8, 8), (12, 30), (100, 130), (5_000, 5_300)])
def test_mcnemars_test_is_the_binomial_test(counts):
    expected = binomtest(counts[0], sum(counts)).pvalue
    assert mcnemar_p_value(*counts) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_p_value(*reversed(counts)) == pytest.approx(expected, rel=1e-9)


def test_without_a_difference_mcnemars_test_finds_none():
    assert mcnemar_p_value(0, 0) == 1
    chances = [binom.pmf(first, 40, 0.5) for first in range(41)]
    found = [mcnemar_p_value(first, 40 - first) < 0.05 for first in range(41)]
    assert 0 < np.dot(chances, found) <= 0.05  # of sets of 40 images on which one of two equal classifiers is right


def test_the_interval_of_a_mean_is_students():
    values = np.array([0.971, 0.968, 0.974, 0.969, 0.972])
    expected = t.interval(0.9, 4, values.mean(), values.std(ddof=1) / np.sqrt(5))
    assert mean_interval(values, 0.9) == pytest.approx(expected)
    assert mean_interval([0.5]) == (-inf, inf)
