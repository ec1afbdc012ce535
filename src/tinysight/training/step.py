"""Compiles what trains and runs a network into TensorFlow programs; does not know files, epochs or test images."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from .augmentation import augment
from .loader import Chunk, read_rows
from .settings import TrainingSettings

FINAL_SHARE, FINAL_AMOUNT = 0.3, 0.3  # in the last steps augmentation shrinks to this: images to come are as they are
PROBE_LENGTH = 0.1  # of the step that finds an adversarial direction: small, yet far above float32's rounding
BATCH_NORM_EPSILON = 1e-3  # added to variances, as Keras does
PREDICTION_BATCH_SIZE = 1_000
WARMUP_SHARE = 0.2  # of all steps, in which a rising and falling rate rises
# Shares of Adam's two moving averages that stay at each step. With a rate that falls to nothing a shorter memory learns
# faster: see docs/experiments.md. With a constant rate, Keras's own.
BETAS = {"one-cycle": (0.85, 0.98), "cosine": (0.85, 0.98), "constant": (0.9, 0.999)}
EPSILON = 1e-7  # Keras's own


def compile_training(
    model: keras.Model,
    averaged: keras.Model,
    settings: TrainingSettings,
    num_steps: int,
    outliers: NDArray[np.uint8] | None = None,
) -> Callable[[Chunk, NDArray[np.int32], int], None]:
    """Return a function that trains on a chunk in an order, ``(steps, batch_size)``, with a seed for what is drawn.

    Args:
        model: The network to train.
        averaged: Where the moving average of its weights goes; the same network where none is wanted.
        settings: How to train it, with every default filled in.
        num_steps: Steps in the whole training, for the schedule.
        outliers: uint8 ``(num_outliers, *image_shape)``, from which `settings.outliers` takes some at each step.
    """
    optimizer = Adam(model.trainable_variables, settings, num_steps)
    num_classes = model.output_shape[-1]

    def amount(step: tf.Tensor) -> tf.Tensor:
        left = 1 - tf.cast(step, tf.float32) / num_steps
        return FINAL_AMOUNT + (1 - FINAL_AMOUNT) * tf.minimum(left / FINAL_SHARE, 1.0)

    augmentation, momentum = settings.augmentation, settings.ema_momentum
    others = tf.constant([] if outliers is None else outliers)
    num_others = 0 if outliers is None else round((settings.batch_size or 1) * (settings.outliers or 0.0))

    def forward(batch: tf.Tensor, seed: list[tf.Tensor] | None = None) -> tf.Tensor:
        return _forward_in_training(model, batch, settings, seed)

    def train_step(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, seed: list[tf.Tensor]) -> None:
        batch, targets = tf.gather(images, rows), tf.one_hot(tf.gather(labels, rows), num_classes)
        if num_others:
            batch = tf.concat([batch, tf.gather(others, _draw_rows(num_others, others.shape[0], seed))], axis=0)
            targets = tf.concat([targets, tf.fill([num_others, num_classes], 1 / num_classes)], axis=0)
        batch = augment(batch, augmentation, seed, amount(optimizer.step))
        with tf.GradientTape() as tape:
            probabilities = forward(batch, seed)
            loss = keras.losses.categorical_crossentropy(
                targets, probabilities, label_smoothing=settings.label_smoothing
            )
            if settings.adversarial:
                loss += _virtual_adversarial_loss(forward, batch, settings.adversarial, seed)
            loss = tf.reduce_mean(loss)
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        if averaged is not model:
            for average, weight in zip(averaged.trainable_variables, model.trainable_variables, strict=True):
                average.assign(momentum * average + (1 - momentum) * weight)

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def train_on(images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, seed: tf.Tensor) -> None:
        def body(step: tf.Tensor) -> tf.Tensor:
            train_step(images, labels, order[step], [seed, step])
            return step + 1

        tf.while_loop(lambda step: step < order.shape[0], body, [tf.constant(0)])

    return lambda chunk, order, seed: train_on(
        tf.constant(chunk.images), tf.constant(chunk.labels), tf.constant(order), tf.constant(seed, tf.int32)
    )


def _draw_rows(num_rows: int, end: int, seed: list[tf.Tensor]) -> tf.Tensor:
    """Draw numbers from 0 up to `end`, which is excluded."""
    share = tf.random.stateless_uniform([num_rows], [seed[0] + 1, seed[1]], alg="threefry")
    return tf.cast(share * end, tf.int32)


def _forward_in_training(
    model: keras.Model, x: tf.Tensor, settings: TrainingSettings, seed: list[tf.Tensor] | None
) -> tf.Tensor:
    """Run the layers one after the other, with batch normalization if wanted, and with dropout if there is a seed.

    Keras's Dropout draws from Philox, which XLA compiles so badly for CPUs that an epoch takes 17 times as long;
    Threefry costs a twentieth of the epoch.
    """
    rates = [settings.input_dropout] + [getattr(layer, "rate", 0.0) for layer in model.layers]
    layers = [None, *model.layers]
    normalized = _hidden_layers(model) if settings.batch_norm else []
    for number, (layer, rate) in enumerate(zip(layers, rates, strict=True)):
        if rate and seed:
            bits = tf.random.stateless_uniform(tf.shape(x), [seed[0], seed[1] * len(layers) + number], alg="threefry")
            x = tf.where(bits < rate, 0.0, x / (1 - rate))
        elif layer in normalized:
            x = layer.activation(_normalize(x @ layer.kernel, settings.batch_size) + layer.bias)
        elif layer is not None and not isinstance(layer, keras.layers.InputLayer | keras.layers.Dropout):
            x = layer(x)
    return x


def _hidden_layers(model: keras.Model) -> list[keras.layers.Dense]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][:-1]


def _normalize(outputs: tf.Tensor, num_images: int | None) -> tf.Tensor:
    """Bring each unit's outputs to mean 0 and variance 1 over the images, which stand before the outliers.

    A factor for each unit, as usual, is left out: with ReLU the next layer's weights say as much.

    Source: S. Ioffe, C. Szegedy, "Batch Normalization", https://arxiv.org/abs/1502.03167.
    """
    mean, variance = tf.nn.moments(outputs[:num_images], axes=[0])
    return (outputs - mean) * tf.math.rsqrt(variance + BATCH_NORM_EPSILON)


def _virtual_adversarial_loss(
    forward: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor, radius: float, seed: list[tf.Tensor]
) -> tf.Tensor:
    """Return how far each prediction changes, as a divergence, where a step of that size changes it most.

    The direction is that of the gradient a little way off in a random direction: one power iteration.

    Source: T. Miyato et al., "Virtual Adversarial Training", https://arxiv.org/abs/1704.03976, algorithm 1.
    """
    expected = tf.stop_gradient(forward(batch))
    draw = tf.random.stateless_uniform(tf.shape(batch), [seed[0], -1 - seed[1]], -1.0, 1.0, alg="threefry")
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
    """Return a function that gives the probabilities, ``(num_rows, num_classes)``, of some rows of a set, in order."""

    @tf.function(  # type: ignore[untyped-decorator]
        autograph=False, input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8)]
    )
    def predict_batch(images: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(images, tf.float32) / 255, training=False)

    def predict(images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        starts = range(0, len(rows), PREDICTION_BATCH_SIZE)
        chunks = (read_rows(images, rows[start : start + PREDICTION_BATCH_SIZE]) for start in starts)
        return np.concatenate([predict_batch(chunk.images) for chunk in chunks])

    return predict


def compile_folding(model: keras.Model, folded: keras.Model) -> Callable[[ImageSet, NDArray[np.int64]], None]:
    """Return a function that turns a network trained with batch normalization into one of the same layers without.

    It gives `folded` the weights with which it does by itself what `model` does normalized by some rows of a set.
    """
    layers = _hidden_layers(folded)
    products = [keras.Model(folded.inputs, keras.ops.matmul(layer.input, layer.kernel)) for layer in layers]
    runs = [compile_prediction(product) for product in products]

    def fold(images: ImageSet, rows: NDArray[np.int64]) -> None:
        folded.set_weights(model.get_weights())
        for layer, run in zip(layers, runs, strict=True):
            kernel, bias = layer.get_weights()
            outputs = run(images, rows)
            mean, deviation = outputs.mean(axis=0), np.sqrt(outputs.var(axis=0) + BATCH_NORM_EPSILON)
            layer.set_weights([kernel / deviation, bias - mean / deviation])

    return fold


class Adam:
    """Adam; with weight decay that is decoupled from the gradient (AdamW) if asked for, of all but biases.

    Sources: D. P. Kingma, J. Ba, "Adam", https://arxiv.org/abs/1412.6980, in its section 2's order of computation;
    I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", https://arxiv.org/abs/1711.05101.

    Attributes:
        step: How many steps were taken, an int64 variable.
    """

    def __init__(self, weights: Sequence[Any], settings: TrainingSettings, num_steps: int) -> None:
        """Take a network's weights, Keras variables, and for how many steps in all the schedule is."""
        self.step = tf.Variable(0, dtype=tf.int64)
        self._settings, self._num_steps = settings, num_steps
        self._weights = [weight.value for weight in weights]
        self._means, self._squares = ([tf.Variable(tf.zeros_like(weight)) for weight in self._weights] for _ in "mv")

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take a step against the gradients, in the order of the weights."""
        settings = self._settings
        rate = learning_rate(self.step, settings, self._num_steps)
        beta_1, beta_2 = BETAS[settings.schedule or "constant"]
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


def learning_rate(step: Any, settings: TrainingSettings, num_steps: int) -> Any:
    """Return the rate of a step, counted from 0: that of the step's middle, so that even a single one trains.

    ``one-cycle`` rises in a straight line to its peak, the settings' rate, after `WARMUP_SHARE` of `num_steps`, and
    falls in one to nearly nothing; ``cosine`` falls along a cosine; ``constant`` stays.

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
