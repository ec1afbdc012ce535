import numpy as np
import pytest

from tinysight.training.calibration import MAX_TEMPERATURE, fit_temperature, rejection_threshold


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 5))
    labels = (softmax(logits).cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(0, 4)
    assert fit_temperature(softmax(logits * temperature), labels) == pytest.approx(temperature, rel=0.05)


def test_a_few_images_that_are_all_right_do_not_ask_for_certainty():
    logits = np.full((20, 3), -2.0)
    logits[:, 0] = 2.0
    temperature = fit_temperature(softmax(logits), np.zeros(20, np.int64))
    assert softmax(logits / temperature)[0, 0] < 0.99


def test_labels_at_random_ask_for_the_highest_temperature():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 1_000)
    assert fit_temperature(softmax(rng.normal(0, 20, (1_000, 4))), labels) > 0.9 * MAX_TEMPERATURE


def test_probabilities_of_nothing_and_one_are_taken():
    certain = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    assert np.isfinite(fit_temperature(certain, np.array([0, 1, 2, 1])))


def test_two_in_a_hundred_are_below_the_threshold():
    best = np.linspace(0.5, 1, 1_001, dtype=np.float32)
    threshold = rejection_threshold(np.stack([best, 1 - best], axis=1))
    assert (best < threshold).mean() == pytest.approx(0.02, abs=0.001)
