from dataclasses import replace
from hashlib import sha256

import keras
import numpy as np
import onnx
import pytest

from tinysight.classifier import Classifier
from tinysight.data.dataset import ImageSet
from tinysight.errors import SettingsError
from tinysight.preprocessing.framing import Framing
from tinysight.training.checkpoint import Checkpoint
from tinysight.training.convolutional import convolutional
from tinysight.training.settings import TrainingSettings
from tinysight.training.train import MAX_PARITY_IMAGES, train

import tensorflow as tf  # isort: skip
from tinysight.training.batch_norm import EPSILON  # isort: skip
from tinysight.training.convolutional_step import forward_convolutional, forward_normalized  # isort: skip
from tinysight.training.folding import compile_convolutional_folding  # isort: skip

SIDE = 20
SETTINGS = TrainingSettings(network="convolutional", epochs=4, validation=0.25)


def stripes(number=40, channels=1):
    """Return waves with noise, upright in one class and level in the other, as an image set."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(SIDE)[None, :] / rng.uniform(1, 3, (2 * number, 1)))[:, None, :, None]
    waves = np.repeat(waves, SIDE, axis=1) * rng.uniform(30, 120, (2 * number, 1, 1, channels)) + 128
    waves[number:] = waves[number:].transpose(0, 2, 1, 3)
    pixels = np.clip(waves + rng.normal(0, 8, waves.shape), 0, 255).astype(np.uint8)
    pixels = pixels[..., 0] if channels == 1 else pixels
    hashes = np.array([list(sha256(image.tobytes()).digest()) for image in pixels], np.uint8)
    labels, split = np.repeat([0, 1], number), np.full(2 * number, 3, np.uint8)
    sources = [f"{place}.png" for place in range(2 * number)]
    framing = Framing("whole", SIDE, SIDE, channels)
    return ImageSet("stripes", pixels, labels, ("up", "level"), sources, split, hashes, framing)


@pytest.mark.parametrize("shape", [(16, 16), (28, 28), (96, 96, 3), (20, 64, 3)])
def test_the_number_of_weights_does_not_depend_on_the_size_of_the_images(shape):
    model = convolutional(shape, 10, dropout=0.2)
    assert model.output_shape == (None, 10)
    channels = 3 if len(shape) == 3 else 1
    assert model.count_params() == 176_698 + 16 * 16 * channels  # the first kernels alone depend on the channels
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}


@pytest.mark.parametrize("shape", [(15, 28), (300, 20, 3)])
def test_images_of_other_sizes_are_refused_in_a_line(shape):
    size = "×".join(map(str, shape[:2]))
    with pytest.raises(SettingsError, match=f"^images of {size}: network convolutional needs 16 to 256 pixels a side"):
        convolutional(shape, 10)


@pytest.fixture(scope="module")
def training():
    return train(stripes(channels=3), replace(SETTINGS, dropout=0.1, label_smoothing=0.05, flip=True))


@pytest.mark.slow
def test_a_training_gives_one_network_for_onnx_and_keras(training, tmp_path):
    assert training.settings.network == training.classifier.metadata.settings["network"] == "convolutional"
    assert training.settings.hidden == ()
    assert training.history[-1].validation_accuracy == 1
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in training.model.layers)
    parity = training.classifier.metadata.parity
    assert parity.num_images == len(training.images.indices("validation"))
    assert parity.max_difference < 1e-5
    onnx.checker.check_model(onnx.load_from_string(training.classifier.file_bytes), full_check=True)
    training.model.optimizer.build(training.model.trainable_variables)  # as `save_run` does
    training.model.save(tmp_path / "model.keras")
    images = training.images.subset("test").images
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = Classifier(training.classifier.file_bytes).probabilities(images)
    np.testing.assert_allclose(np.asarray(loaded(images / np.float32(255))), expected, atol=1e-5)


@pytest.mark.slow
def test_the_images_on_which_onnx_and_keras_are_compared_are_of_all_classes(monkeypatch):
    compared = []
    monkeypatch.setitem(MAX_PARITY_IMAGES, "convolutional", 6)
    monkeypatch.setattr(Classifier, "probabilities", lambda self, images: compared.extend(images) or np.eye(2)[[0] * 6])
    images = stripes()
    training = train(images, replace(SETTINGS, epochs=1))
    labels = [int(images.labels[(images.images == image).all(axis=(1, 2))].item()) for image in compared]
    assert labels == [0, 0, 0, 1, 1, 1]
    assert training.classifier.metadata.parity.num_images == 6


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_even_where_a_training_is_resumed(tmp_path):
    more = {"augment": "objects", "outliers": 0.25, "dropout": 0.2, "class_weight": "balanced", "ema_momentum": 0.5}
    images, settings = stripes(20), replace(SETTINGS, epochs=3, **more)
    whole = train(images, settings)
    path, stops = tmp_path / "state", iter([False, True])
    first = Checkpoint(path)
    first.is_due = lambda: True  # after each epoch
    stopped = train(images, settings, should_stop=lambda: next(stops), checkpoint=first)
    assert len(stopped.history) == 2
    resumed = train(images, settings, checkpoint=Checkpoint(path, resume=True))
    assert len(resumed.history) == 3
    assert resumed.classifier.file_bytes == whole.classifier.file_bytes != stopped.classifier.file_bytes


def test_without_batch_normalization_and_dropout_a_step_runs_the_layers_as_keras_does():
    model = convolutional((SIDE, SIDE, 3), 2, dropout=0.5)
    settings = replace(SETTINGS, batch_norm=False, dropout=0).resolved(100)
    batch = tf.constant(stripes(5, channels=3).images / np.float32(255))
    np.testing.assert_allclose(forward_convolutional(model, batch, settings, None, None), model(batch), atol=1e-6)


@pytest.mark.parametrize(("shape", "num_images"), [((28, 28), 6), ((28, 28), 4), ((30, 16), 6), ((16, 27, 3), 6)])
def test_what_pooling_leaves_out_is_not_computed_and_changes_nothing(shape, num_images):
    """Outputs and gradients are those of whole convolutions, for odd and even numbers of rows and columns."""
    model = convolutional(shape, 3)
    x = tf.constant(np.random.default_rng(0).random((6, *shape)), tf.float32)

    def by_whole_layers(x):
        biases = 0.0
        for layer in model.layers[:-1]:
            if isinstance(layer, keras.layers.Conv2D):
                x, biases = layer(x) - layer.bias, layer.bias
            elif isinstance(layer, keras.layers.Activation):
                mean, variance = tf.nn.moments(x[:num_images], axes=[0, 1, 2])
                x = tf.nn.relu((x - mean) / tf.sqrt(variance + EPSILON) + biases)
            else:
                x = layer(x)
        return x

    def outputs_and_gradients(forward):
        with tf.GradientTape() as tape:
            outputs = forward(x)
            loss = tf.reduce_sum(outputs**2)
        return [outputs, *tape.gradient(loss, model.trainable_variables[:-2])]

    for weights in model.trainable_variables:
        weights.assign(weights + 0.05)
    actual = outputs_and_gradients(lambda x: forward_normalized(model, x, num_images))
    for one, other in zip(actual, outputs_and_gradients(by_whole_layers), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def test_a_folded_network_gives_what_the_normalized_one_gave():
    """Where the images of a step are the images whose statistics are folded in."""
    images = stripes(30)
    rows = np.arange(len(images.labels))
    model, folded = (convolutional((SIDE, SIDE), 2) for _ in range(2))
    for weights in model.trainable_variables:
        weights.assign(weights + 0.05)
    compile_convolutional_folding(model, folded)(images, rows)
    batch = tf.constant(images.images / np.float32(255))
    expected = model.layers[-1](forward_normalized(model, batch, len(rows)))
    np.testing.assert_allclose(folded(batch), expected, atol=1e-5)
    assert np.abs(folded(batch) - model(batch)).max() > 0.01


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"hidden": (64, 32)}, "hidden 64,32"), ({"api": "functional"}, "api functional"),
     ({"dropout_position": "before"}, "dropout position before"), ({"adversarial": 0.1}, "adversarial 0.1")],
)  # fmt: skip
def test_settings_of_dense_layers_are_refused_with_what_to_do(changes, named):
    settings = TrainingSettings(network="convolutional", **changes)
    advice = "is for dense layers; leave it out, or choose --network dense"
    with pytest.raises(SettingsError, match=f"^{named} {advice}$"):
        settings.resolved(100)


@pytest.mark.parametrize("recipe", ["fast", "accurate", "robust", "tutorial"])
@pytest.mark.parametrize("framing", ["ink", "whole"])
def test_every_recipe_trains_it_without_adversarial_training(recipe, framing):
    resolved = TrainingSettings(network="convolutional", recipe=recipe).resolved(30_000, framing)
    assert (resolved.adversarial, resolved.hidden, resolved.recipe) == (0, (), recipe)
    assert resolved.outliers == (0.25 if recipe == "robust" else 0)
    accurate = "handwriting" if framing == "ink" else "objects"
    expected = {"accurate": accurate, "robust": "handwriting"}.get(recipe, "none")
    assert resolved.augment == expected


def test_summary_shows_it(tinysight):
    status, printed, _ = tinysight("summary", "--network", "convolutional", "--image-size", "64x64x3", "--classes", "5")
    assert status == 0
    assert "Conv2D" in printed
    status, _, complaint = tinysight("summary", "--network", "convolutional", "--hidden", "9")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "hidden 9 is for dense layers" in complaint
