"""Folds batch normalization into the weights, so that the network stays as it was built."""

from collections.abc import Callable
from math import prod

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from .batch_norm import EPSILON
from .convolutional_step import Moments, forward_normalized
from .loader import read_rows
from .step import compile_prediction, hidden_layers

Fold = Callable[[ImageSet, NDArray[np.int64]], None]
# Where each image gives statistics at many positions, fewer images are enough. They are computed at once, in memory.
MIN_CONVOLUTION_IMAGES, MAX_CONVOLUTION_IMAGES, MAX_PIXELS = 256, 2_000, 2**21


def compile_folding(model: keras.Model, folded: keras.Model) -> Fold:
    """Compile the folding of batch normalization into the weights of a dense network.

    The returned function takes an image set and rising row numbers. It sets the weights of `folded` so that it computes
    without normalization what `model` computes with it, with means and variances over these rows.
    """
    layers = hidden_layers(folded)
    products = [keras.Model(folded.inputs, keras.ops.matmul(layer.input, layer.kernel)) for layer in layers]
    runs = [compile_prediction(product) for product in products]

    def fold(images: ImageSet, rows: NDArray[np.int64]) -> None:
        folded.set_weights(model.get_weights())
        for layer, run in zip(layers, runs, strict=True):
            kernel, bias = layer.get_weights()
            outputs = run(images, rows)
            mean, deviation = outputs.mean(axis=0), np.sqrt(outputs.var(axis=0) + EPSILON)
            layer.set_weights([kernel / deviation, bias - mean / deviation])

    return fold


def compile_convolutional_folding(model: keras.Model, folded: keras.Model) -> Fold:
    """Compile the same for a convolutional network, whose channels are normalized where they enter an activation.

    Pooling between a convolution and its activation does not matter: the largest of values stays the largest if all are
    divided by the same deviation.
    """
    layers = [layer for layer in folded.layers if isinstance(layer, keras.layers.Conv2D)]
    num_images = min(MAX_CONVOLUTION_IMAGES, max(MIN_CONVOLUTION_IMAGES, MAX_PIXELS // prod(model.input_shape[1:3])))

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def moments_of(images: tf.Tensor) -> Moments:
        moments: Moments = []
        forward_normalized(model, tf.cast(images, tf.float32) / 255, images.shape[0], moments)
        return moments

    def fold(images: ImageSet, rows: NDArray[np.int64]) -> None:
        folded.set_weights(model.get_weights())
        some = rows[:: -(-len(rows) // num_images)]
        for layer, (mean, variance) in zip(layers, moments_of(read_rows(images, some).images), strict=True):
            kernel, bias = layer.get_weights()
            deviation = np.sqrt(variance + EPSILON)
            layer.set_weights([kernel / deviation, bias - mean / deviation])

    return fold
