"""Builds the network that settings name."""

from ..data.dataset import ImageSet
from .convolutional import convolutional
from .networks import BUILDERS
from .pretrained import build_head
from .settings import ResolvedSettings

import keras  # isort: skip - after networks, which keeps TensorFlow's messages on import off the terminal


def build_trained(images: ImageSet, settings: ResolvedSettings) -> keras.Model:
    """Build the network that is trained, or the dense layers on a pretrained network's features.

    Args:
        images: The images; their framing and class names decide the number of inputs and outputs.
        settings: The settings.

    Raises:
        SettingsError: The images are too small or too large for the network.
    """
    num_classes = len(images.class_names)
    if settings.network == "pretrained":
        return build_head(num_classes, settings)
    if settings.network == "convolutional":
        return convolutional(images.framing.image_shape, num_classes, settings.dropout)
    return BUILDERS[settings.api](
        images.framing.image_shape, num_classes, settings.hidden, settings.dropout, settings.dropout_position
    )
