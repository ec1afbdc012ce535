"""Trains a network as one compiled TensorFlow program per epoch; does not know files, commands or test images.

The uint8 images stay in memory as they are; the program gathers, scales and trains. Both training and validation
images are scored in inference mode after each epoch, and the weights of the best epoch are kept.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import sqrt
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .images import ImageSet, leading_bytes
from .modelfile import FORMAT, build_graph
from .models import BUILDERS
from .settings import TrainingSettings, default_dropout_position
from .splits import split_images

import keras  # isort: skip - after models, which keeps what TensorFlow prints when imported off the terminal
import tensorflow as tf  # isort: skip

WARMUP_SHARE = 0.3  # of all steps, in which one-cycle's rate rises
SCORING_BATCH_SIZE = 1_000
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


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that rises in a straight line to its peak, and falls in another to nearly nothing.

    Source: L. N. Smith, N. Topin, "Super-Convergence", https://arxiv.org/abs/1708.07120.
    """

    def __init__(self, peak: float, num_steps: int) -> None:
        """Reach `peak` after `WARMUP_SHARE` of `num_steps`."""
        self.peak, self.num_steps = peak, num_steps

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0: that of the step's middle, so that even a single one trains."""
        done = (tf.cast(step, tf.float32) + 0.5) / self.num_steps
        return self.peak * tf.minimum(done / WARMUP_SHARE, (1 - done) / (1 - WARMUP_SHARE))

    def get_config(self) -> dict[str, float]:
        """Return the arguments, as Keras asks."""
        return {"peak": self.peak, "num_steps": self.num_steps}


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
    settings = settings.resolved(len(images.indices("train")))
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    model = BUILDERS[settings.api](
        images.framing.image_shape, len(images.class_names), settings.hidden, settings.dropout,
        settings.dropout_position or default_dropout_position(settings.api),
    )  # fmt: skip
    history, best_epoch, was_stopped = _fit(model, images, settings, on_epoch, should_stop)
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
    trained_on = np.concatenate([images.hashes[images.indices(split)] for split in ("train", "validation")])
    metadata = {
        "tinysight_format": FORMAT,
        "class_names": list(images.class_names),
        "framing": asdict(images.framing),
        "data": {"name": images.name, "sha256": images.data_hash},
        "settings": asdict(settings),
    }
    if len(trained_on) <= MAX_STORED_HASHES:
        metadata["training_hashes"] = b64encode(leading_bytes(trained_on).astype(">u4").tobytes()).decode()
    dense_layers = list(zip(weights[::2], weights[1::2], strict=True))
    classifier = Classifier(build_graph(images.framing.image_shape, dense_layers, metadata))
    return classifier.with_metadata(parity=measure_parity(model, classifier, images.part("test").images))


def measure_parity(model: keras.Model, classifier: Classifier, images: NDArray[np.uint8]) -> dict[str, float]:
    """Compare what Keras and ONNX Runtime make of the same uint8 images ``(num_images, *image_shape)``.

    Returns:
        The number of images, the largest difference of a probability, and how often the best class differs.
    """
    ours = classifier.probabilities(images)
    theirs = np.concatenate([model(batch / np.float32(255), training=False) for batch in _batches(images)])
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
    epochs, batch_size = settings.epochs or 1, min(settings.batch_size or 1, len(training_rows))
    steps = len(training_rows) // batch_size  # images left over in one epoch have their turn in another
    run_epoch = _compile_epoch(model, _optimizer(settings, epochs * steps))
    score = _compile_scoring(model)
    pixels, labels = tf.constant(images.images), tf.constant(images.labels, tf.int32)
    rng = np.random.default_rng(settings.seed)
    sample_rows = rng.choice(training_rows, min(len(validation_rows), len(training_rows)), replace=False)
    history: list[EpochResult] = []
    highest, best_epoch, best_weights = 0.0, 0, []
    for epoch in range(1, epochs + 1):
        start = perf_counter()
        order = rng.permutation(training_rows)[: steps * batch_size].reshape(steps, batch_size)
        run_epoch(pixels, labels, tf.constant(order, tf.int32), tf.constant(rng.integers(2**31), tf.int32))
        train_loss, train_accuracy = score(pixels, labels, sample_rows)
        loss, accuracy = score(pixels, labels, validation_rows)
        history.append(EpochResult(epoch, train_loss, train_accuracy, loss, accuracy, perf_counter() - start))
        highest = max(highest, accuracy)
        if accuracy >= highest - standard_error(highest, len(validation_rows)):
            best_epoch, best_weights = epoch, model.get_weights()
        if on_epoch:
            on_epoch(history[-1])
        if epoch < epochs and should_stop and should_stop():
            break
    model.set_weights(best_weights)
    return history, best_epoch, len(history) < epochs


def standard_error(accuracy: float, num_images: int) -> float:
    """Return the standard error of an accuracy measured on so many images.

    Source: L. Breiman et al., "Classification and Regression Trees" (1984), for choosing within one standard error.
    """
    return sqrt(accuracy * (1 - accuracy) / num_images)


def _optimizer(settings: TrainingSettings, num_steps: int) -> keras.optimizers.Optimizer:
    rate = settings.learning_rate or 0.001
    return keras.optimizers.Adam(OneCycle(rate, num_steps) if settings.schedule == "one-cycle" else rate)


def _compile_epoch(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., None]:
    """Return the program that trains on rows ``order``, int32 ``(steps, batch_size)``, of images and labels."""
    optimizer.build(model.trainable_variables)
    num_classes = model.output_shape[-1]

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def run_epoch(images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, seed: tf.Tensor) -> None:
        for step in tf.range(tf.shape(order)[0]):
            batch = tf.cast(tf.gather(images, order[step]), tf.float32) / 255
            targets = tf.one_hot(tf.gather(labels, order[step]), num_classes)
            with tf.GradientTape() as tape:
                probabilities = _forward_in_training(model, batch, [seed, step])
                loss = tf.reduce_mean(keras.losses.categorical_crossentropy(targets, probabilities))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)

    return run_epoch  # type: ignore[no-any-return]


def _forward_in_training(model: keras.Model, x: tf.Tensor, seed: list[tf.Tensor]) -> tf.Tensor:
    """Run the layers one after the other, with dropout.

    Keras's Dropout draws from Philox, which XLA compiles so badly for CPUs that an epoch takes 17 times as long;
    Threefry costs a twentieth of the epoch.
    """
    for number, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout):
            bits = tf.random.stateless_uniform(
                tf.shape(x), [seed[0], seed[1] * len(model.layers) + number], alg="threefry"
            )
            x = tf.where(bits < layer.rate, 0.0, x / (1 - layer.rate))
        elif not isinstance(layer, keras.layers.InputLayer):
            x = layer(x)
    return x


def _compile_scoring(model: keras.Model) -> Callable[..., tuple[float, float]]:
    """Return a function that gives mean loss and accuracy of rows of images and labels, in inference mode."""

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.int64),
        ]
    )
    def score_batch(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        targets = tf.gather(labels, rows)
        probabilities = model(tf.cast(tf.gather(images, rows), tf.float32) / 255, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(targets, probabilities)
        hits = tf.argmax(probabilities, axis=1, output_type=tf.int32) == targets
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(hits, tf.float32))])

    def score(images: tf.Tensor, labels: tf.Tensor, rows: NDArray[np.int64]) -> tuple[float, float]:
        sums = [score_batch(images, labels, tf.constant(batch)).numpy() for batch in _batches(rows)]
        loss, hits = (float(total) for total in np.asarray(sums, np.float64).sum(axis=0))
        return loss / len(rows), hits / len(rows)

    return score


def _batches(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(rows), SCORING_BATCH_SIZE):
        yield rows[start : start + SCORING_BATCH_SIZE]
