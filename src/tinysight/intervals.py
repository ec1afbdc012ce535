"""Confidence intervals."""

from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike

Z_95 = 1.959964  # quantile of the normal distribution that leaves 2.5 % on either side


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a mean by Student's t distribution.

    Args:
        values: Independent measurements, one for each seed. For a paired difference: each seed's difference.
        confidence: Share of such intervals that contain the true mean.

    Returns:
        Its bounds; they are infinite for a single value.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    from scipy.special import stdtrit

    measured = np.asarray(values, dtype=np.float64)
    if len(measured) < 2:
        return -inf, inf
    half = float(stdtrit(len(measured) - 1, (1 + confidence) / 2)) * float(measured.std(ddof=1)) / sqrt(len(measured))
    return float(measured.mean()) - half, float(measured.mean()) + half


def wilson_interval(num_correct: float, num_images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share that was measured on some images.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).
    """
    share, squared = num_correct / num_images, Z_95**2 / num_images
    centre = (share + squared / 2) / (1 + squared)
    half = Z_95 * sqrt(share * (1 - share) / num_images + squared / (4 * num_images)) / (1 + squared)
    return max(0.0, centre - half), min(1.0, centre + half)
