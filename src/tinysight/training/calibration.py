"""Makes probabilities honest and finds when to be silent, on images kept for validation; knows no network.

Source: C. Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599 (temperature).
"""

import numpy as np
from numpy.typing import NDArray

COLDEST, HOTTEST = 0.2, 10.0
REJECTED_SHARE = 0.02  # of the validation images that rejecting may cost
SMALLEST = 1e-30  # probability; float32 holds it, and its logarithm is finite


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Find by which number to divide a network's logits so that its probabilities are as likely as can be.

    A little of each target goes to the other classes, as in Platt's scaling, so that a few images that are all right
    do not ask for certainty.

    Args:
        probabilities: float32 ``(num_images, num_classes)``, what softmax makes of the logits.
        labels: int ``(num_images,)``.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    share = 1 / (len(labels) + 2)
    targets = np.full(logits.shape, share / logits.shape[1])
    targets[np.arange(len(labels)), labels] += 1 - share

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return -float((targets * scaled).sum())

    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(40):  # the loss has one valley; each time a third of the interval goes
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(np.exp(left)) < loss(np.exp(right)) else (left, high)
    return float(np.exp((low + high) / 2))


def temper(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities ``(num_images, num_classes)`` that logits divided by a temperature would have given."""
    powers = np.maximum(probabilities.astype(np.float64), SMALLEST) ** (1 / temperature)
    tempered: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return tempered


def reject_threshold(probabilities: NDArray[np.floating]) -> float:
    """Return the probability of the best class that all but `REJECTED_SHARE` of the images reach.

    Args:
        probabilities: ``(num_images, num_classes)``, of images that are of the classes.
    """
    return float(np.quantile(probabilities.max(axis=1), REJECTED_SHARE))
