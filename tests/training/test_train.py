from dataclasses import replace

import keras
import numpy as np
import onnx
import pytest

from tinysight.data.loading import load_images
from tinysight.data.splits import split_images
from tinysight.errors import DataError, TinysightError
from tinysight.training import loader
from tinysight.training.calibration import apply_temperature
from tinysight.training.scores import accuracy, log_loss, standard_error
from tinysight.training.settings import TrainingSettings
from tinysight.training.train import train

SMALL = TrainingSettings(recipe="fast", batch_norm=False, hidden=(32, 16), epochs=2)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def weights_of(training):
    model = onnx.load_from_string(training.classifier._data)
    return [tensor.raw_data for tensor in model.graph.initializer]


def test_the_small_classifier_learns(trained):
    assert trained.history[-1].validation_accuracy > 0.85
    assert trained.history[-1].train_loss < trained.history[0].train_loss


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {}, {"dropout": 0.5}, {"api": "functional", "dropout": 0.3}, {"recipe": "tutorial"}, {"recipe": "accurate"},
        {"recipe": "accurate", "augment": "none"}, {"recipe": "robust", "ema_momentum": 0.9, "flip": True},
    ],
)  # fmt: skip
def test_the_same_seed_gives_the_same_bytes(digits, changes):
    settings = replace(SMALL, **changes)
    first, again = train(digits, settings), train(digits, settings)
    assert weights_of(first) == weights_of(again)
    assert first.classifier._data == again.classifier._data


@pytest.mark.slow
def test_another_seed_gives_other_weights(digits):
    assert weights_of(train(digits, SMALL)) != weights_of(train(digits, replace(SMALL, seed=1)))


def test_onnx_and_keras_agree(trained):
    parity = trained.classifier.metadata.parity
    assert parity.num_images == len(trained.images.indices("validation"))
    assert parity.max_difference < 1e-5
    assert parity.num_other_classes == 0


@pytest.mark.slow
def test_probabilities_are_calibrated_on_the_validation_images(digits, monkeypatch):
    calibrated = train(digits, SMALL)
    monkeypatch.setattr("tinysight.training.train.fit_temperature", lambda *_: 1.0)
    plain = train(digits, SMALL)
    validation, test = plain.images.subset("validation"), plain.images.subset("test").images
    losses = [
        keras.losses.sparse_categorical_crossentropy(
            validation.labels, training.classifier.probabilities(validation.images)
        ).numpy().mean()
        for training in (calibrated, plain)
    ]  # fmt: skip
    assert losses[0] < losses[1]
    before, after = (training.classifier.probabilities(test) for training in (plain, calibrated))
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() > 0.999
    # The stored temperature tells what they were before
    temperature = calibrated.classifier.metadata.temperature
    assert temperature != 1 == plain.classifier.metadata.temperature
    np.testing.assert_allclose(apply_temperature(after, 1 / temperature), before, atol=1e-5)


def test_the_threshold_rejects_two_in_a_hundred_of_the_validation_images(trained):
    images = trained.images.subset("validation").images
    best = trained.classifier.probabilities(images).max(axis=1)
    assert 0 < (best < trained.classifier.reject_below).mean() <= 0.03


@pytest.mark.slow
def test_scores_are_those_of_the_model_in_inference_mode(digits, monkeypatch):
    monkeypatch.setattr("tinysight.training.train.fit_temperature", lambda *_: 1.0)
    settings = replace(SMALL, dropout=0.5, epochs=1)
    training = train(digits, settings)
    validation = training.images.subset("validation")
    loss, accuracy = training.model.evaluate(
        validation.images / 255, keras.utils.to_categorical(validation.labels, 10), verbose=0
    )
    assert training.history[0].validation_loss == pytest.approx(loss, rel=1e-4)
    assert training.history[0].validation_accuracy == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.slow
def test_dropout_drops_while_training(digits):
    plain, dropped = train(digits, SMALL), train(digits, replace(SMALL, dropout=0.5))
    assert dropped.history[-1].train_loss > plain.history[-1].train_loss


@pytest.mark.slow
def test_stopping_keeps_the_best_so_far(digits):
    seen = []
    training = train(digits, replace(SMALL, epochs=9), on_epoch=seen.append, should_stop=lambda: len(seen) == 3)
    assert training.was_stopped
    assert len(training.history) == len(seen) == 3
    assert 1 <= training.best_epoch <= 3
    assert not train(digits, SMALL).was_stopped


@pytest.mark.slow
def test_the_epoch_kept_is_the_latest_within_a_standard_error_of_the_best(digits):
    """A constant, far too high rate makes epochs of very different worth."""
    settings = replace(SMALL, epochs=12, schedule="constant", learning_rate=0.05)
    training = train(digits, settings)
    accuracies = [epoch.validation_accuracy for epoch in training.history]
    bound = max(accuracies) - standard_error(max(accuracies), len(training.images.indices("validation")))
    assert training.best_epoch == max(epoch.epoch for epoch in training.history if epoch.validation_accuracy >= bound)
    validation = training.images.subset("validation")
    predicted = training.classifier.probabilities(validation.images).argmax(axis=1)
    assert np.mean(predicted == validation.labels) == pytest.approx(accuracies[training.best_epoch - 1])


@pytest.mark.slow
def test_the_validation_images_are_not_trained_on(digits):
    """Wrong labels on validation images must not reach the weights."""
    images = split_images(digits)
    labels = images.labels.copy()
    labels[images.indices("validation")] = (labels[images.indices("validation")] + 1) % 10
    right, wrong = train(images, SMALL), train(replace(images, labels=labels), SMALL)
    assert wrong.history[-1].validation_accuracy < 0.2 < right.history[-1].validation_accuracy
    assert wrong.history[-1].train_loss == right.history[-1].train_loss


@pytest.mark.slow
def test_the_settings_that_were_used_are_returned(digits):
    training = train(digits, TrainingSettings(hidden=(8,), epochs=1))
    assert training.settings.batch_size == 64
    assert training.settings.dropout_position == "after"
    assert training.classifier.metadata.settings["hidden"] == [8]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3])
def test_a_set_smaller_than_a_batch_is_trained_on(class_folders, seed):
    """With two validation images, statistics of as few training images, all of one class, would spoil the network."""
    training = train(load_images(class_folders), TrainingSettings(hidden=(8,), epochs=30, seed=seed))
    assert training.history[-1].train_accuracy > 0.9


@pytest.mark.slow
def test_colour_images_are_trained_on(photograph_folders):
    for folder in photograph_folders:
        training = train(load_images(folder, image_size=(14, 14)), TrainingSettings(hidden=(8,), epochs=2))
        assert training.model.input_shape == (None, 14, 14, 3)
        assert training.classifier.metadata.parity.max_difference < 1e-5


def test_too_few_images_are_refused(class_folders):
    for path in sorted((class_folders / "light").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match="expected 3 or more"):
        train(load_images(class_folders), SMALL)


@pytest.mark.slow
def test_training_stops_early_when_nothing_improves(digits):
    settings = replace(SMALL, epochs=40, patience=3, learning_rate=1e-9, schedule="constant")
    training = train(digits, settings)
    assert len(training.history) == 4
    assert not training.was_stopped
    assert training.history[-1].epoch - 3 == 1


@pytest.mark.slow
def test_the_order_of_the_images_does_not_matter(digits):
    """As where the same images come as an array and as files."""
    order = np.random.default_rng(5).permutation(len(digits))
    arrays = {name: getattr(digits, name)[order] for name in ("images", "labels", "split", "hashes")}
    shuffled = replace(digits, **arrays, sources=[digits.sources[row] for row in order])
    settings = replace(SMALL, batch_norm=True, outliers=0.25)
    first, other = (train(images, settings).classifier for images in (digits, shuffled))
    for (weights, biases), (other_weights, other_biases) in zip(first.layers, other.layers, strict=True):
        # Means over rows are summed in another order
        np.testing.assert_allclose(other_weights, weights, atol=1e-4)
        np.testing.assert_allclose(other_biases, biases, atol=1e-4)


@pytest.mark.slow
def test_a_set_larger_than_a_chunk_trains_the_same_way_twice(digits, monkeypatch):
    monkeypatch.setattr(loader, "MAX_BYTES_IN_MEMORY", 400 * 28 * 28)
    settings = replace(SMALL, epochs=5)
    first, again = train(digits, settings), train(digits, settings)
    assert first.classifier._data == again.classifier._data
    assert first.history[-1].validation_accuracy > 0.8


@pytest.mark.slow
def test_accurate_is_better_than_fast_where_images_are_few(digits):
    chosen = (TrainingSettings(recipe=recipe, hidden=(128, 64)) for recipe in ("fast", "accurate"))
    fast, accurate = (train(digits, settings) for settings in chosen)
    losses = [training.history[training.best_epoch - 1].validation_loss for training in (fast, accurate)]
    assert losses[1] < losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_fast_recipe_reads_98_percent_of_mnists_test_images(data_folder, seed):
    training = train(load_images("mnist"), TrainingSettings(seed=seed))
    test = training.images.subset("test")
    predicted = training.classifier.probabilities(test.images).argmax(axis=1)
    assert np.mean(predicted == test.labels) >= 0.98
    parity = training.classifier.metadata.parity
    assert parity.num_images == len(training.images.indices("validation"))
    assert parity.max_difference < 1e-5
    assert parity.num_other_classes == 0
    assert training.model.count_params() == 1_022_490


@pytest.mark.slow
def test_dropout_narrows_the_gap_between_training_and_unseen_images(data_folder):
    """The tutorial's second claim, on few images and many passes, where overfitting shows."""
    mnist = load_images("mnist")
    few = np.concatenate([mnist.indices("train")[:3000], mnist.indices("test")[:1000]])
    rows = {name: getattr(mnist, name)[few] for name in ("images", "labels", "split", "hashes")}
    images = replace(mnist, **rows, sources=[mnist.sources[row] for row in few])
    gaps = []
    for dropout in (0.0, 0.5):
        last = train(
            images, TrainingSettings("fast", epochs=15, validation=0.3, dropout=dropout, batch_norm=False)
        ).history[-1]
        gaps.append(last.validation_loss - last.train_loss)
    assert gaps[1] < gaps[0]


@pytest.mark.slow
def test_dark_images_on_a_light_ground_are_learned_as_well(digits):
    """Without normalization the bright background, equal in all images, hides what differs."""
    dark = replace(digits, images=255 - np.asarray(digits.images))
    best = [
        max(epoch.validation_accuracy for epoch in train(images, replace(SMALL, batch_norm=True, epochs=6)).history)
        for images in (digits, dark)
    ]
    assert best[1] > best[0] - 0.05
    without = train(dark, replace(SMALL, epochs=6)).history
    assert max(epoch.validation_accuracy for epoch in without) < best[1]


@pytest.mark.slow
def test_a_training_that_diverges_is_no_success(digits):
    with pytest.raises(
        TinysightError, match="diverged in epoch 1: the loss is NaN or infinite; lower the learning rate"
    ):
        train(digits, replace(SMALL, learning_rate=10, weight_decay=10, epochs=3))


def test_the_loss_of_certain_and_right_answers_is_no_negative_zero():
    certain, labels = np.eye(3, dtype=np.float32), np.arange(3)
    assert (f"{log_loss(certain, labels):.4f}", accuracy(certain, labels)) == ("0.0000", 1.0)
