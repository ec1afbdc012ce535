"""Confidence intervals."""

from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike


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
