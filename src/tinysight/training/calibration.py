"""Temperature scaling and the rejection threshold, fitted to the validation images.

Source: C. Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599.
"""

import numpy as np
from numpy.typing import NDArray

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 10.0
REJECTED_SHARE = 0.02  # of the validation images is rejected
MIN_PROBABILITY = 1e-30  # float32 holds it, and its logarithm is finite


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the temperature by which to divide a network's logits so that the log loss is lowest.

    Labels are smoothed a little, as in Platt scaling. Otherwise a few images that are all classified correctly would
    ask for a temperature of zero.

    Args:
        probabilities: The network's probabilities, float32 ``(num_images, num_classes)``.
        labels: int ``(num_images,)``.

    Returns:
        A number from `MIN_TEMPERATURE` to `MAX_TEMPERATURE`.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY))
    share = 1 / (len(labels) + 2)
    targets = np.full(logits.shape, share / logits.shape[1])
    targets[np.arange(len(labels)), labels] += 1 - share

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return -float((targets * scaled).sum())

    low, high = np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)
    for _ in range(40):  # ternary search: the loss is unimodal, and each step cuts off a third of the interval
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(np.exp(left)) < loss(np.exp(right)) else (left, high)
    return float(np.exp((low + high) / 2))


def apply_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities ``(num_images, num_classes)`` that the logits give when divided by a temperature.

    Divided by its reciprocal, calibrated probabilities become again what they were before.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    calibrated: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return calibrated


def rejection_threshold(probabilities: NDArray[np.floating]) -> float:
    """Return the threshold of the top probability below which `REJECTED_SHARE` of the images lie.

    Args:
        probabilities: ``(num_images, num_classes)``, of images that belong to the classes.
    """
    return float(np.quantile(probabilities.max(axis=1), REJECTED_SHARE))
