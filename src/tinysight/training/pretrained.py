"""Trains dense layers on a pretrained network's features of images, and joins both to one network.

The features are computed once and divided by one number, so that their variance is 1 on average. In the whole network
this scaling is part of the first dense layer. A feature that varies little stays small, and the mean stays: brought to
mean 0 and variance 1 each, the features cost 3 points (docs/experiments.md).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import ImageSet, Progress
from ..errors import SettingsError
from .efficientnet import NUM_FEATURES, efficientnet_lite0, folded_layers, set_pretrained
from .features import compute_features
from .onnx_writer import operations_and_weights
from .pretrained_weights import load_weights
from .settings import ResolvedSettings

import keras  # isort: skip - after efficientnet, which keeps TensorFlow's messages on import off the terminal
from keras import layers  # isort: skip

MIN_SIDE = 32  # pixels: the network halves its input five times
MIN_DEVIATION = 1e-3  # features of equal images are not blown up
BATCH_SIZE = 8  # images that Keras predicts at a time


class PretrainedNetwork:
    """EfficientNet-Lite0 with its pretrained weights, for images of one shape.

    Attributes:
        image_shape: Shape of one image, ``(height, width)`` or ``(height, width, 3)``.
    """

    def __init__(self, image_shape: tuple[int, ...], weights: Path | None = None) -> None:
        """Take the shape of an image, and another copy of the weights' file than that of the package.

        Raises:
            DataError: The file cannot be read, or is another one.
            MissingExtraError: The package is not installed, and no file is given.
            SettingsError: The images are too small.
        """
        _check_size(image_shape)
        self.image_shape = image_shape
        self._model = efficientnet_lite0(image_shape)
        set_pretrained(self._model, folded_layers(load_weights(weights)))
        self._model.trainable = False
        self._deviation = 1.0

    def with_features(self, images: ImageSet, progress: Progress | None = None) -> ImageSet:
        """Return a split set with features in the place of its images, float32 ``(num_images, 1280)``.

        They are computed of training and validation images only; the others' are zeros. From now on, `joined` scales
        features as it is done here.
        """
        rows = np.sort(np.concatenate([images.indices("train"), images.indices("validation")]))
        features = np.zeros((len(images), NUM_FEATURES), np.float32)
        features[rows] = self.features(images, rows, progress)
        prepared, self._deviation = with_scaled(features, images)
        return prepared

    def features(
        self, images: ImageSet, rows: NDArray[np.int64], progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Return the features of images at rising row numbers, float32 ``(num_rows, 1280)``, not scaled."""
        return compute_features(images, rows, *operations_and_weights(self._model), progress)

    def joined(self, head: keras.Model) -> keras.Model:
        """Return the whole network: from images to the probabilities that the trained head gives for their features."""
        weights = head.get_weights()
        weights[0] = weights[0] / np.float32(self._deviation)
        model = _stacked(self._model, head)
        dense = [layer for layer in model.layers[len(self._model.layers) :] if layer.weights]
        for number, layer in enumerate(dense):
            layer.set_weights(weights[2 * number : 2 * number + 2])
        return model


def with_scaled(features: NDArray[np.float32], images: ImageSet) -> tuple[ImageSet, float]:
    """Put scaled features in the place of a split set's images.

    Args:
        features: float32 ``(num_images, 1280)``.
        images: The set.

    Returns:
        The set, and the number by which the features were divided: those of its training images have variance 1 on
        average.
    """
    of_training = features[images.indices("train")].astype(np.float64)
    deviation = max(float(np.sqrt(of_training.var(axis=0).mean())), MIN_DEVIATION)
    scaled: NDArray[Any] = features / np.float32(deviation)  # floats in the place of pixels: the step knows both
    return replace(images, images=scaled), deviation


def _stacked(model: keras.Model, head: keras.Model) -> keras.Model:
    """Return one network of both, compiled; the head's layers in it are new ones."""
    x = model.output
    for layer in head.layers:
        if not isinstance(layer, layers.Flatten | layers.InputLayer):
            x = type(layer).from_config(layer.get_config())(x)
    whole = keras.Model(model.input, x)
    whole.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return whole


def build_network(image_shape: tuple[int, ...], num_classes: int, settings: ResolvedSettings) -> keras.Model:
    """Build the whole network with random weights, for its summary: the pretrained layers, and those to train.

    Args:
        image_shape: Shape of one image.
        num_classes: Number of classes.
        settings: The settings of the layers to train.

    Raises:
        SettingsError: The images are too small.
    """
    _check_size(image_shape)
    model = efficientnet_lite0(image_shape)
    model.trainable = False
    return _stacked(model, build_head(num_classes, settings))


def _check_size(image_shape: tuple[int, ...]) -> None:
    if min(image_shape[:2]) < MIN_SIDE:
        size = "×".join(map(str, image_shape[:2]))
        needs = f"network pretrained needs {MIN_SIDE}×{MIN_SIDE} or more: choose --image-size 224x224"
        raise SettingsError(f"images of {size}: {needs}, or --network dense")


def build_head(num_classes: int, settings: ResolvedSettings) -> keras.Model:
    """Build the layers that are trained on the features: one dense layer, behind the hidden ones that are asked for.

    Dropout is after each hidden layer, or on the features where there is none.

    Returns:
        A model from float32 features ``(batch, 1280)`` to probabilities ``(batch, num_classes)``.
    """
    stack: list[Any] = [keras.Input((NUM_FEATURES,))]
    for width in settings.hidden or (None,):
        if width:
            stack.append(layers.Dense(width, activation="relu"))
        if settings.dropout:
            stack.append(layers.Dropout(settings.dropout))
    # Without hidden layers this is logistic regression. From zeros it learns nothing but what the images say: random
    # first weights of 1,280 features would outlast a short training on few images (docs/experiments.md).
    first = "glorot_uniform" if settings.hidden else "zeros"
    stack.append(layers.Dense(num_classes, activation="softmax", kernel_initializer=first))
    model = keras.Sequential(stack)
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def predict(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a Keras model's probabilities of uint8 images ``(num_images, *image_shape)``, a few at a time."""
    starts = range(0, len(images), BATCH_SIZE)
    batches = (images[start : start + BATCH_SIZE].astype(np.float32) / np.float32(255) for start in starts)
    return np.concatenate([np.asarray(model(batch, training=False)) for batch in batches])
