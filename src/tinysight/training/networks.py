"""The dense networks, written twice: with Keras's Sequential and with its functional API.

Both builders make networks that compute the same. By default that is the tutorial's network: hidden layers of 784 and
512 units, 10 outputs, 1,022,490 parameters.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from math import prod

from ..errors import MissingExtraError, SettingsError, check_choice, check_number
from ..preprocessing import DEFAULT_IMAGE_SIZE
from .settings import DEFAULT_HIDDEN, DROPOUT_POSITIONS, check_hidden


@contextlib.contextmanager
def _silence_stderr() -> Iterator[None]:
    """Keep the ten lines about this machine that TensorFlow's C++ code prints on import off standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # some lines are printed before TensorFlow reads it
    sys.stderr.flush()
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


try:
    with _silence_stderr():
        import keras
        from keras import layers
except ImportError as error:
    raise MissingExtraError("building a network", "train", needs_tensorflow=True) from error


def sequential(
    image_shape: tuple[int, ...] = DEFAULT_IMAGE_SIZE,
    num_classes: int = 10,
    hidden: tuple[int, ...] = DEFAULT_HIDDEN,
    dropout: float = 0.0,
    dropout_position: str = "after",
) -> keras.Model:
    """Build and compile the network with the Sequential API: a stack of layers.

    Args:
        image_shape: ``(height, width)`` or ``(height, width, channels)`` of one image.
        num_classes: Number of classes, 2 or more.
        hidden: Widths of the hidden layers.
        dropout: Share of each hidden layer's outputs that dropout sets to zero in training; 0: no dropout layers.
        dropout_position: ``after`` or ``before`` the activation.

    Returns:
        A compiled model from float32 images in 0…1, shape ``(batch, *image_shape)``, to probabilities
        ``(batch, num_classes)``; it trains on one-hot labels.

    Raises:
        SettingsError: An option is out of range.
    """
    _check(image_shape, num_classes, hidden, dropout, dropout_position)
    model = keras.Sequential([keras.Input(image_shape), layers.Flatten()])
    for width in hidden:
        if dropout and dropout_position == "before":
            model.add(layers.Dense(width))
            model.add(layers.Dropout(dropout))
            model.add(layers.Activation("relu"))
        else:
            model.add(layers.Dense(width, activation="relu"))
            if dropout:
                model.add(layers.Dropout(dropout))
    model.add(layers.Dense(num_classes, activation="softmax"))
    return _compiled(model)


def functional(
    image_shape: tuple[int, ...] = DEFAULT_IMAGE_SIZE,
    num_classes: int = 10,
    hidden: tuple[int, ...] = DEFAULT_HIDDEN,
    dropout: float = 0.0,
    dropout_position: str = "before",
) -> keras.Model:
    """Build and compile the network with the functional API; arguments and result as for `sequential`."""
    _check(image_shape, num_classes, hidden, dropout, dropout_position)
    images = keras.Input(image_shape)
    x = layers.Flatten()(images)
    for width in hidden:
        x = layers.Dense(width)(x)
        if dropout and dropout_position == "before":
            x = layers.Dropout(dropout)(x)
        x = layers.Activation("relu")(x)
        if dropout and dropout_position == "after":
            x = layers.Dropout(dropout)(x)
    x = layers.Dense(num_classes)(x)
    probabilities = layers.Activation("softmax")(x)
    return _compiled(keras.Model(images, probabilities))


MAX_WEIGHTS = 200_000_000  # 800 MB as float32; a classifier's file may have 1 GiB

BUILDERS = {"sequential": sequential, "functional": functional}


def _compiled(model: keras.Model) -> keras.Model:
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def _check(
    image_shape: tuple[int, ...], num_classes: int, hidden: tuple[int, ...], dropout: float, dropout_position: str
) -> None:
    check_number("number of classes", num_classes, 2, 100_000)
    check_hidden(hidden)
    check_number("dropout", dropout, 0, 0.99)
    check_choice("dropout position", dropout_position, DROPOUT_POSITIONS)
    widths = (prod(image_shape), *hidden, num_classes)
    num_weights = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    if num_weights > MAX_WEIGHTS:
        received = f"{num_weights:,} weights for {'×'.join(map(str, image_shape))} images and hidden {hidden}"
        raise SettingsError(f"{received}; expected at most {MAX_WEIGHTS:,}: choose smaller images or layers")
