"""Tells which pixels decided: gradient times input, which is exact for dense layers with ReLU.

The question is always about two classes: why this one rather than that one? The answer is the score, the difference of
their logits. As long as no unit of the network changes between off and on, the score is a linear function of the pixels
plus a constant. So it is a sum without a remainder: for each pixel its value times the gradient of the score, and one
number for the biases of all layers. A black pixel has the value 0 and contributes nothing.

Where convolutions come first, and the dense layers read the mean of each channel, the same sum is over the rows and
columns of the channels. These divide the image into regions: class activation maps.

Sources: A. Shrikumar et al., "Not just a black box: learning important features through propagating activation
differences", https://arxiv.org/abs/1605.01713. B. Zhou et al., "Learning deep features for discriminative
localization", https://arxiv.org/abs/1512.04150.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .onnx_graph import Layer

# Of pixels that speak for a class and against it, as RGB: orange and blue, told apart by every kind of colour vision.
# `page/attribution.js` has the same.
FOR_COLOUR, AGAINST_COLOUR = (255, 166, 48), (64, 132, 255)

Classes = Sequence[int] | NDArray[np.integer]  # one for each image


@dataclass(frozen=True)
class Attribution:
    """Why images are of one class rather than of another.

    Attributes:
        pixels: Contribution of each pixel to the score, float64 ``(num_images, *image_shape)``, or of each region,
            ``(num_images, rows, columns)``; positive where it speaks for the class, negative where for the other.
        bias: Contribution of the biases, float64 ``(num_images,)``.
        score: Logit of the class minus logit of the other, float64 ``(num_images,)``: the sum of both.
    """

    pixels: NDArray[np.float64]
    bias: NDArray[np.float64]
    score: NDArray[np.float64]


def attribute(layers: Sequence[Layer], images: NDArray[np.uint8], classes: Classes, others: Classes) -> Attribution:
    """Return how much each pixel contributes to the score of one class against another, in a dense network.

    Args:
        layers: float32 weights ``(inputs, outputs)`` and biases ``(outputs,)`` of each dense layer; ReLU between them.
        images: uint8 ``(num_images, *image_shape)``.
        classes: A class for each image, such as the predicted one.
        others: Another for each, such as the true one.
    """
    inputs = images.reshape(len(images), -1) / 255
    gradient, bias, score = _explain(layers, inputs, classes, others)
    return Attribution((gradient * inputs).reshape(images.shape), bias, score)


def attribute_regions(
    layers: Sequence[Layer], maps: NDArray[np.float32], classes: Classes, others: Classes
) -> Attribution:
    """Return how much each region contributes, where dense layers read the mean of each channel of convolutions.

    Args:
        layers: Weights and biases of the dense layers, as for `attribute`.
        maps: What the convolutions give, ``(num_images, channels, rows, columns)``.
        classes: A class for each image, such as the predicted one.
        others: Another for each, such as the true one.
    """
    gradient, bias, score = _explain(layers, maps.mean(axis=(2, 3), dtype=np.float64), classes, others)
    return Attribution(np.einsum("nc,nchw->nhw", gradient, maps) / np.prod(maps.shape[2:]), bias, score)


def _explain(
    layers: Sequence[Layer], inputs: NDArray[np.float64], classes: Classes, others: Classes
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the gradient of the score in the inputs of dense layers, what their biases contribute, and the score."""
    # Forwards: which units are on
    values, is_on = inputs, []
    for weights, biases in layers[:-1]:
        values = values @ weights + biases
        is_on.append(values > 0)
        values = values * is_on[-1]
    weights, biases = layers[-1]
    logits = values @ weights + biases
    # Backwards: the gradient of the score in the outputs of each layer, and with it the part of its biases
    rows = np.arange(len(inputs))
    gradient = np.zeros_like(logits)
    gradient[rows, classes] += 1
    gradient[rows, others] -= 1
    score = logits[rows, classes] - logits[rows, others]
    bias = np.zeros(len(inputs))
    for number in reversed(range(len(layers))):
        weights, biases = layers[number]
        bias += gradient @ biases
        gradient = gradient @ weights.T
        if number:
            gradient *= is_on[number - 1]
    return gradient, bias, score


def overlay(image: NDArray[np.uint8], contributions: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return an image with its pixels coloured by what they, or their regions, contribute.

    Args:
        image: uint8 ``(height, width)`` or ``(height, width, 3)``.
        contributions: `Attribution.pixels` of it; channels are added up.

    Returns:
        uint8 ``(height, width, 3)``: `FOR_COLOUR` or `AGAINST_COLOUR` over the darkened image, stronger the more a
        pixel contributes, and darker where the image is. The square root makes small contributions visible.
    """
    grey = image.mean(axis=-1) if image.ndim == 3 else image
    summed = contributions.sum(axis=-1) if contributions.ndim == 3 else contributions
    rows, columns = (np.arange(side) * number // side for side, number in zip(grey.shape, summed.shape, strict=True))
    of_pixels = summed[np.ix_(rows, columns)][..., np.newaxis]
    strength = np.sqrt(np.abs(of_pixels) / (np.abs(summed).max() or 1.0))
    level = grey[..., np.newaxis] / 255
    colours = np.where(of_pixels > 0, FOR_COLOUR, AGAINST_COLOUR) * (0.5 + 0.5 * level)
    coloured: NDArray[np.uint8] = np.rint(strength * colours + (1 - strength) * 102 * level).astype(np.uint8)
    return coloured
