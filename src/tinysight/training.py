"""Trains a network and keeps its best epoch; does not know files, commands or test images.

Training and validation images are both scored in inference mode after each epoch.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import sqrt
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from .calibration import fit_temperature, reject_threshold
from .chunks import ShuffledChunks
from .classifier import Classifier
from .images import ImageSet, leading_bytes
from .modelfile import FORMAT, build_graph
from .models import BUILDERS
from .outliers import draw_outliers
from .settings import TrainingSettings, default_dropout_position
from .splits import split_images

import keras  # isort: skip - after models, which keeps what TensorFlow prints when imported off the terminal
import tensorflow as tf  # isort: skip
from .engine import batches, compile_scoring, compile_training  # isort: skip

NUM_OUTLIERS = 8_000  # drawn once; augmentation makes more of them
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
        was_stopped: Whether it was asked to stop before its last epoch.
    """

    classifier: Classifier
    model: keras.Model
    history: list[EpochResult]
    best_epoch: int
    settings: TrainingSettings
    images: ImageSet
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
    history, best_epoch, was_stopped = _fit(model, images, settings, on_epoch, should_stop)
    _calibrate(model, images)
    classifier = to_classifier(model, images, settings)
    return Training(classifier, model, history, best_epoch, settings, images, was_stopped)


def to_classifier(model: keras.Model, images: ImageSet, settings: TrainingSettings) -> Classifier:
    """Turn a trained dense network into a classifier, and measure how far the two are apart.

    Args:
        model: The network; dropout plays no part in prediction.
        images: What it was trained on.
        settings: How it was trained.
    """
    weights = model.get_weights()
    trained_on = np.concatenate([images.indices(split) for split in ("train", "validation")])
    metadata = {
        "tinysight_format": FORMAT,
        "class_names": list(images.class_names),
        "framing": asdict(images.framing),
        "data": {"name": images.name, "sha256": images.data_hash},
        "settings": asdict(settings),
    }
    if len(trained_on) <= MAX_STORED_HASHES:
        leading = leading_bytes(images.hashes[trained_on])
        metadata["training_hashes"] = b64encode(leading.astype(">u4").tobytes()).decode()
    dense_layers = list(zip(weights[::2], weights[1::2], strict=True))
    classifier = Classifier(build_graph(images.framing.image_shape, dense_layers, metadata))
    return classifier.with_metadata(
        parity=measure_parity(model, classifier, images.part("test").images),
        reject_below=reject_threshold(classifier.probabilities(images.part("validation").images)),
    )


def _calibrate(model: keras.Model, images: ImageSet) -> None:
    """Divide the last layer's weights by the temperature that suits the validation images best; no class changes."""
    validation = images.part("validation")
    scores = [model(batch / np.float32(255), training=False) for batch in batches(validation.images)]
    temperature = fit_temperature(np.concatenate(scores), validation.labels)
    last = [layer for layer in model.layers if layer.weights][-1]
    last.set_weights([weights / np.float32(temperature) for weights in last.get_weights()])


def measure_parity(model: keras.Model, classifier: Classifier, images: NDArray[np.uint8]) -> dict[str, float]:
    """Compare what Keras and ONNX Runtime make of the same uint8 images ``(num_images, *image_shape)``.

    Returns:
        The number of images, the largest difference of a probability, and how often the best class differs.
    """
    ours = classifier.probabilities(images)
    theirs = np.concatenate([model(batch / np.float32(255), training=False) for batch in batches(images)])
    return {
        "num_images": len(images),
        "max_difference": float(np.abs(ours - theirs).max()),
        "num_other_classes": int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum()),
    }


def _fit(
    model: keras.Model,
    images: ImageSet,
    settings: TrainingSettings,
    on_epoch: Callable[[EpochResult], None] | None,
    should_stop: Callable[[], bool] | None,
) -> tuple[list[EpochResult], int, bool]:
    """Train the model, leave it with the weights of its best epoch, and tell: history, best epoch, was it stopped."""
    training_rows, validation_rows = images.indices("train"), images.indices("validation")
    rng = np.random.default_rng(settings.seed)
    sample_rows = np.sort(rng.choice(training_rows, min(len(validation_rows), len(training_rows)), replace=False))
    chunks = ShuffledChunks(images, training_rows, settings.batch_size or 1)
    epochs = settings.epochs or 1
    averaged = model
    if settings.ema_momentum:
        averaged = keras.models.clone_model(model)
        averaged.set_weights(model.get_weights())
    outliers = None
    if settings.outliers:
        examples = images.images[np.sort(rng.choice(training_rows, min(1_000, len(training_rows)), replace=False))]
        outliers = draw_outliers(examples, NUM_OUTLIERS, settings.seed)
    train_on = compile_training(model, averaged, settings, epochs * chunks.num_chunks * chunks.steps, outliers)
    score = compile_scoring(averaged)
    history: list[EpochResult] = []
    kept = BestEpoch(len(validation_rows))
    for epoch in range(1, epochs + 1):
        start = perf_counter()
        for chunk, order in chunks.epoch(rng):
            train_on(chunk, order, int(rng.integers(2**31)))
        train_loss, train_accuracy = score(images, sample_rows)
        loss, accuracy = score(images, validation_rows)
        history.append(EpochResult(epoch, train_loss, train_accuracy, loss, accuracy, perf_counter() - start))
        kept.offer(epoch, accuracy, averaged)
        if on_epoch:
            on_epoch(history[-1])
        if settings.patience and epoch - kept.epoch_of_highest >= settings.patience:
            break
        if epoch < epochs and should_stop and should_stop():
            return history, kept.restore(model), True
    return history, kept.restore(model), False


class BestEpoch:
    """The weights of the latest epoch whose validation accuracy is within one standard error of the highest."""

    def __init__(self, num_validation_images: int) -> None:
        """Take the number of images on which accuracies are measured."""
        self._num_images, self._highest = num_validation_images, -1.0
        self._epoch, self._weights = 0, [np.empty(0)]
        self.epoch_of_highest = 0

    def offer(self, epoch: int, accuracy: float, model: keras.Model) -> None:
        """Keep the model's weights if they deserve it."""
        if accuracy > self._highest:
            self._highest, self.epoch_of_highest = accuracy, epoch
        if accuracy >= self._highest - standard_error(self._highest, self._num_images):
            self._epoch, self._weights = epoch, model.get_weights()

    def restore(self, model: keras.Model) -> int:
        """Give the model the weights that were kept, and return their epoch."""
        model.set_weights(self._weights)
        return self._epoch


def standard_error(accuracy: float, num_images: int) -> float:
    """Return the standard error of an accuracy measured on so many images.

    Source: L. Breiman et al., "Classification and Regression Trees" (1984), for choosing within one standard error.
    """
    return sqrt(accuracy * (1 - accuracy) / num_images)
