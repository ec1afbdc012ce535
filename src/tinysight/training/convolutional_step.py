"""Runs the convolutional network in training mode: with batch normalization and dropout."""

from collections.abc import Callable
from itertools import pairwise

import keras
import tensorflow as tf

from .batch_norm import EPSILON
from .random_streams import Purpose, StepSeed
from .settings import ResolvedSettings

Moments = list[tuple[tf.Tensor, tf.Tensor]]  # mean and variance of each channel, convolution by convolution


def forward_convolutional(
    model: keras.Model,
    x: tf.Tensor,
    settings: ResolvedSettings,
    draw: Callable[..., tf.Tensor],
    seed: StepSeed,
) -> tf.Tensor:
    """Return the probabilities of a step's images.

    Args:
        model: A network of `convolutional`.
        x: Images, float32 ``(batch, height, width[, 3])``.
        settings: The settings.
        draw: `uniform`, compiled.
        seed: The step's seed.
    """

    def drop(values: tf.Tensor, rate: float, layer: int) -> tf.Tensor:
        draws = draw(values.shape, seed, Purpose.DROPOUT, layer=layer)
        return tf.where(draws < rate, 0.0, values / (1 - rate))

    x = drop(x, settings.input_dropout, 0) if settings.input_dropout else x
    features, last = model.layers[:-1], model.layers[-1]
    if settings.batch_norm:
        x = forward_normalized(model, x, settings.batch_size)
    else:
        for layer in features:
            x = x if isinstance(layer, keras.layers.Dropout) else layer(x)
    return last(drop(x, settings.dropout, len(features)) if settings.dropout else x)


def forward_normalized(model: keras.Model, x: tf.Tensor, num_images: int, moments: Moments | None = None) -> tf.Tensor:
    """Return what enters the dense layer, with batch normalization and without dropout.

    What enters an activation is normalized, before the convolution's biases are added. That is after pooling, where
    there are fewer values.

    Args:
        model: A network of `convolutional`.
        x: Images, float32 ``(batch, height, width[, 3])``.
        num_images: Mean and variance are over the first of these; outliers come after them.
        moments: Takes the mean and variance of each convolution's channels.

    Source: S. Ioffe, C. Szegedy, "Batch Normalization", https://arxiv.org/abs/1502.03167, section 3.2.
    """
    biases = tf.zeros([])
    for layer, following in pairwise(model.layers):
        if isinstance(layer, keras.layers.Conv2D):
            is_pooled = isinstance(following, keras.layers.MaxPooling2D)
            x = _convolve_for_pooling(x, layer) if is_pooled else layer.convolution_op(x, layer.kernel)
            biases = layer.bias
        elif isinstance(layer, keras.layers.Activation):
            counted = x if x.shape[0] == num_images else x[:num_images]  # slicing costs time, in the gradient too
            mean, variance = tf.nn.moments(counted, axes=[0, 1, 2])
            x = layer((x - mean) * tf.math.rsqrt(variance + EPSILON) + biases)
            if moments is not None:
                moments.append((mean, variance))
        elif not isinstance(layer, keras.layers.Dropout):
            x = layer(x)
    return x


def _convolve_for_pooling(x: tf.Tensor, layer: keras.layers.Conv2D) -> tf.Tensor:
    """Return the outputs that pooling of 2×2 reads, without biases: not the last of an odd number of rows or columns.

    Of 7×7 positions these are 36: a quarter less to compute. The layer has a stride of 1 and padding ``same``.
    """
    size = layer.kernel_size[0]
    before, after = (size - 1) // 2, size // 2
    rows, columns = ([before, after - side % 2] for side in x.shape[1:3])
    return tf.nn.conv2d(x, layer.kernel, 1, [[0, 0], rows, columns, [0, 0]])
