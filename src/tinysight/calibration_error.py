"""Measures how well probabilities are calibrated: expected calibration error and reliability curve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intervals import wilson_interval

NUM_BINS = 15
NUM_DRAWN = 2_000_000  # random numbers for the bias of the calibration error: 200 draws for 10,000 images
MIN_DRAWS, MAX_DRAWS = 20, 1_000


@dataclass(frozen=True)
class CalibrationBin:
    """Images with similar confidence; `confidence` and `accuracy` are their means, equal where it is calibrated."""

    num_images: int
    confidence: float
    accuracy: float
    accuracy_interval: tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """How far confidence, the largest probability of an image, is from accuracy.

    Attributes:
        ece: Expected calibration error: the mean of |confidence − accuracy| over `bins`, weighted by their images.
        ece_bias: The mean calibration error that a perfectly calibrated classifier with the same confidences would show
            on so many images. An `ece` near it is no sign of bad calibration.
        bins: At most 15 bins of equally many images, the least confident first. Images of equal confidence share a bin.
    """

    ece: float
    ece_bias: float
    bins: tuple[CalibrationBin, ...]


def measure_calibration(confidence: NDArray[np.floating], is_correct: NDArray[np.bool_]) -> Calibration:
    """Compare confidence with accuracy.

    Args:
        confidence: The largest probability of each image, ``(num_images,)``, at least one.
        is_correct: Whether each is classified correctly, bool ``(num_images,)``.

    Source: M. P. Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015, for the
    error; K. Nguyen and B. O'Connor, "Posterior calibration and exploratory analysis for natural language processing
    models", EMNLP 2015, for bins of equal mass; R. Roelofs et al., "Mitigating Bias in Calibration Error Estimation",
    AISTATS 2022, for its bias.
    """
    order = np.argsort(confidence, kind="stable")
    rising, hits = confidence[order].astype(np.float64), is_correct[order].astype(np.float64)
    starts = _bin_starts(rising)
    sizes = np.diff(starts, append=len(rising))
    mean_confidence = np.add.reduceat(rising, starts) / sizes
    num_correct = np.add.reduceat(hits, starts)
    rows = zip(sizes.tolist(), mean_confidence.tolist(), num_correct.tolist(), strict=True)
    return Calibration(
        ece=float(np.abs(num_correct - mean_confidence * sizes).sum()) / len(rising),
        ece_bias=_bias(rising, starts),
        bins=tuple(CalibrationBin(size, mean, hits / size, wilson_interval(hits, size)) for size, mean, hits in rows),
    )


def _bin_starts(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return where bins of about equally many images begin; the confidences rise."""
    quantiles = confidence[np.arange(NUM_BINS) * len(confidence) // NUM_BINS]
    return np.unique(np.searchsorted(confidence, quantiles))


def _bias(confidence: NDArray[np.float64], starts: NDArray[np.int64]) -> float:
    """Return the mean calibration error if each image were correct with the chance that its confidence states."""
    num_draws = min(max(NUM_DRAWN // len(confidence), MIN_DRAWS), MAX_DRAWS)
    rng = np.random.default_rng(0)
    chances = confidence.astype(np.float32)
    expected = np.add.reduceat(confidence, starts)
    total = 0.0
    for _ in range(num_draws):
        hits = rng.random(len(chances), dtype=np.float32) < chances
        total += float(np.abs(np.add.reduceat(hits, starts, dtype=np.int64) - expected).sum())
    return total / num_draws / len(confidence)
