from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinysight.training.settings import TrainingSettings
from tinysight.training.step import BETAS, Adam, learning_rate

PLAIN = TrainingSettings(learning_rate=0.01).resolved(1_000)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_a_rate_rises_to_its_peak_and_falls_to_almost_nothing(schedule):
    settings = replace(PLAIN, schedule=schedule)
    rates = [float(learning_rate(step, settings, 100)) for step in range(100)]
    peak = int(np.argmax(rates))
    assert max(rates) == pytest.approx(0.01, rel=0.03)
    assert 18 <= peak <= 22
    assert rates[0] < 0.001
    assert 0 < rates[-1] < 0.0001
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert float(learning_rate(0, settings, 1)) > 0.005


def test_a_cosine_stays_high_longer_than_a_straight_line():
    straight, cosine = PLAIN, replace(PLAIN, schedule="cosine")
    assert float(learning_rate(40, cosine, 100)) > float(learning_rate(40, straight, 100))
    assert float(learning_rate(90, cosine, 100)) < float(learning_rate(90, straight, 100))


def test_a_constant_rate_is_the_tutorials_adam():
    settings, stock = TrainingSettings(recipe="tutorial").resolved(1_000), keras.optimizers.Adam()
    assert float(learning_rate(7, settings, 100)) == pytest.approx(float(stock.learning_rate.numpy()))
    assert BETAS[settings.schedule] == (stock.beta_1, stock.beta_2)


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_kerass_adam(schedule, weight_decay):
    settings = replace(PLAIN, schedule=schedule, weight_decay=weight_decay)
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(20, 30)), rng.normal(size=30)]
    ours, theirs = ([keras.Variable(array, dtype="float32") for array in start] for _ in range(2))
    beta_1, beta_2 = BETAS[schedule]
    stock = keras.optimizers.Adam(0.01, beta_1, beta_2, weight_decay=weight_decay or None)
    for variable in theirs[1:]:
        stock.exclude_from_weight_decay([variable])
    stock.build(theirs)
    adam = Adam(ours, settings, 5)
    for step in range(5):
        gradients = [tf.constant(rng.normal(size=array.shape), tf.float32) for array in start]
        stock.learning_rate = float(learning_rate(step, settings, 5))
        stock.apply(gradients, theirs)
        adam.apply(gradients)
    assert int(adam.step) == 5
    for our, their, first in zip(ours, theirs, start, strict=True):
        np.testing.assert_allclose(our.numpy(), their.numpy(), rtol=1e-5, atol=1e-6)
        assert np.abs(our.numpy() - first).max() > 0.005
