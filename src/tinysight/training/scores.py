"""Scores of probabilities against labels: log loss, accuracy and its standard error."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-7  # probabilities are clipped here, as in Keras's losses


def log_losses(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the cross-entropy of each image, float64 ``(num_images,)``: −ln of the probability of its class.

    Args:
        probabilities: ``(num_images, num_classes)``; each row sums to 1.
        labels: int ``(num_images,)``.
    """
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses: NDArray[np.float64] = -np.log(of_label.clip(EPSILON)) + 0.0  # no negative zero
    return losses


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean of `log_losses`."""
    return float(log_losses(probabilities, labels).mean())


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the share of images whose most probable class is the label; arguments as for `log_losses`."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def standard_error(accuracy: float, num_images: int) -> float:
    """Return the standard error of an accuracy measured on so many images.

    Source: L. Breiman et al., "Classification and Regression Trees" (1984), for choosing within one standard error.
    """
    return sqrt(accuracy * (1 - accuracy) / num_images)
