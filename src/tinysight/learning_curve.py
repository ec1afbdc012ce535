"""Fits a learning curve, error = a·n^(−b) + c over numbers n of training images, and continues it to twice as many.

Source: C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", NIPS 6 (1994).
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .intervals import Z_95

MIN_SIZES = 3  # the curve has three parameters
EXPONENTS = np.geomspace(0.02, 3, 120)  # that are tried; measured ones are mostly between 0.1 and 1
NUM_RESAMPLES = 1_000
# Seeds are few, so a bootstrap of them is too narrow: by √((k−1)/k), and as a normal distribution is narrower than
# Student's. Source: T. Hesterberg, "What Teachers Should Know About the Bootstrap", Am. Statistician 69 (2015).


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve, and its continuation to twice the images.

    Attributes:
        scale: a in error = a·n^(−b) + c.
        exponent: b.
        limit: c, the error that no number of images would remove.
        num_train: The largest number of training images.
        error: The error measured there, 0…1.
        expected_error: The curve's error at twice that number.
        expected_interval: Its 95 % interval.
        is_known: Whether the interval is narrow enough to say anything: it is below the present error, and it is at
            most half as wide as that.
    """

    scale: float
    exponent: float
    limit: float
    num_train: int
    error: float
    expected_error: float
    expected_interval: tuple[float, float]
    is_known: bool

    @property
    def sentence(self) -> str:
        """What twice the images would probably bring."""
        twice, low, high = 2 * self.num_train, *(f"{100 * bound:.2f}" for bound in self.expected_interval)
        if not self.is_known:
            return (
                f"what {twice:,} training images would bring cannot be told from these sizes: an error of {low} to "
                f"{high} % would fit (now {100 * self.error:.2f} %); more seeds or sizes would tell"
            )
        return (
            f"{twice:,} training images would probably lower the error from {100 * self.error:.2f} % to "
            f"{100 * self.expected_error:.2f} % (95 % interval {low} to {high} %)"
        )

    def errors_at(self, sizes: ArrayLike) -> NDArray[np.float64]:
        """Return the curve's error at numbers of training images."""
        return self.scale * np.asarray(sizes, np.float64) ** -self.exponent + self.limit


def fit_learning_curve(sizes: ArrayLike, errors: ArrayLike) -> LearningCurve | None:
    """Fit a learning curve by least squares of relative errors, with 0 ≤ a and 0 ≤ c.

    The interval comes from a bootstrap over the seeds, widened for their small number. It cannot know whether the error
    goes on as a power law.

    Args:
        sizes: Rising numbers of training images.
        errors: Shares of wrong answers, 0…1, ``(num_seeds, num_sizes)``; one seed's trainings are a row.

    Returns:
        The curve, or None for fewer than three sizes or two seeds, or where an error is zero on average.
    """
    n, measured = np.asarray(sizes, np.float64), np.asarray(errors, np.float64)
    num_seeds = len(measured)
    means = measured.mean(axis=0)
    if len(n) < MIN_SIZES or num_seeds < 2 or not means.all():
        return None
    from scipy.special import stdtrit

    # The curve, and those of resampled seeds
    parameters = _fit(n, means[None], means)
    rng = np.random.default_rng(0)
    resampled = measured[rng.integers(num_seeds, size=(NUM_RESAMPLES, num_seeds))].mean(axis=1)
    at_twice = [_errors_at(2 * n[-1], found) for found in (parameters, _fit(n, resampled, means))]
    # The interval
    widening = float(stdtrit(num_seeds - 1, 0.975)) / Z_95 * sqrt(num_seeds / (num_seeds - 1))
    expected = float(at_twice[0][0])
    low, high = expected + widening * (np.quantile(at_twice[1], [0.025, 0.975]) - expected)
    low, high = max(0.0, float(min(low, expected))), float(max(high, expected))
    error = float(means[-1])
    is_known = high < error and high - low <= error / 2
    scale, exponent, limit = (float(value) for value in parameters[0])
    return LearningCurve(scale, exponent, limit, int(n[-1]), error, expected, (low, high), is_known)


def _errors_at(size: float, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    return parameters[:, 0] * size ** -parameters[:, 1] + parameters[:, 2]


def _fit(n: NDArray[np.float64], errors: NDArray[np.float64], typical: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a curve to each row of errors; return a, b, c of each, ``(num_rows, 3)``.

    For each exponent the best a and c follow by linear least squares; the best of the exponents is taken.
    """
    x, w = n ** -EXPONENTS[:, None], 1 / typical**2  # (exponents, sizes), (sizes,)
    sum_w, x_mean = w.sum(), (w * x).sum(axis=1) / w.sum()
    y_mean = (errors * w).sum(axis=1) / sum_w
    centred = w * (x - x_mean[:, None])
    slope = errors @ centred.T / (centred * x).sum(axis=1)  # (rows, exponents)
    limit = y_mean[:, None] - slope * x_mean
    # Where c would be negative it is 0; where a would be negative it is 0
    through_zero = errors @ (w * x).T / (w * x**2).sum(axis=1)
    slope = np.where(limit < 0, through_zero, slope)
    limit = np.where(limit < 0, 0.0, limit)
    limit = np.where(slope < 0, y_mean[:, None], limit)
    slope = slope.clip(0)
    residuals = slope[..., None] * x + limit[..., None] - errors[:, None]
    best = (w * residuals**2).sum(axis=2).argmin(axis=1)
    rows = np.arange(len(errors))
    return np.stack([slope[rows, best], EXPONENTS[best], limit[rows, best]], axis=1)
