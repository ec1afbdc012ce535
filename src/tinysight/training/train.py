"""train(): epochs, best epoch, calibration, classifier.

Training and validation images are both scored in inference mode after each epoch. Test images are never looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.dataset import ImageSet, Progress as ReportProgress, hash_numbers
from ..data.loading import load_images
from ..data.splits import split_images
from ..errors import TinysightError
from ..onnx_file import DataSource, ModelMetadata, Parity, PretrainedWeights, build_model
from .builders import build_trained
from .calibration import apply_temperature, fit_temperature, rejection_threshold
from .checkpoint import Checkpoint
from .network_choice import choose_network, photograph_size
from .onnx_writer import operations_and_weights
from .pretrained import PretrainedNetwork, predict
from .pretrained_weights import LICENCE, ORIGIN, SHA256
from .scores import accuracy, log_loss
from .settings import ResolvedSettings, TrainingSettings, as_recorded

import keras  # isort: skip - after networks, which keeps TensorFlow's messages on import off the terminal
import tensorflow as tf  # isort: skip
from .learner import Learner, TrainingData  # isort: skip
from .progress import BestEpoch, EpochResult, Progress  # isort: skip

# Validation images on which ONNX Runtime is compared with Keras, which runs convolutions slowly
MAX_PARITY_IMAGES = {"dense": 10_000, "convolutional": 1_000, "pretrained": 8}
MAX_STORED_HASHES = 200_000  # of training images in a classifier, to recognize them: 2 MB


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
        classifier: The network of the best epoch with all that prediction needs.
        model: The same network for Keras: float32 images in 0…1 to probabilities.
        history: One entry for each epoch.
        best_epoch: The epoch whose weights were kept, counted from 1: the latest whose validation accuracy is within
            one standard error of the highest. The validation images cannot tell such epochs apart; the last one has
            the lowest learning rate.
        settings: The settings used, with every default filled in.
        images: The images as they were split.
        was_stopped: Whether `should_stop` ended it before its last epoch.
        has_diverged: Whether it ended because the loss of the next epoch was NaN or infinite.
    """

    classifier: Classifier
    model: keras.Model
    history: list[EpochResult]
    best_epoch: int
    settings: ResolvedSettings
    images: ImageSet
    was_stopped: bool
    has_diverged: bool = False


def train(
    images: Any,
    settings: TrainingSettings | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    checkpoint: Checkpoint | None = None,
    weights: Path | None = None,
    progress: ReportProgress | None = None,
    hold_out_test: bool = True,
) -> Training:
    """Train a classifier; the same seed on the same machine gives the same weights, bit for bit.

    Sets the seeds of Python, NumPy and TensorFlow, and TensorFlow's deterministic mode, for the whole process.

    Args:
        images: The images; or whatever `load_images` takes, such as ``(images, labels)``. Where they are not split yet,
            `split_images` splits them by the settings' shares and seed.
        settings: The settings; by default those of the recipe ``fast``.
        on_epoch: Called after each epoch.
        should_stop: Called after each epoch; if it returns true, training ends and the best epoch so far is kept.
        checkpoint: Where its state is kept after an epoch, so that a later call with the same arguments goes on there.
        weights: The file of pretrained weights; by default that of the package of the extra ``photos``.
        progress: Called while features are computed, where the network is pretrained.
        hold_out_test: Whether images are kept for testing, where the set has no test images.

    Returns:
        The classifier, the Keras model, and how they were trained.

    Raises:
        DataError: There are too few images of a class, or the pretrained weights cannot be read.
        MissingExtraError: The network ``pretrained`` is asked for, and its weights are not installed.
        SettingsError: The settings contradict each other.
        TinysightError: The loss is NaN or infinite after the first epoch; later, the epochs before are kept.
    """
    # Data and settings
    settings = settings or TrainingSettings()
    if not isinstance(images, ImageSet):
        images = load_images(images, photograph_size=photograph_size(settings.network, weights))
    test = settings.test if hold_out_test else 0
    images = split_images(images, settings.validation, test, settings.seed, settings.group)
    network = choose_network(settings, images.framing, weights).name
    resolved = replace(settings, network=network).resolved(len(images.indices("train")), images.framing.method)
    # Network
    keras.utils.set_random_seed(resolved.seed)
    tf.config.experimental.enable_op_determinism()
    pretrained = PretrainedNetwork(images.framing.image_shape, weights) if network == "pretrained" else None
    trained_on = pretrained.with_features(images, progress) if pretrained else images
    model = build_trained(images, resolved)
    data = TrainingData(trained_on, resolved)
    learner = Learner(model, resolved, data.num_steps, data.outliers)
    # Epochs
    done = Progress(BestEpoch(len(images.indices("validation"))))
    if checkpoint and (state := checkpoint.read(resolved, data.images)):
        done.restore(state, learner, data)
    _fit(done, learner, data, resolved, on_epoch, should_stop, checkpoint)
    # Best weights, calibrated
    best = done.best
    model.set_weights(best.weights)
    validation_rows = images.indices("validation")
    temperature, reject_below = _calibrate(model, best.probabilities, images.labels[validation_rows])
    # The classifier, and how closely ONNX Runtime agrees with Keras
    model = pretrained.joined(model) if pretrained else model
    classifier = to_classifier(model, images, resolved, temperature=temperature, reject_below=reject_below)
    num_compared = min(len(validation_rows), MAX_PARITY_IMAGES[network])
    # Evenly spaced rows, since images are often sorted by class
    some_rows = validation_rows[np.linspace(0, len(validation_rows) - 1, num_compared).astype(int)]
    some = images.rows(some_rows).images
    by_keras = predict(model, some) if pretrained else learner.predict(images, some_rows)
    parity = measure_parity(classifier.probabilities(some), by_keras)
    classifier = classifier.with_metadata(parity=parity)
    return Training(classifier, model, done.history, best.epoch, resolved, images, done.was_stopped, done.has_diverged)


def to_classifier(model: keras.Model, images: ImageSet, settings: ResolvedSettings, **entries: Any) -> Classifier:
    """Turn a trained network into a classifier.

    Args:
        model: The network; dropout layers are left out.
        images: The images it was trained on.
        settings: The settings it was trained with.
        entries: Further attributes of its `ModelMetadata`.
    """
    trained_on = np.concatenate([images.indices(split) for split in ("train", "validation")])
    metadata = ModelMetadata(
        images.class_names, images.framing, DataSource(images.name, images.data_hash), as_recorded(settings), **entries
    )
    if settings.network == "pretrained":
        metadata = replace(metadata, pretrained=PretrainedWeights(ORIGIN, LICENCE, SHA256))
    if len(trained_on) <= MAX_STORED_HASHES:
        metadata = replace(metadata, training_hashes=hash_numbers(images.hashes[trained_on]))
    network, layers = operations_and_weights(model)
    return Classifier(build_model(layers, metadata, network))


def _calibrate(
    model: keras.Model, probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[float, float]:
    """Divide the last layer's weights by the fitted temperature; predicted classes stay.

    Args:
        model: The network.
        probabilities: Its probabilities of the validation images, float32 ``(num_images, num_classes)``.
        labels: Their labels, int ``(num_images,)``.

    Returns:
        The temperature, and the rejection threshold.
    """
    temperature = fit_temperature(probabilities, labels)
    last = [layer for layer in model.layers if layer.weights][-1]
    last.set_weights([weights / np.float32(temperature) for weights in last.get_weights()])
    return temperature, rejection_threshold(apply_temperature(probabilities, temperature))


def measure_parity(onnx: NDArray[np.float32], keras_model: NDArray[np.float32]) -> Parity:
    """Compare ONNX Runtime's and Keras's probabilities of the same images, each ``(num_images, num_classes)``."""
    return Parity(
        num_images=len(onnx),
        max_difference=float(np.abs(onnx - keras_model).max()),
        num_other_classes=int((onnx.argmax(axis=1) != keras_model.argmax(axis=1)).sum()),
    )


def _fit(
    progress: Progress,
    learner: Learner,
    data: TrainingData,
    settings: ResolvedSettings,
    on_epoch: Callable[[EpochResult], None] | None,
    should_stop: Callable[[], bool] | None,
    checkpoint: Checkpoint | None,
) -> None:
    """Train the network from where it is to its last epoch, or to one after which it has to end."""
    for epoch in range(len(progress.history) + 1, settings.epochs + 1):
        if epoch > 1 and epoch - 1 - progress.best.epoch_of_highest >= settings.patience:
            break
        # Train and score
        start = perf_counter()
        learner.train_epoch(data)
        result, probabilities = _score(learner, data, epoch, start)
        if not isfinite(result.train_loss + result.validation_loss):
            if epoch == 1:
                reason = "the loss is NaN or infinite; lower the learning rate"
                raise TinysightError(f"training diverged in epoch {epoch}: {reason}")
            progress.has_diverged = True
            break
        # Keep the best, report, and stop early
        progress.history.append(result)
        progress.best.offer(result, learner.model, probabilities)
        if on_epoch:
            on_epoch(result)
        if epoch < settings.epochs and should_stop and should_stop():
            progress.was_stopped = True
            break
        if checkpoint and epoch < settings.epochs and checkpoint.is_due():
            checkpoint.write(progress.state(learner, data), settings, data.images)


def _score(learner: Learner, data: TrainingData, epoch: int, start: float) -> tuple[EpochResult, NDArray[np.float32]]:
    """Return the scores after an epoch, and the probabilities of the validation images."""
    images, sample_rows, validation_rows = data.images, data.sample_rows, data.images.indices("validation")
    sample_probabilities = learner.predict(images, sample_rows)
    probabilities = learner.predict(images, validation_rows)
    result = EpochResult(
        epoch,
        train_loss=log_loss(sample_probabilities, images.labels[sample_rows]),
        train_accuracy=accuracy(sample_probabilities, images.labels[sample_rows]),
        validation_loss=log_loss(probabilities, images.labels[validation_rows]),
        validation_accuracy=accuracy(probabilities, images.labels[validation_rows]),
        seconds=perf_counter() - start,
    )
    return result, probabilities
