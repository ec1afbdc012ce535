from dataclasses import replace

import keras
import numpy as np
import pytest

from tinysight.data.loading import load_images
from tinysight.training.networks import sequential
from tinysight.training.settings import TrainingSettings
from tinysight.training.train import train

import tensorflow as tf  # isort: skip
from tinysight.training.folding import compile_folding  # isort: skip
from tinysight.training.step import _forward_in_training  # isort: skip

SMALL = TrainingSettings(recipe="fast", batch_norm=False, hidden=(32,), epochs=4)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


@pytest.fixture(scope="module")
def plain(digits):
    return train(digits, SMALL)


def lengths(training):
    return [np.linalg.norm(weights) for weights in training.model.get_weights()]


@pytest.mark.slow
def test_weight_decay_makes_weights_smaller(digits, plain):
    decayed = train(digits, replace(SMALL, weight_decay=1.0))
    hidden = slice(0, -2, 2)  # calibration scales the last layer
    assert all(small < large for small, large in zip(lengths(decayed)[hidden], lengths(plain)[hidden], strict=True))


@pytest.mark.slow
def test_outliers_make_the_network_doubt_what_it_has_never_seen(digits, plain):
    warned = train(digits, replace(SMALL, outliers=0.5))
    noise = np.random.default_rng(0).integers(0, 256, (200, 28, 28), dtype=np.uint8)
    sure, unsure = (training.classifier.probabilities(noise).max(axis=1).mean() for training in (plain, warned))
    assert unsure < sure - 0.2
    digits_seen = [training.history[-1].validation_accuracy for training in (plain, warned)]
    assert digits_seen[1] > digits_seen[0] - 0.1


@pytest.mark.slow
def test_label_smoothing_makes_the_network_less_sure(digits, monkeypatch):
    monkeypatch.setattr("tinysight.training.train.fit_temperature", lambda *_: 1.0)
    plain, smoothed = train(digits, SMALL), train(digits, replace(SMALL, label_smoothing=0.2))
    images = plain.images.subset("test").images
    sure, unsure = (training.classifier.probabilities(images).max(axis=1).mean() for training in (plain, smoothed))
    assert unsure < sure - 0.03


@pytest.mark.slow
def test_input_dropout_blackens_pixels_while_training_only(digits, plain):
    dropped = train(digits, replace(SMALL, input_dropout=0.6))
    assert dropped.history[-1].train_loss > plain.history[-1].train_loss
    assert dropped.history[-1].validation_accuracy > 0.6


@pytest.mark.slow
def test_adversarial_training_steadies_predictions_near_images(digits, plain):
    """The change of the prediction, as a divergence, in the direction of the loss's gradient."""
    steadied = train(digits, replace(SMALL, adversarial=0.05))
    images = plain.images.subset("test").images[:200]
    assert divergence_nearby(steadied.model, images) < 0.7 * divergence_nearby(plain.model, images)


def divergence_nearby(model, images):
    pixels = tf.constant(images / np.float32(255))
    expected = model(pixels)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        loss = keras.losses.sparse_categorical_crossentropy(tf.argmax(expected, axis=1), model(pixels))
    direction = tf.sign(tape.gradient(loss, pixels)) * 0.05
    return float(tf.reduce_mean(keras.losses.kl_divergence(expected, model(pixels + direction))))


@pytest.mark.slow
def test_the_moving_average_of_the_weights_is_what_is_kept(digits, plain):
    """With a momentum of almost 1 the average hardly leaves the first weights, while the network learns."""
    settings = replace(SMALL, ema_momentum=0.99999)
    slow = train(digits, settings)
    assert slow.history[-1].train_accuracy < 0.5 < plain.history[-1].train_accuracy
    follows = train(digits, replace(SMALL, ema_momentum=1e-6))
    for average, weights in zip(follows.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(average, weights, atol=1e-5)
    parity = slow.classifier.metadata.parity
    assert parity.max_difference < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"ema_momentum": 0.5}, {"api": "functional", "dropout": 0.1}, {"outliers": 0.5}])
def test_batch_normalization_trains_well_and_is_folded_into_the_same_network(digits, plain, more):
    normalized = train(digits, replace(SMALL, batch_norm=True, **more))
    assert normalized.model.count_params() == plain.model.count_params()
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in normalized.model.layers)
    assert normalized.history[-1].validation_accuracy > plain.history[-1].validation_accuracy - 0.02
    validation = normalized.images.subset("validation")
    predicted = normalized.classifier.probabilities(validation.images).argmax(axis=1)
    kept = normalized.history[normalized.best_epoch - 1]
    assert kept.validation_accuracy == pytest.approx(np.mean(predicted == validation.labels))


@pytest.mark.slow
def test_batch_normalization_and_adversarial_training_go_together(digits, plain):
    both = train(digits, replace(SMALL, batch_norm=True, adversarial=0.05))
    images = plain.images.subset("test").images[:200]
    alone = train(digits, replace(SMALL, batch_norm=True))
    assert divergence_nearby(both.model, images) < 0.7 * divergence_nearby(alone.model, images)


def test_a_folded_network_gives_what_the_normalized_one_gave(digits):
    """Where the images of a step are the images whose statistics are folded in."""
    rows = digits.indices("all")[:256]
    settings = TrainingSettings(hidden=(32, 16), batch_norm=True, batch_size=256)
    model, folded = (sequential((28, 28), 10, (32, 16)) for _ in range(2))
    for weights in model.trainable_variables:
        weights.assign(weights + 0.1)
    compile_folding(model, folded)(digits, rows)
    batch = tf.constant(digits.images[rows] / np.float32(255))
    expected = _forward_in_training(model, batch, settings, None)
    np.testing.assert_allclose(folded(batch), expected, atol=1e-5)
    assert np.abs(folded(batch) - model(batch)).max() > 0.01


@pytest.mark.slow
def test_augmentation_changes_what_is_trained_on_not_what_is_scored(digits, plain):
    augmented = train(digits, replace(SMALL, augment="handwriting"))
    assert augmented.history[-1].train_loss > plain.history[-1].train_loss
    validation = augmented.images.subset("validation")
    predicted = augmented.classifier.probabilities(validation.images).argmax(axis=1)
    assert augmented.history[-1].validation_accuracy == pytest.approx(np.mean(predicted == validation.labels))
