"""Measures the reject option: coverage against error, and how well a score separates images of no class (AUROC)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intervals import wilson_interval

MAX_POINTS = 100  # of a coverage curve: one for each percent of the images


@dataclass(frozen=True)
class CoveragePoint:
    """What is answered if predictions less probable than a threshold are rejected.

    Attributes:
        threshold: The lowest probability that is answered.
        coverage: Share of all images that is answered.
        error: Share of the answered images that is classified wrongly; None where none is answered.
    """

    threshold: float
    coverage: float
    error: float | None


@dataclass(frozen=True)
class OutsideScore:
    """How well the largest probability tells images of the classes from images of none.

    Attributes:
        data_name: What the images of no class were loaded from.
        num_images: How many of them were scored.
        auroc: Chance that one of them has a lower largest probability than an image of the classes; equal ones count
            half. 0.5 is chance, 1 is perfect.
        auroc_interval: Its 95 % interval.
        rejected: Share of them whose largest probability is below the classifier's `reject_below`.
        rejected_interval: Wilson's 95 % interval of it.
    """

    data_name: str
    num_images: int
    auroc: float
    auroc_interval: tuple[float, float]
    rejected: float
    rejected_interval: tuple[float, float]


def coverage_at(confidence: NDArray[np.floating], is_correct: NDArray[np.bool_], threshold: float) -> CoveragePoint:
    """Return the point of one threshold; arguments as for `coverage_curve`."""
    answered = confidence >= threshold
    num_answered, num_wrong = int(answered.sum()), int((answered & ~is_correct).sum())
    return CoveragePoint(threshold, num_answered / len(answered), num_wrong / num_answered if num_answered else None)


def coverage_curve(confidence: NDArray[np.floating], is_correct: NDArray[np.bool_]) -> tuple[CoveragePoint, ...]:
    """Return at most `MAX_POINTS` points, from answering all images to answering few.

    Args:
        confidence: The largest probability of each image, ``(num_images,)``, at least one.
        is_correct: Whether each is classified correctly, bool ``(num_images,)``.

    Source: R. El-Yaniv and Y. Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 11 (2010).
    """
    order = np.argsort(-confidence, kind="stable")
    falling, num_wrong = confidence[order], np.cumsum(~is_correct[order])
    num_points = min(MAX_POINTS, len(order))
    wanted = falling[-(-np.arange(num_points, 0, -1) * len(order) // num_points) - 1]  # at 100 %, 99 %, …
    last = len(order) - 1 - np.searchsorted(falling[::-1], wanted)  # of the images with at least that confidence
    last = np.unique(last)[::-1]
    return tuple(
        CoveragePoint(float(falling[place]), (place + 1) / len(order), int(num_wrong[place]) / (place + 1))
        for place in last.tolist()
    )


def score_outside(
    data_name: str, inside: NDArray[np.floating], outside: NDArray[np.floating], reject_below: float
) -> OutsideScore:
    """Score how well the largest probability tells images of the classes from images of none.

    Args:
        data_name: What the images of no class were loaded from.
        inside: The largest probability of each image of the classes, ``(num_inside,)``.
        outside: That of each image of no class, ``(num_outside,)``.
        reject_below: The classifier's threshold.
    """
    num_rejected = int((outside < reject_below).sum())
    return OutsideScore(
        data_name,
        len(outside),
        *auroc(inside, outside),
        rejected=num_rejected / len(outside),
        rejected_interval=wilson_interval(num_rejected, len(outside)),
    )


def auroc(higher: NDArray[np.floating], lower: NDArray[np.floating]) -> tuple[float, tuple[float, float]]:
    """Return the area under the ROC curve of telling two groups by a score, with its 95 % interval.

    The interval is Wilson's for as many images as would give a share the variance that DeLong's method estimates.

    Args:
        higher: Scores of the group that should have the higher ones, ``(num_higher,)``.
        lower: Scores of the other group, ``(num_lower,)``.

    Source: E. R. DeLong et al., "Comparing the areas under two or more correlated receiver operating characteristic
    curves: a nonparametric approach", Biometrics 44 (1988).
    """
    placements = [_share_below(higher, lower), 1 - _share_below(lower, higher)]
    area = float(placements[0].mean())
    variance = sum(float(part.var()) / max(len(part) - 1, 1) for part in placements)
    smallest = min(len(higher), len(lower))  # where the groups are apart, the variance is estimated as 0
    size = area * (1 - area) / variance if variance > 0 else smallest
    return area, wilson_interval(area * size, size)


def _share_below(values: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return for each value the share of others below it, equal ones counted half."""
    rising = np.sort(others)
    counts = np.searchsorted(rising, values, "left") + np.searchsorted(rising, values, "right")
    shares: NDArray[np.float64] = counts / (2 * len(others))
    return shares
