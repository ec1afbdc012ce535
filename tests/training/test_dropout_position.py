"""docs/dropout.md gives the proof that these tests check."""

from itertools import count

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinysight.data.loading import load_images
from tinysight.training import step
from tinysight.training.networks import BUILDERS, functional, sequential
from tinysight.training.random_streams import StepSeed
from tinysight.training.settings import TrainingSettings

RATES = [0.1, 0.5, 0.9]


@pytest.fixture(scope="module")
def batch():
    images = load_images("digits").rows(np.arange(64))
    return tf.constant(images.images / np.float32(255)), tf.one_hot(images.labels, 10)


def with_fixed_masks(model):
    """Give each dropout layer a seed of its own: two networks then set the same outputs to zero."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    for number, layer in enumerate(layers):
        layer.seed_generator.state.assign([number, 0])
    return model


def outputs_and_gradients(model, images, labels, forward):
    with tf.GradientTape() as tape:
        probabilities = forward(images)
        loss = tf.reduce_mean(keras.losses.categorical_crossentropy(labels, probabilities))
    return [probabilities.numpy(), *(gradient.numpy() for gradient in tape.gradient(loss, model.trainable_variables))]


def in_keras(model, images, labels):
    with_fixed_masks(model)
    return outputs_and_gradients(model, images, labels, lambda batch: model(batch, training=True))


def assert_bitwise_equal(first, second):
    for one, other in zip(first, second, strict=True):
        assert one.any()
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("api", list(BUILDERS))
def test_dropout_before_and_after_relu_is_the_same_function(batch, api, rate):
    after, before = (BUILDERS[api](dropout=rate, dropout_position=position) for position in ("after", "before"))
    before.set_weights(after.get_weights())
    assert_bitwise_equal(in_keras(after, *batch), in_keras(before, *batch))


@pytest.mark.parametrize("rate", RATES)
def test_it_is_the_same_in_tinysights_own_training(batch, rate, monkeypatch):
    found = []
    settings = TrainingSettings(recipe="tutorial", dropout=rate).resolved(64)
    seed = StepSeed(tf.constant(0), tf.constant(0))
    models = [sequential(dropout=rate, dropout_position=position) for position in ("after", "before")]
    models[1].set_weights(models[0].get_weights())
    for model in models:
        numbers = count()

        def uniform(shape, *_, numbers=numbers, **__):
            return tf.random.stateless_uniform(shape, [next(numbers), 0])

        monkeypatch.setattr(step, "uniform", uniform)
        found.append(
            outputs_and_gradients(
                model, *batch, lambda x, model=model: step._forward_in_training(model, x, settings, seed)
            )
        )
        assert next(numbers) == 2
    assert_bitwise_equal(*found)


@pytest.mark.parametrize("between", ["tanh", "batch normalization"])
def test_with_another_function_between_the_order_matters(batch, between):
    """Tanh is not linear above zero, and batch normalization moves the zeros that dropout has written."""
    images, labels = batch

    def network(is_first):
        parts = [keras.layers.Activation("tanh")]
        if between == "batch normalization":
            parts = [keras.layers.BatchNormalization(), keras.layers.Activation("relu")]
        dropout = [keras.layers.Dropout(0.5)]
        parts = dropout + parts if is_first else parts + dropout
        model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(64), *parts])
        model.add(keras.layers.Dense(10, activation="softmax"))
        return model

    keras.utils.set_random_seed(0)
    before, after = network(True), network(False)
    after.set_weights(before.get_weights())
    np.testing.assert_array_equal(before(images, training=False), after(images, training=False))
    first, second = (in_keras(model, images, labels)[0] for model in (before, after))
    assert np.abs(first - second).max() > 0.1


def test_sequential_and_functional_networks_compute_the_same(batch):
    images, labels = batch
    one, other = sequential(), functional()
    other.set_weights(one.get_weights())
    assert_bitwise_equal(
        *(outputs_and_gradients(model, images, labels, lambda x, model=model: model(x)) for model in (one, other))
    )
