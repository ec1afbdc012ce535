import numpy as np
import pytest

from tinysight.learning_curve import fit_learning_curve

SIZES = np.array([1_000, 10_000, 54_000])


def power_law(sizes, scale=2.0, exponent=0.45, limit=0.01):
    return scale * np.asarray(sizes, float) ** -exponent + limit


def noisy(errors, spread, seed=0, num_seeds=5):
    return errors * (1 + spread * np.random.default_rng(seed).standard_normal((num_seeds, len(errors))))


def test_a_power_law_is_found_again():
    sizes = np.array([300, 1_000, 3_000, 10_000, 54_000])
    curve = fit_learning_curve(sizes, noisy(power_law(sizes), 1e-5))
    assert curve.exponent == pytest.approx(0.45, abs=0.02)
    assert curve.limit == pytest.approx(0.01, abs=0.001)
    assert curve.expected_error == pytest.approx(power_law(108_000), rel=0.01)
    np.testing.assert_allclose(curve.errors_at(sizes), power_law(sizes), rtol=0.02)


@pytest.mark.parametrize("limit", [0.0, 0.01])
def test_the_interval_at_twice_the_images_holds(limit):
    true = power_law(2 * SIZES[-1], limit=limit)
    curves = [fit_learning_curve(SIZES, noisy(power_law(SIZES, limit=limit), 0.02, seed)) for seed in range(40)]
    hits = [curve.expected_interval[0] <= true <= curve.expected_interval[1] for curve in curves]
    assert np.mean(hits) >= 0.9
    assert np.mean([curve.is_known for curve in curves]) > 0.9


def test_a_wide_interval_is_not_extrapolated():
    curve = fit_learning_curve(SIZES, noisy(power_law(SIZES), 0.4))
    assert not curve.is_known
    assert "cannot be told" in curve.sentence


def test_errors_that_do_not_fall_promise_nothing():
    assert not fit_learning_curve(SIZES, noisy(np.array([0.1, 0.1, 0.1]), 0.02)).is_known


def test_two_sizes_or_no_error_give_no_curve():
    assert fit_learning_curve(SIZES[:2], noisy(power_law(SIZES[:2]), 0.02)) is None
    assert fit_learning_curve(SIZES, np.zeros((5, 3))) is None
    assert fit_learning_curve(SIZES, power_law(SIZES)[None]) is None


def test_the_sentence_names_images_and_errors():
    sentence = fit_learning_curve(SIZES, noisy(power_law(SIZES), 0.01)).sentence
    assert sentence.startswith("108,000 training images would probably lower the error from 2.")
