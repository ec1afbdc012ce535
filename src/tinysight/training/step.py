"""The training step as one compiled TensorFlow program: augmentation, loss, Adam, batch normalization.

A whole chunk of images is one call of the program, which loops over the steps. The network is the stock Keras model.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from .augmentation import augment
from .batch_norm import normalize
from .convolutional_step import forward_convolutional
from .loader import Chunk, read_rows
from .random_streams import Purpose, StepSeed, uniform
from .settings import ResolvedSettings

# Over the last 30 % of the steps augmentation fades out to 30 %, because the images to predict are not augmented.
FADING_SHARE, FINAL_AMOUNT = 0.3, 0.3
PROBE_LENGTH = 0.1  # norm of the probe that finds an adversarial direction: small, yet far above float32's rounding
PREDICTION_BATCH_SIZE = 1_000
WARMUP_SHARE = 0.2  # of all steps, over which the one-cycle rate rises
# Adam's decay rates. With a learning rate that falls to zero, shorter averages learn faster: see docs/experiments.md.
# With a constant one they are Keras's own.
BETAS = {"one-cycle": (0.85, 0.98), "cosine": (0.85, 0.98), "constant": (0.9, 0.999)}
EPSILON = 1e-7  # Keras's own


def compile_training(
    model: keras.Model,
    averaged: keras.Model,
    settings: ResolvedSettings,
    num_steps: int,
    outliers: NDArray[np.uint8] | None = None,
    optimizer: "Adam | None" = None,
) -> Callable[[Chunk, NDArray[np.int32], int, NDArray[np.float32]], None]:
    """Compile the training program.

    Args:
        model: The network to train.
        averaged: The network that takes the moving average of its weights; the same network for no average.
        settings: The settings.
        num_steps: Number of steps in the whole training, for the schedules.
        outliers: Out-of-distribution images, uint8 ``(num_outliers, *image_shape)``; some are added to each step.
        optimizer: The optimizer of the model's weights; by default a new one.

    Returns:
        A function that trains on a chunk. It takes the chunk, the order of its images, int32 ``(steps, batch_size)``,
        a seed, and a factor for each class's losses, float32 ``(num_classes,)``, used with the class weight
        ``balanced``.
    """
    optimizer = optimizer or Adam(model.trainable_variables, settings, num_steps)
    num_classes = model.output_shape[-1]
    outlier_images = tf.constant([] if outliers is None else outliers)
    num_outliers = 0 if outliers is None else settings.num_outliers

    has_convolutions = settings.network == "convolutional"
    compiled = partial(tf.function, autograph=False, jit_compile=True)
    # XLA takes the whole step, but for convolutions and poolings: TensorFlow's own are faster, see docs/experiments.md.
    # It then still draws the random numbers, which it alone can, and augments
    draw, change = (compiled(uniform), compiled(augment)) if has_convolutions else (uniform, augment)
    forward = _forward_function(model, settings, draw)

    def train_step(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, seed: StepSeed, weights: tf.Tensor) -> None:
        # Batch: images and one-hot labels, outliers with equal probabilities for all classes
        batch, targets = tf.gather(images, rows), tf.one_hot(tf.gather(labels, rows), num_classes)
        if num_outliers:
            chosen = draw([num_outliers], seed, Purpose.OUTLIERS) * outlier_images.shape[0]
            batch = tf.concat([batch, tf.gather(outlier_images, tf.cast(chosen, tf.int32))], axis=0)
            targets = tf.concat([targets, tf.fill([num_outliers, num_classes], 1 / num_classes)], axis=0)
        # Augmentation; features are numbers already, and stay as they are
        if batch.dtype == tf.uint8:
            batch = change(batch, settings.augmentation, seed, _augmentation_amount(optimizer.step, num_steps))
        # Loss and gradients
        with tf.GradientTape() as tape:
            probabilities = forward(batch, seed)
            loss = keras.losses.categorical_crossentropy(
                targets, probabilities, label_smoothing=settings.label_smoothing
            )
            if settings.class_weight == "balanced":  # images of no class, which come last, count as before
                loss *= tf.concat([tf.gather(weights, tf.gather(labels, rows)), tf.ones([num_outliers])], axis=0)
            if settings.adversarial:
                loss += _virtual_adversarial_loss(forward, batch, settings.adversarial, seed)
            loss = tf.reduce_mean(loss)
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        if averaged is not model:
            _update_average(averaged, model, settings.ema_momentum)

    @tf.function(jit_compile=not has_convolutions, autograph=False)  # type: ignore[untyped-decorator]
    def train_on(images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, seed: tf.Tensor, weights: tf.Tensor) -> None:
        def body(step: tf.Tensor) -> tf.Tensor:
            train_step(images, labels, order[step], StepSeed(seed, step), weights)
            return step + 1

        tf.while_loop(lambda step: step < order.shape[0], body, [tf.constant(0)])

    return lambda chunk, order, seed, weights: train_on(
        *map(tf.constant, (chunk.images, chunk.labels, order)), tf.constant(seed, tf.int32), tf.constant(weights)
    )


def _forward_function(
    model: keras.Model, settings: ResolvedSettings, draw: Callable[..., tf.Tensor]
) -> Callable[..., tf.Tensor]:
    """Return what runs the network in training mode on a batch; without a step's seed there is no dropout."""
    if settings.network == "convolutional":
        return lambda batch, seed: forward_convolutional(model, batch, settings, draw, seed)
    return lambda batch, seed=None: _forward_in_training(model, batch, settings, seed)


def _update_average(averaged: keras.Model, model: keras.Model, momentum: float) -> None:
    """Move the averaged weights a little towards the model's: an exponential moving average."""
    for average, weight in zip(averaged.trainable_variables, model.trainable_variables, strict=True):
        average.assign(momentum * average + (1 - momentum) * weight)


def _augmentation_amount(step: tf.Tensor, num_steps: int) -> tf.Tensor:
    """Return the factor for the size of augmentation at a step, 0…1."""
    left = 1 - tf.cast(step, tf.float32) / num_steps
    return FINAL_AMOUNT + (1 - FINAL_AMOUNT) * tf.minimum(left / FADING_SHARE, 1.0)


def _forward_in_training(
    model: keras.Model, x: tf.Tensor, settings: ResolvedSettings, seed: StepSeed | None
) -> tf.Tensor:
    """Run the layers in training mode: with batch normalization if set, and with dropout if there is a seed.

    Keras's Dropout layers are not called: they draw from Philox, see `random_streams`.
    """
    rates = [settings.input_dropout] + [getattr(layer, "rate", 0.0) for layer in model.layers]
    layers = [None, *model.layers]
    normalized = hidden_layers(model) if settings.batch_norm else []
    for number, (layer, rate) in enumerate(zip(layers, rates, strict=True)):
        if rate and seed:
            draws = uniform(tf.shape(x), seed, Purpose.DROPOUT, layer=number)
            x = tf.where(draws < rate, 0.0, x / (1 - rate))
        elif layer in normalized:
            x = layer.activation(normalize(x @ layer.kernel, settings.batch_size) + layer.bias)
        elif layer is not None and not isinstance(layer, keras.layers.InputLayer | keras.layers.Dropout):
            x = layer(x)
    return x


def hidden_layers(model: keras.Model) -> list[keras.layers.Dense]:
    """Return the dense layers of a network but the last."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][:-1]


def _virtual_adversarial_loss(
    forward: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor, radius: float, seed: StepSeed
) -> tf.Tensor:
    """Return the Kullback-Leibler divergence between each prediction and that of the image changed adversarially.

    The change has the length `radius` and the direction that changes the prediction most, found by one power iteration
    from a random start.

    Source: T. Miyato et al., "Virtual Adversarial Training", https://arxiv.org/abs/1704.03976, algorithm 1.
    """
    expected = tf.stop_gradient(forward(batch))
    draw = uniform(tf.shape(batch), seed, Purpose.ADVERSARIAL, -1.0)
    with tf.GradientTape() as tape:
        nearby = batch + PROBE_LENGTH * _unit_length(draw)
        tape.watch(nearby)
        divergence = tf.reduce_sum(keras.losses.kl_divergence(expected, forward(nearby)))
    worst = tf.stop_gradient(_unit_length(tape.gradient(divergence, nearby)))
    length = radius * math.sqrt(math.prod(batch.shape[1:]))
    return keras.losses.kl_divergence(expected, forward(batch + length * worst))


def _unit_length(images: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(images, [images.shape[0], -1])
    return tf.reshape(flat / (tf.norm(flat, axis=1, keepdims=True) + 1e-12), tf.shape(images))


Predict = Callable[[ImageSet, NDArray[np.int64]], NDArray[np.float32]]


def compile_prediction(model: keras.Model) -> Predict:
    """Compile prediction: a function of an image set and rising row numbers.

    It returns the network's output for these rows, float32 ``(num_rows, num_classes)``. Features, which have one
    dimension and are float32, are not divided by 255.
    """
    of_features = len(model.input_shape) == 2
    kind = tf.float32 if of_features else tf.uint8

    @tf.function(  # type: ignore[untyped-decorator]
        autograph=False, input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], kind)]
    )
    def predict_batch(images: tf.Tensor) -> tf.Tensor:
        return model(images if of_features else tf.cast(images, tf.float32) / 255, training=False)

    def predict(images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        starts = range(0, len(rows), PREDICTION_BATCH_SIZE)
        chunks = (read_rows(images, rows[start : start + PREDICTION_BATCH_SIZE]) for start in starts)
        return np.concatenate([predict_batch(chunk.images) for chunk in chunks])

    return predict


class Adam:
    """Adam, with decoupled weight decay of all weights but biases (AdamW) if set.

    It gives the same weights as Keras's Adam, which takes 0.3 s longer to trace and compile: see docs/experiments.md.

    Sources: D. P. Kingma, J. Ba, "Adam", https://arxiv.org/abs/1412.6980, in its section 2's order of computation;
    I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", https://arxiv.org/abs/1711.05101.

    Attributes:
        step: Number of steps taken, an int64 variable.
    """

    def __init__(self, weights: Sequence[Any], settings: ResolvedSettings, num_steps: int) -> None:
        """Take a network's weights, Keras variables, the settings, and the number of steps in the whole training."""
        self.step = tf.Variable(0, dtype=tf.int64)
        self._settings, self._num_steps = settings, num_steps
        self._weights = [weight.value for weight in weights]
        self._means, self._squares = ([tf.Variable(tf.zeros_like(weight)) for weight in self._weights] for _ in "mv")

    def reset(self) -> None:
        """Begin another training: no step is taken yet."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    @property
    def variables(self) -> list[tf.Variable]:
        """All that changes from step to step, beside the weights."""
        return [self.step, *self._means, *self._squares]

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take a step against the gradients, in the order of the weights."""
        settings = self._settings
        rate = learning_rate(self.step, settings, self._num_steps)
        beta_1, beta_2 = BETAS[settings.schedule]
        exponent = tf.cast(self.step + 1, tf.float32)
        powers = tf.pow(beta_1, exponent), tf.pow(beta_2, exponent)
        for weight, mean, square, gradient in zip(self._weights, self._means, self._squares, gradients, strict=True):
            if settings.weight_decay and len(weight.shape) > 1:
                weight.assign_sub(rate * settings.weight_decay * weight)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=mean.handle, v=square.handle, beta1_power=powers[0], beta2_power=powers[1],
                lr=rate, beta1=beta_1, beta2=beta_2, epsilon=EPSILON, grad=gradient,
            )  # fmt: skip
        self.step.assign_add(1)


def learning_rate(step: Any, settings: ResolvedSettings, num_steps: int) -> Any:
    """Return the learning rate of a step, counted from 0; taken at the step's middle, so that it is never zero.

    ``one-cycle`` rises linearly to the settings' rate over the first `WARMUP_SHARE` of `num_steps` and then falls
    linearly to zero. ``cosine`` rises likewise and falls along a cosine. ``constant`` stays.

    Sources: L. N. Smith, N. Topin, "Super-Convergence", https://arxiv.org/abs/1708.07120; for the cosine:
    I. Loshchilov, F. Hutter, "SGDR", https://arxiv.org/abs/1608.03983.
    """
    if settings.schedule == "constant":
        return tf.constant(settings.learning_rate, tf.float32)
    done = (tf.cast(step, tf.float32) + 0.5) / num_steps
    left = (1 - done) / (1 - WARMUP_SHARE)
    if settings.schedule == "cosine":
        left = (1 - tf.cos(math.pi * tf.minimum(left, 1.0))) / 2
    return settings.learning_rate * tf.where(done < WARMUP_SHARE, done / WARMUP_SHARE, left)
