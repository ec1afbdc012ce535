import numpy as np
import pytest

from tinysight.calibration_error import measure_calibration


def drawn(num_images, power=1.0, seed=0):
    """Return confidences, and hits with chances that are a power of them: calibrated where it is 1."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(12, 1, num_images).astype(np.float32)
    return confidence, rng.random(num_images) < confidence**power


def test_the_error_is_the_weighted_mean_over_bins_of_equal_mass():
    confidence, hits = drawn(1_500)
    order = np.argsort(confidence)
    gaps = [
        abs(part_confidence.mean() - part_hits.mean())
        for part_confidence, part_hits in zip(
            np.split(confidence[order].astype(float), 15), np.split(hits[order], 15), strict=True
        )
    ]
    found = measure_calibration(confidence, hits)
    assert found.ece == pytest.approx(np.mean(gaps))
    assert [one.num_images for one in found.bins] == [100] * 15
    assert [abs(one.confidence - one.accuracy) for one in found.bins] == pytest.approx(gaps)


@pytest.mark.parametrize("num_images", [200, 1_000, 10_000])
def test_a_calibrated_classifier_shows_its_bias(num_images):
    """The error of calibrated probabilities is not 0; over many test sets it is the bias on average."""
    found = [measure_calibration(*drawn(num_images, seed=seed)) for seed in range(30)]
    assert np.mean([one.ece for one in found]) == pytest.approx(np.mean([one.ece_bias for one in found]), rel=0.12)
    assert all(one.ece_bias > 0 for one in found)


def test_too_confident_answers_are_found():
    found = measure_calibration(*drawn(10_000, power=3))
    expected = np.mean([confidence - confidence**3 for confidence in drawn(10_000)[0]])
    assert found.ece == pytest.approx(expected, abs=0.01)
    assert found.ece > 10 * found.ece_bias
    assert all(one.accuracy_interval[0] <= one.accuracy <= one.accuracy_interval[1] for one in found.bins)


def test_images_of_equal_confidence_share_a_bin():
    """Otherwise the order of the images would decide on the error."""
    confidence = np.array([0.5] * 3 + [1.0] * 27, np.float32)
    hits = np.array([True, False, False] + [True] * 26 + [False])
    found = measure_calibration(confidence, hits)
    assert [(one.num_images, one.confidence) for one in found.bins] == [(3, 0.5), (27, 1.0)]
    assert found.ece == pytest.approx((3 * (0.5 - 1 / 3) + 27 / 27) / 30)
    assert measure_calibration(confidence[::-1], hits[::-1]) == found


def test_one_image_is_enough():
    (one,) = measure_calibration(np.array([0.75], np.float32), np.array([True])).bins
    assert (one.num_images, one.confidence, one.accuracy) == (1, 0.75, 1.0)
