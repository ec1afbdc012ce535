from itertools import product

import numpy as np

import tinysight.training.networks  # noqa: F401 - quiets TensorFlow
from tinysight.training.random_streams import Purpose, StepSeed, uniform
from tinysight.training.settings import MAX_LAYERS

import tensorflow as tf  # isort: skip


@tf.function(jit_compile=True, reduce_retracing=True)
def compiled(chunk, step, purpose, layer, low=0.0, high=1.0, num=4):
    return uniform([num], StepSeed(chunk, step), purpose, low, high, layer)


def draws(step=0, purpose=Purpose.DROPOUT, layer=0, chunk=7):
    return compiled(*(tf.constant(int(number)) for number in (chunk, step, purpose, layer))).numpy()


def test_equal_arguments_give_equal_numbers_and_each_other_one_changes_them():
    assert (draws() == draws()).all()
    for change in ({"step": 1}, {"purpose": Purpose.NOISE}, {"layer": 1}, {"chunk": 8}):
        assert (draws() != draws(**change)).all(), change


def test_no_two_streams_of_a_chunk_share_numbers():
    """Layers, steps and purposes as in a training with every kind of random change."""
    streams = [(step, Purpose.DROPOUT, layer) for step, layer in product(range(40), range(6))]
    streams += [(step, purpose, 0) for step, purpose in product(range(40), Purpose) if purpose != Purpose.DROPOUT]
    found = [tuple(draws(step, purpose, layer)) for step, purpose, layer in streams]
    assert len(set(found)) == len(streams)


def test_the_last_step_of_the_last_layer_has_a_stream_too():
    last = {"step": 2**21 - 1, "layer": 2 * MAX_LAYERS - 1}
    assert len({tuple(draws(purpose=purpose, **last)) for purpose in Purpose}) == len(Purpose)
    assert tuple(draws(**last)) != tuple(draws())


def test_numbers_are_spread_evenly_between_the_bounds():
    numbers = compiled(tf.constant(1), tf.constant(0), Purpose.GEOMETRY, 0, -1.0, 3.0, num=20_000).numpy()
    assert numbers.min() >= -1
    assert numbers.max() < 3
    np.testing.assert_allclose(np.quantile(numbers, [0.25, 0.5, 0.75]), [0, 1, 2], atol=0.05)
