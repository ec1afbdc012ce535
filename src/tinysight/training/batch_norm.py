"""Batch normalization in training: outputs brought to mean 0 and variance 1 over the images of a step."""

import tensorflow as tf

EPSILON = 1e-3  # added to variances, as Keras does


def normalize(outputs: tf.Tensor, num_images: int) -> tf.Tensor:
    """Normalize each unit's outputs by mean and variance over the first `num_images` rows; outliers come after these.

    The usual scale (gamma) is left out: before ReLU, the next layer's weights can express it.

    Source: S. Ioffe, C. Szegedy, "Batch Normalization", https://arxiv.org/abs/1502.03167.
    """
    mean, variance = tf.nn.moments(outputs[:num_images], axes=[0])
    return (outputs - mean) * tf.math.rsqrt(variance + EPSILON)
