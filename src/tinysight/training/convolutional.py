"""The convolutional network: convolutions with pooling between them, the mean of each channel, one dense layer.

The first convolution reads patches of 4×4 pixels, two pixels apart, so that all others have a quarter of the positions.
The number of weights does not depend on the size of the images.
"""

from ..errors import SettingsError, check_number
from . import networks  # noqa: F401 - keeps TensorFlow's messages on import off the terminal
from .settings import CONVOLUTIONAL_SIDES

import keras  # isort: skip - after networks
from keras import layers  # isort: skip

FIRST_CHANNELS = 16
CHANNELS = (64, 96, 128)  # chosen by measurement, see docs/experiments.md


def convolutional(image_shape: tuple[int, ...], num_classes: int, dropout: float = 0.0) -> keras.Model:
    """Build and compile the network.

    Args:
        image_shape: ``(height, width)`` or ``(height, width, 3)`` of one image.
        num_classes: Number of classes, 2 or more.
        dropout: Share of the inputs of the dense layer that dropout sets to zero in training; 0: no dropout layer.

    Returns:
        A compiled model from float32 images in 0…1, shape ``(batch, *image_shape)``, to probabilities
        ``(batch, num_classes)``; it trains on one-hot labels.

    Raises:
        SettingsError: An option is out of range, or the images are too small or too large.
    """
    check_number("number of classes", num_classes, 2, 100_000)
    check_number("dropout", dropout, 0, 0.99)
    least, most = CONVOLUTIONAL_SIDES
    if not least <= min(image_shape[:2]) <= max(image_shape[:2]) <= most:
        size = "×".join(map(str, image_shape[:2]))
        needs = f"network convolutional needs {least} to {most} pixels a side"
        raise SettingsError(f"images of {size}: {needs}: choose --image-size 64x64, or --network dense")
    model = keras.Sequential([keras.Input(image_shape)])
    if len(image_shape) == 2:
        model.add(layers.Reshape((*image_shape, 1)))
    model.add(layers.Conv2D(FIRST_CHANNELS, 4, strides=2, padding="same", kernel_initializer="he_normal"))
    model.add(layers.Activation("relu"))
    for channels in CHANNELS:
        model.add(layers.Conv2D(channels, 3, padding="same", kernel_initializer="he_normal"))
        if channels != CHANNELS[-1]:
            model.add(layers.MaxPooling2D(2))
        model.add(layers.Activation("relu"))
    model.add(layers.GlobalAveragePooling2D())
    if dropout:
        model.add(layers.Dropout(dropout))
    model.add(layers.Dense(num_classes, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model
