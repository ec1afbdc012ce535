import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from tinysight.rejection import auroc, coverage_at, coverage_curve, score_outside


def test_the_area_is_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    higher, lower = np.round(rng.normal(1.5, 1, 300), 1), np.round(rng.normal(0, 1, 90), 1)
    expected = roc_auc_score(np.repeat([1, 0], [300, 90]), np.concatenate([higher, lower]))
    area, (low, high) = auroc(higher, lower)
    assert area == pytest.approx(expected)
    assert low < area < high


@pytest.mark.parametrize(("num_higher", "num_lower", "distance"), [(300, 100, 1), (200, 200, 2), (1_000, 300, 3)])
def test_the_interval_of_an_area_contains_it(num_higher, num_lower, distance):
    rng = np.random.default_rng(1)
    truth = norm.cdf(distance / np.sqrt(2))
    intervals = np.array(
        [auroc(rng.normal(distance, 1, num_higher), rng.normal(0, 1, num_lower))[1] for _ in range(1_500)]
    )
    assert 0.93 <= ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean() <= 0.97


def test_groups_that_are_apart_are_still_uncertain():
    area, (low, high) = auroc(np.linspace(0.8, 1, 20), np.linspace(0.2, 0.6, 10))
    assert area == 1
    assert 0.6 < low < 0.8
    assert high == 1
    assert auroc(np.ones(5), np.ones(5))[0] == 0.5
    assert auroc(np.array([0.9]), np.array([0.1]))[0] == 1


def test_images_of_no_class_are_counted_below_the_threshold():
    inside, outside = np.linspace(0.5, 1, 101), np.linspace(0, 0.99, 100)
    found = score_outside("letters", inside, outside, reject_below=0.25)
    assert (found.data_name, found.num_images, found.rejected) == ("letters", 100, 0.25)
    assert found.rejected_interval[0] < 0.25 < found.rejected_interval[1]
    assert score_outside("letters", inside, outside, reject_below=0).rejected == 0


@pytest.mark.parametrize("num_images", [1, 7, 100, 101, 2_500])
def test_each_point_is_what_its_threshold_gives(num_images):
    rng = np.random.default_rng(num_images)
    confidence = np.round(rng.beta(5, 1, num_images), 3 if num_images > 500 else 9)  # with ties
    is_correct = rng.random(num_images) < confidence
    curve = coverage_curve(confidence, is_correct)
    assert len(curve) <= 100
    assert (curve[0].coverage, curve[0].error) == (1, (~is_correct).mean())
    assert curve[-1].coverage <= max(0.05, 1 / num_images)
    thresholds = [point.threshold for point in curve]
    assert thresholds == sorted(set(thresholds))
    for point in curve:
        assert coverage_at(confidence, is_correct, point.threshold) == point


def test_the_curve_of_equal_confidences_is_one_point():
    curve = coverage_curve(np.ones(50), np.arange(50) < 40)
    assert [(point.threshold, point.coverage, point.error) for point in curve] == [(1, 1, 0.2)]


def test_where_nothing_is_answered_there_is_no_error():
    point = coverage_at(np.array([0.5, 0.6]), np.array([True, False]), 0.9)
    assert (point.coverage, point.error) == (0, None)
