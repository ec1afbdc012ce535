"""Confidence intervals of figures that are measured on a sample, and McNemar's test."""

from math import inf, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z_95 = 1.959964  # quantile of the normal distribution that leaves 2.5 % on either side
NUM_RESAMPLES = 1_000  # of a bootstrap: the bounds of its intervals are exact to about a tenth of their distance
MAX_RESAMPLED = 5_000  # values in a resample; more are first averaged in so many groups
PRIOR_IMAGES = 2  # images that a class's recall is shrunk by: with 1 image of some class 95 % intervals hold 95 %


def wilson_interval(num_correct: float, num_images: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of successes.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    share = num_correct / num_images
    spread = Z_95 * sqrt(share * (1 - share) / num_images + Z_95**2 / (4 * num_images**2))
    middle = share + Z_95**2 / (2 * num_images)
    scale = 1 + Z_95**2 / num_images
    low, high = max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
    return min(low, share), max(high, share)  # rounding may shift a bound across a share of 0 or 1


def mean_share_interval(num_correct: ArrayLike, num_images: ArrayLike) -> tuple[float, float]:
    """Return the 95 % interval of the mean of several shares, such as the recalls of all classes.

    It is Wilson's interval for as many images as would give a single share the same variance. The variance of each
    share is estimated after shrinking it towards the mean: a class with one image tells nothing of its own variance.
    A bootstrap would find none there; of classes with 1, 5, 50 and 500 images its intervals hold the mean only 31 %
    of the time, these 95 %.

    Args:
        num_correct: Count of successes in each group, ``(num_groups,)``.
        num_images: Count of images in each group, ``(num_groups,)``, at least 1.

    Source: E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", Survey Methodology 24 (1998), for Wilson's interval with an effective size.
    """
    hits, counts = np.asarray(num_correct, np.float64), np.asarray(num_images, np.float64)
    mean = float((hits / counts).mean())
    shrunk = (hits + PRIOR_IMAGES * mean) / (counts + PRIOR_IMAGES)
    variance = float((shrunk * (1 - shrunk) / counts).sum()) / len(counts) ** 2
    size = mean * (1 - mean) / variance if variance > 0 else len(counts) ** 2 / float((1 / counts).sum())
    return wilson_interval(mean * size, size)


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


def bootstrap_interval(values: NDArray[np.floating], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a mean by the studentized bootstrap; for values of any distribution.

    It takes skewness into account, which log losses have: a few images have very large ones.

    Args:
        values: Independent measurements, ``(num_images,)``. Of more than `MAX_RESAMPLED`, groups of random images are
            resampled.
        seed: Of the resamples; the same values in the same order give the same interval.

    Returns:
        Its bounds; of very few values they may be infinite.

    Source: B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 12.5.
    """
    mean = float(values.mean(dtype=np.float64))
    if len(values) < 2:
        return -inf, inf
    rng = np.random.default_rng(seed)
    centred = values.astype(np.float64) - mean
    if len(centred) > MAX_RESAMPLED:
        starts = np.linspace(0, len(centred), MAX_RESAMPLED, endpoint=False).astype(np.int64)
        centred = np.add.reduceat(rng.permutation(centred), starts) * (MAX_RESAMPLED / len(centred))
    means, squares = np.empty(NUM_RESAMPLES), np.empty(NUM_RESAMPLES)
    for resample in range(NUM_RESAMPLES):  # one at a time: it stays in the processor's cache
        drawn = centred[rng.integers(0, len(centred), len(centred), dtype=np.uint16)]
        means[resample], squares[resample] = drawn.sum(), drawn @ drawn
    means, squares = means / len(centred), squares / len(centred)
    error = float(centred.std())
    if not error:
        return mean, mean
    with np.errstate(divide="ignore", invalid="ignore"):
        in_deviations = np.nan_to_num(
            means / np.sqrt(np.maximum(squares - means**2, 0)), nan=0.0, posinf=inf, neginf=-inf
        )
    low, high = np.quantile(in_deviations, [0.025, 0.975], method="closest_observation")
    return mean - float(high) * error, mean - float(low) * error


def paired_interval(num_only_first: int, num_only_second: int, num_images: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies on the same images: second less first.

    Args:
        num_only_first: Count of images that only the first classifies correctly.
        num_only_second: Count of images that only the second classifies correctly.
        num_images: Count of all images.

    Source: T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17 (1998).
    """
    difference = (num_only_second - num_only_first) / num_images

    def score(assumed: float) -> float:
        """Return by how many standard errors the measured difference exceeds an assumed one."""
        linear = (2 * num_images - num_only_second + num_only_first) * assumed - num_only_second - num_only_first
        constant = -num_only_first * assumed * (1 - assumed)
        share = (sqrt(max(0.0, linear**2 - 8 * num_images * constant)) - linear) / (4 * num_images)
        variance = num_images * (2 * share + assumed * (1 - assumed))
        excess = num_images * (difference - assumed)
        return excess / sqrt(variance) if variance > 0 else (inf if excess > 0 else -inf if excess < 0 else 0.0)

    bounds = []
    for end, sign in ((-1.0, 1), (1.0, -1)):
        outside, inside = end, difference
        for _ in range(60):  # bisection down to the precision of a float
            middle = (outside + inside) / 2
            outside, inside = (middle, inside) if sign * score(middle) > Z_95 else (outside, middle)
        bounds.append(inside)
    return bounds[0], bounds[1]


def mcnemar_p_value(num_only_first: int, num_only_second: int) -> float:
    """Return the two-sided p-value of the exact McNemar test: whether two classifiers are equally often right.

    Args:
        num_only_first: Count of images that only the first classifies correctly.
        num_only_second: Count of images that only the second classifies correctly.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947); exact by the binomial distribution.
    """
    total, fewer = num_only_first + num_only_second, min(num_only_first, num_only_second)
    logs = np.log(total - np.arange(fewer)) - np.log(np.arange(1, fewer + 1))  # of C(total, k + 1) / C(total, k)
    logs = np.concatenate([[0.0], np.cumsum(logs)]) - total * log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))
