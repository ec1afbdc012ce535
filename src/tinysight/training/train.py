"""Trains a network and keeps its best epoch; does not know files, commands or test images.

Training and validation images are both scored in inference mode after each epoch.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import isfinite, sqrt
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.dataset import ImageSet, leading_bytes
from ..data.splits import split_images
from ..errors import TinysightError
from ..onnx_file import DataSource, ModelMetadata, Parity, build_model
from .calibration import fit_temperature, reject_threshold, temper
from .loader import ShuffledChunks
from .networks import BUILDERS
from .outliers import draw_outliers
from .settings import TrainingSettings, default_dropout_position

import keras  # isort: skip - after models, which keeps what TensorFlow prints when imported off the terminal
import tensorflow as tf  # isort: skip
from .step import Predict, compile_folding, compile_prediction, compile_training  # isort: skip

NUM_OUTLIERS = 8_000  # drawn once; augmentation makes more of them
MAX_FOLDING_IMAGES = 10_000  # on whose statistics the network relies that was trained with batch normalization
MAX_STORED_HASHES = 200_000  # of training images in a classifier, to know them again: 1 MB


@dataclass(frozen=True)
class EpochResult:
    """Scores after one epoch, all in inference mode (no dropout).

    The training scores are of a fixed random sample of the training images, as many as there are validation images.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Training:
    """What a training gives.

    Attributes:
        classifier: The network of the best epoch with all that prediction needs.
        model: The same network for Keras: float32 images in 0…1 to probabilities.
        history: One entry an epoch.
        best_epoch: The epoch whose weights were kept, counted from 1: the latest whose validation accuracy is within
            one standard error of the highest. Of epochs that so few images cannot tell apart, the last is best.
        settings: What was used, with every default filled in.
        images: The images as they were split.
        test_probabilities: What the classifier makes of the test images, float32 ``(num_images, num_classes)``.
        was_stopped: Whether it was asked to stop before its last epoch.
    """

    classifier: Classifier
    model: keras.Model
    history: list[EpochResult]
    best_epoch: int
    settings: TrainingSettings
    images: ImageSet
    test_probabilities: NDArray[np.float32]
    was_stopped: bool


def train(
    images: ImageSet,
    settings: TrainingSettings | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Training:
    """Train a classifier; the same seed on the same machine gives the same weights, bit for bit.

    Sets the seeds of Python, NumPy and TensorFlow, and TensorFlow's deterministic mode, for the whole process.

    Args:
        images: The images; split by `split_images` with the settings' shares and seed where they are not yet.
        settings: What to do; by default the recipe ``fast``.
        on_epoch: Called after each epoch.
        should_stop: Asked after each epoch; true ends the training, and the best epoch so far counts.

    Returns:
        The classifier, and how it came about.

    Raises:
        DataError: There are too few images of a class.
        TinysightError: The loss is no longer a number.
    """
    settings = settings or TrainingSettings()
    images = split_images(images, settings.validation, settings.test, settings.seed)
    settings = settings.resolved(len(images.indices("train")), images.framing.method)
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    model = BUILDERS[settings.api](
        images.framing.image_shape, len(images.class_names), settings.hidden, settings.dropout or 0.0,
        settings.dropout_position or default_dropout_position(settings.api),
    )  # fmt: skip
    predict = compile_prediction(model)
    history, best, was_stopped = _fit(model, predict, images, settings, on_epoch, should_stop)
    model.set_weights(best.weights)
    reject_below = _calibrate(model, best.probabilities, images.subset("validation").labels)
    classifier = to_classifier(model, images, settings, reject_below=reject_below)
    test_probabilities = classifier.probabilities(images.subset("test").images)
    parity = measure_parity(test_probabilities, predict(images, images.indices("test")))
    classifier = classifier.with_metadata(parity=parity)
    return Training(classifier, model, history, best.epoch, settings, images, test_probabilities, was_stopped)


def to_classifier(model: keras.Model, images: ImageSet, settings: TrainingSettings, **entries: Any) -> Classifier:
    """Turn a trained dense network into a classifier.

    Args:
        model: The network; dropout plays no part in prediction.
        images: What it was trained on.
        settings: How it was trained.
        entries: More of its `ModelMetadata`.
    """
    weights = model.get_weights()
    trained_on = np.concatenate([images.indices(split) for split in ("train", "validation")])
    metadata = ModelMetadata(
        images.class_names, images.framing, DataSource(images.name, images.data_hash), asdict(settings), **entries
    )
    if len(trained_on) <= MAX_STORED_HASHES:
        metadata = replace(metadata, training_hashes=leading_bytes(images.hashes[trained_on]))
    dense_layers = list(zip(weights[::2], weights[1::2], strict=True))
    return Classifier(build_model(dense_layers, metadata))


def _calibrate(model: keras.Model, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Divide the last layer's weights by the temperature that suits some images best; no class changes.

    Args:
        model: The network.
        probabilities: What it makes of the validation images.
        labels: What they show.

    Returns:
        The probability below which a picture is to be rejected.
    """
    temperature = fit_temperature(probabilities, labels)
    last = [layer for layer in model.layers if layer.weights][-1]
    last.set_weights([weights / np.float32(temperature) for weights in last.get_weights()])
    return reject_threshold(temper(probabilities, temperature))


def measure_parity(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> Parity:
    """Compare ONNX Runtime's and Keras's probabilities of the same images, each ``(num_images, num_classes)``."""
    return Parity(
        num_images=len(ours),
        max_difference=float(np.abs(ours - theirs).max()),
        num_other_classes=int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum()),
    )


def _fit(
    model: keras.Model,
    predict: Predict,
    images: ImageSet,
    settings: TrainingSettings,
    on_epoch: Callable[[EpochResult], None] | None,
    should_stop: Callable[[], bool] | None,
) -> tuple[list[EpochResult], "BestEpoch", bool]:
    """Train the model; return its history, its best epoch, and whether it was stopped.

    Weights flow one way after each step and epoch: those that learn, their moving average, the average with batch
    normalization folded in, which is the model. Where one of these is not wanted, its network is the next one's.
    `predict` gives the model's probabilities.
    """
    averaged = _copy(model) if settings.batch_norm else model
    learner = _copy(averaged) if settings.ema_momentum else averaged
    training_rows, validation_rows = images.indices("train"), images.indices("validation")
    rng = np.random.default_rng(settings.seed)
    sample_rows = np.sort(rng.choice(training_rows, min(len(validation_rows), len(training_rows)), replace=False))
    chunks = ShuffledChunks(images, training_rows, settings.batch_size or 1)
    epochs = settings.epochs or 1
    outliers = None
    if settings.outliers:
        examples = images.images[np.sort(rng.choice(training_rows, min(1_000, len(training_rows)), replace=False))]
        outliers = draw_outliers(examples, NUM_OUTLIERS, settings.seed)
    train_on = compile_training(learner, averaged, settings, epochs * chunks.num_chunks * chunks.steps, outliers)
    fold = compile_folding(averaged, model) if settings.batch_norm else None
    folding_rows = sample_rows[:: -(-len(sample_rows) // MAX_FOLDING_IMAGES)]
    history: list[EpochResult] = []
    best = BestEpoch(len(validation_rows))
    for epoch in range(1, epochs + 1):
        start = perf_counter()
        for chunk, order in chunks.epoch(rng):
            train_on(chunk, order, int(rng.integers(2**31)))
        if fold:
            fold(images, folding_rows)
        train_loss, train_accuracy = score(predict(images, sample_rows), images.labels[sample_rows])
        probabilities = predict(images, validation_rows)
        loss, accuracy = score(probabilities, images.labels[validation_rows])
        if not isfinite(train_loss + loss):
            raise TinysightError(f"training diverged in epoch {epoch}: the loss is no number; lower the learning rate")
        history.append(EpochResult(epoch, train_loss, train_accuracy, loss, accuracy, perf_counter() - start))
        best.offer(epoch, accuracy, model, probabilities)
        if on_epoch:
            on_epoch(history[-1])
        if settings.patience and epoch - best.epoch_of_highest >= settings.patience:
            break
        if epoch < epochs and should_stop and should_stop():
            return history, best, True
    return history, best, False


def _copy(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


class BestEpoch:
    """The latest epoch whose validation accuracy is within one standard error of the highest.

    Attributes:
        epoch: Its number, counted from 1.
        epoch_of_highest: That of the highest accuracy.
        weights: The network's weights after it.
        probabilities: What the network then made of the validation images, float32 ``(num_images, num_classes)``.
    """

    def __init__(self, num_validation_images: int) -> None:
        """Take the number of images on which accuracies are measured."""
        self._num_images, self._highest = num_validation_images, -1.0
        self.epoch = self.epoch_of_highest = 0
        self.weights: list[NDArray[np.float32]] = []
        self.probabilities = np.empty((0, 0), np.float32)

    def offer(self, epoch: int, accuracy: float, model: keras.Model, probabilities: NDArray[np.float32]) -> None:
        """Keep what the epoch gave if it deserves it."""
        if accuracy > self._highest:
            self._highest, self.epoch_of_highest = accuracy, epoch
        if accuracy >= self._highest - standard_error(self._highest, self._num_images):
            self.epoch, self.weights, self.probabilities = epoch, model.get_weights(), probabilities


def score(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy of probabilities ``(num_images, num_classes)``."""
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    hits = probabilities.argmax(axis=1) == labels
    return float(-np.log(of_label.clip(keras.config.epsilon())).mean()) + 0.0, float(hits.mean())  # no negative zero


def standard_error(accuracy: float, num_images: int) -> float:
    """Return the standard error of an accuracy measured on so many images.

    Source: L. Breiman et al., "Classification and Regression Trees" (1984), for choosing within one standard error.
    """
    return sqrt(accuracy * (1 - accuracy) / num_images)
