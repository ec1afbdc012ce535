"""Tells which pixels decided: gradient times input, which is exact for a dense network with ReLU.

The question is always about two classes: why this one rather than that one? The answer is the score, the difference of
their logits. As long as no unit of the network changes between off and on, the score is a linear function of the pixels
plus a constant. So it is a sum without a remainder: for each pixel its value times the gradient of the score, and one
number for the biases of all layers. A black pixel has the value 0 and contributes nothing.

Source: A. Shrikumar et al., "Not just a black box: learning important features through propagating activation
differences", https://arxiv.org/abs/1605.01713.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .onnx_graph import Layer

# Of pixels that speak for a class and against it, as RGB: orange and blue, told apart by every kind of colour vision.
# `page/attribution.js` has the same.
FOR_COLOUR, AGAINST_COLOUR = (255, 166, 48), (64, 132, 255)


@dataclass(frozen=True)
class Attribution:
    """Why images are of one class rather than of another.

    Attributes:
        pixels: Contribution of each pixel to the score, float64 ``(num_images, *image_shape)``; positive where it
            speaks for the class, negative where for the other.
        bias: Contribution of the biases, float64 ``(num_images,)``.
        score: Logit of the class minus logit of the other, float64 ``(num_images,)``: the sum of both.
    """

    pixels: NDArray[np.float64]
    bias: NDArray[np.float64]
    score: NDArray[np.float64]


def attribute(
    layers: Sequence[Layer],
    images: NDArray[np.uint8],
    classes: Sequence[int] | NDArray[np.integer],
    others: Sequence[int] | NDArray[np.integer],
) -> Attribution:
    """Return how much each pixel contributes to the score of one class against another.

    Args:
        layers: float32 weights ``(inputs, outputs)`` and biases ``(outputs,)`` of each dense layer; ReLU between them.
        images: uint8 ``(num_images, *image_shape)``.
        classes: A class for each image, such as the predicted one.
        others: Another for each, such as the true one.
    """
    inputs = images.reshape(len(images), -1) / 255
    # Forwards: which units are on
    values, is_on = inputs, []
    for weights, biases in layers[:-1]:
        values = values @ weights + biases
        is_on.append(values > 0)
        values *= is_on[-1]
    weights, biases = layers[-1]
    logits = values @ weights + biases
    # Backwards: the gradient of the score in the outputs of each layer, and with it the part of its biases
    rows = np.arange(len(images))
    gradient = np.zeros_like(logits)
    gradient[rows, classes] += 1
    gradient[rows, others] -= 1
    score = logits[rows, classes] - logits[rows, others]
    bias = np.zeros(len(images))
    for number in reversed(range(len(layers))):
        weights, biases = layers[number]
        bias += gradient @ biases
        gradient = gradient @ weights.T
        if number:
            gradient *= is_on[number - 1]
    return Attribution((gradient * inputs).reshape(images.shape), bias, score)


def overlay(image: NDArray[np.uint8], contributions: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return an image with its pixels coloured by what they contribute.

    Args:
        image: uint8 ``(height, width)`` or ``(height, width, 3)``.
        contributions: `Attribution.pixels` of it; channels are added up.

    Returns:
        uint8 ``(height, width, 3)``: `FOR_COLOUR` or `AGAINST_COLOUR` over the darkened image, stronger the more a
        pixel contributes. The square root makes small contributions visible.
    """
    if image.ndim == 3:
        image, contributions = image.mean(axis=-1), contributions.sum(axis=-1)
    largest = np.abs(contributions).max() or 1.0
    strength = np.sqrt(np.abs(contributions) / largest)[..., np.newaxis]
    colours = np.where((contributions > 0)[..., np.newaxis], FOR_COLOUR, AGAINST_COLOUR)
    coloured: NDArray[np.uint8] = np.rint(strength * colours + (1 - strength) * 0.4 * image[..., np.newaxis]).astype(
        np.uint8
    )
    return coloured
