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
DIFFERENCES = {"tanh": 0.12, "batch normalization": 0.52}  # the page's table


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


def networks(api, rate):
    """Two networks with the same weights: dropout after and before the activation."""
    keras.utils.set_random_seed(0)
    after, before = (BUILDERS[api](dropout=rate, dropout_position=position) for position in ("after", "before"))
    before.set_weights(after.get_weights())
    return after, before


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
    after, before = networks(api, rate)
    found = in_keras(after, *batch)
    assert_bitwise_equal(found, in_keras(before, *batch))
    assert np.abs(found[0] - after(batch[0], training=False)).max() > 1e-3, "the masks did nothing"


@pytest.mark.parametrize("rate", RATES)
def test_dropout_and_relu_can_be_exchanged_for_every_kind_of_float(rate):
    """Subnormal, infinite and negative zero included; leaky ReLU rounds twice."""
    patterns = np.random.default_rng(0).integers(0, 2**32, 300_000, dtype=np.uint32).view(np.float32)
    special = np.float32([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan])
    values = tf.constant(np.concatenate([patterns, np.repeat(special, 50)]))
    layer = keras.layers.Dropout(rate)

    def dropout(x):
        layer.seed_generator.state.assign([1, 0])
        return layer(x, training=True)

    assert_bitwise_equal([tf.nn.relu(dropout(values)).numpy()], [dropout(tf.nn.relu(values)).numpy()])
    finite = tf.random.stateless_normal([100_000], [0, 0])
    one, other = tf.nn.leaky_relu(dropout(finite)).numpy(), dropout(tf.nn.leaky_relu(finite)).numpy()
    assert (one == other).all() == (rate == 0.5)  # a factor of 2 is exact
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.fixture
def same_masks(monkeypatch):
    """Number the masks by dropout layers instead of by all layers: call it before a network is run."""

    def begin(draw):
        numbers = count()
        monkeypatch.setattr(step, "uniform", lambda shape, *rest, layer: draw(next(numbers), shape, *rest))
        return numbers

    return begin


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("api", list(BUILDERS))
def test_it_is_the_same_in_tinysights_own_training(batch, api, rate, batch_norm, same_masks):
    settings, found = TrainingSettings(batch_norm=batch_norm).resolved(64), []
    for model in networks(api, rate):
        numbers = same_masks(lambda number, shape, *_: tf.random.stateless_uniform(shape, [number, 0]))

        def forward(images, model=model):
            return step._forward_in_training(model, images, settings, StepSeed(0, 0))

        found.append(outputs_and_gradients(model, *batch, forward))
        assert next(numbers) == 2
    assert_bitwise_equal(*found)


def compiled(model, images, labels, batch_norm):
    settings = TrainingSettings(batch_norm=batch_norm).resolved(64)

    @tf.function(jit_compile=True, autograph=False)
    def run(seed):
        with tf.GradientTape() as tape:
            probabilities = step._forward_in_training(model, images, settings, StepSeed(seed, tf.constant(0)))
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(labels, probabilities))
        return [probabilities, *tape.gradient(loss, model.trainable_variables)]

    return [array.numpy() for array in run(tf.constant(0))]


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("api", list(BUILDERS))
def test_compiled_it_is_the_same_but_for_rounding(batch, api, batch_norm, same_masks):
    models, found, uniform = networks(api, 0.5), [], step.uniform
    for model in models:
        same_masks(lambda number, *arguments: uniform(*arguments, layer=number))
        found.append(compiled(model, *batch, batch_norm))
    for after, before in zip(*found, strict=True):
        assert np.abs(after - before).max() < 1e-6 * np.abs(after).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("api", "hidden", "is_equal"),
    [("sequential", (64,), True), ("sequential", (64, 32), False), ("functional", (64,), False)],
)
def test_where_the_same_seed_draws_the_same_masks_in_both_places(batch, api, hidden, is_equal):
    models = [BUILDERS[api](hidden=hidden, dropout=0.5, dropout_position=position) for position in ("after", "before")]
    models[1].set_weights(models[0].get_weights())
    after, before = (compiled(model, *batch, False)[0] for model in models)
    assert (np.abs(after - before).max() < 1e-6) == is_equal


@pytest.mark.parametrize("between", DIFFERENCES)
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
    assert np.abs(first - second).max() == pytest.approx(DIFFERENCES[between], abs=0.006)


@pytest.mark.parametrize("rate", [0, 0.5])
def test_sequential_and_functional_networks_compute_the_same(batch, rate):
    one, other = sequential(dropout=rate), functional(dropout=rate)
    other.set_weights(one.get_weights())
    assert_bitwise_equal(in_keras(one, *batch), in_keras(other, *batch))
    np.testing.assert_array_equal(one.predict(batch[0], verbose=0), other.predict(batch[0], verbose=0))
