"""The rules on planted cases: what they must say is known."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from tinysight.overfitting import (
    Comparison,
    Figure,
    JudgedCell,
    SeedScores,
    corrected_confidence,
    judge_difference,
    judge_remedy,
    run_verdict,
)

MANY = 6_000  # different validation images
SPREAD = 0.0015  # of an accuracy over seeds, as MNIST has


def planted(train=0.999, validation=0.98, test=None, *, spread=SPREAD, losses=(0.01, 0.1, 0.09), seed=0, num_seeds=5):
    """Scores around true values; those of one seed share a part of their deviation, as paired trainings do."""
    rng = np.random.default_rng(seed)
    shared = spread * np.random.default_rng(1).standard_normal(num_seeds)
    train_loss, validation_loss, lowest = (loss * (1 + 0.03 * rng.standard_normal(num_seeds)) for loss in losses)
    accuracies = (train, validation, validation if test is None else test)
    return SeedScores(
        *((true + shared + spread / 2 * rng.standard_normal(num_seeds)).clip(0, 1) for true in accuracies),
        train_loss, validation_loss, np.minimum(lowest, validation_loss),
    )  # fmt: skip


def judged(scores, num_validation=MANY, num_images=60_000, commonest=0.1):
    return JudgedCell(scores, num_images, num_validation, commonest)


def verdict(plain, treated, num_validation=MANY, num_comparisons=1):
    comparison = Comparison.of(plain, treated, corrected_confidence(num_comparisons))
    return judge_remedy(judged(plain, num_validation), judged(treated, num_validation), comparison, "dropout")


def test_a_gap_of_two_points_is_overfitting():
    assert judged(planted(0.999, 0.979)).kind == "overfits"


def test_a_gap_within_the_tolerance_is_none():
    assert judged(planted(0.985, 0.982, losses=(0.05, 0.06, 0.06))).kind == "fits"


def test_a_rising_validation_loss_is_overfitting_even_where_accuracies_agree():
    assert judged(planted(0.99, 0.985, losses=(0.01, 0.09, 0.06))).kind == "overfits"
    assert judged(planted(0.99, 0.985, losses=(0.01, 0.061, 0.06))).kind == "fits"


def test_errors_on_training_images_as_large_as_on_new_ones_are_underfitting():
    assert judged(planted(0.70, 0.69)).kind == "underfits"
    assert judged(planted(0.90, 0.70)).kind == "overfits"


def test_success_on_training_images_alone_is_memorising():
    assert judged(planted(1.0, 0.1)).kind == "memorised"
    assert judged(planted(1.0, 0.3)).kind == "overfits"
    assert judged(planted(0.12, 0.1)).kind == "underfits"


def test_few_validation_images_tell_nothing():
    few = judged(planted(1.0, 0.85), num_validation=40, num_images=80)
    assert few.kind == "too few images to tell"
    assert 100 < few.needed < 1_000
    enough = judged(planted(1.0, 0.85), num_validation=40 * few.needed // 80, num_images=few.needed)
    assert enough.kind == "overfits"


def test_all_right_on_few_images_is_no_certainty():
    scores = planted(1.0, 1.0, spread=0)
    assert judged(scores, num_validation=15).kind == "too few images to tell"
    assert judged(scores, num_validation=15).gap.high > 0.05


def test_seeds_that_disagree_tell_nothing():
    wild = judged(planted(0.97, 0.96, spread=0.1, num_seeds=3))
    assert wild.kind == "too few seeds to tell"


def test_identical_settings_differ_in_five_of_a_hundred_studies_at_most():
    kinds = []
    for trial in range(2_000):
        first, second = planted(seed=2 * trial + 10), planted(seed=2 * trial + 11)
        kinds.append(judge_difference(Comparison.of(first, second, 0.95), "a", "b").kind)
    same = np.array(kinds) == "no difference"
    assert same[:100].sum() >= 93
    assert 0.94 <= same.mean() <= 0.96


def test_with_the_correction_a_whole_study_finds_nothing_in_95_of_a_hundred():
    wrong = 0
    for trial in range(600):
        cells = [planted(seed=7 * trial + number) for number in range(7)]
        comparisons = [Comparison.of(cells[0], cell, corrected_confidence(6)).test_accuracy for cell in cells[1:]]
        wrong += any(figure.low > 0 or figure.high < 0 for figure in comparisons)
    assert wrong / 600 <= 0.06


def test_a_true_difference_of_a_point_is_found_with_five_seeds():
    for trial in range(20):
        plain, treated = planted(0.999, 0.96, seed=2 * trial), planted(0.999, 0.97, seed=2 * trial + 1)
        found = verdict(plain, treated, num_comparisons=3)
        assert found.kind == "overfits and dropout helps"
        assert "test accuracy rises by" in found.sentence


def test_a_remedy_that_lowers_the_accuracy_does_not_help():
    plain, treated = planted(0.999, 0.97), planted(0.990, 0.965, losses=(0.02, 0.11, 0.09), seed=1)
    found = verdict(plain, treated)
    assert found.kind == "overfits and dropout does not help"
    assert "falls by" in found.sentence


def test_a_remedy_for_the_loss_alone_is_told_as_such():
    plain = planted(0.999, 0.97, losses=(0.01, 0.20, 0.12))
    treated = planted(0.999, 0.97, losses=(0.02, 0.12, 0.11), seed=1)
    found = verdict(plain, treated)
    assert found.kind == "narrows the gap in loss but not in accuracy"
    assert "from 0.1" in found.sentence


def test_a_remedy_that_is_too_strong_underfits():
    assert verdict(planted(0.999, 0.97), planted(0.95, 0.93, seed=1)).kind == "underfits"
    assert verdict(planted(0.999, 0.97), planted(0.60, 0.59, seed=1)).kind == "underfits"


def test_without_overfitting_the_verdict_is_about_the_fit():
    fitting = planted(0.985, 0.982, losses=(0.05, 0.06, 0.06))
    same = planted(0.984, 0.982, losses=(0.05, 0.06, 0.06), seed=1)
    found = verdict(fitting, same)
    assert found.kind == "fits"
    assert "does not help" in found.sentence


def test_a_network_that_underfits_anyway_is_not_blamed_on_the_remedy():
    found = verdict(planted(0.70, 0.69), planted(0.698, 0.69, seed=1))
    assert found.kind == "underfits"
    assert found.sentence.startswith("underfits: 70")


def test_a_remedy_that_narrows_both_gaps_without_a_higher_accuracy_does_not_help():
    plain = planted(0.999, 0.97, losses=(0.01, 0.20, 0.12))
    treated = planted(0.980, 0.97, losses=(0.02, 0.12, 0.11), seed=1)
    found = verdict(plain, treated)
    assert found.kind == "overfits and dropout does not help"
    assert re.search(
        r"although it narrows the gap in accuracy \(to 1.\d+ points\) and in loss \(from 0.1", found.sentence
    )


def test_too_few_images_are_too_few_for_any_remedy():
    found = verdict(planted(1.0, 0.8), planted(1.0, 0.9), num_validation=30)
    assert found.kind == "too few images to tell"
    assert "images would tell" in found.sentence


@dataclass
class Epoch:
    train_accuracy: float
    validation_accuracy: float
    validation_loss: float = 0.1


@dataclass
class Settings:
    recipe: str = "fast"
    epochs: int = 4
    dropout: float = 0.0
    network: str = "dense"


def test_on_features_that_stay_only_more_images_are_advised():
    found = of_run(1.0, 0.95, network="pretrained")
    assert (found.kind, found.advice, found.changes) == ("overfits", "more images help most", ())


def of_run(train, validation, num_validation=6_000, best_epoch=1, **settings):
    history = [Epoch(train, validation), Epoch(1.0, 0.5)]
    return run_verdict(history, best_epoch, 9 * num_validation, num_validation, Settings(**settings), 0.11)


@pytest.mark.parametrize(
    ("train", "validation", "num_validation", "kind"),
    [
        (0.9996, 0.972, 6_000, "overfits"),
        (0.985, 0.983, 6_000, "fits"),
        (0.88, 0.87, 6_000, "underfits"),
        (1.0, 0.10, 600, "memorised"),
        (1.0, 0.90, 20, "too few images to tell"),
        (1.0, 0.97, 100, "too few images to tell"),
        (1.0, 0.90, 600, "overfits"),
    ],
)
def test_the_verdict_on_one_training(train, validation, num_validation, kind):
    assert of_run(train, validation, num_validation).kind == kind


def test_the_verdict_is_about_the_epoch_that_was_kept():
    assert of_run(0.985, 0.983, best_epoch=1).kind == "fits"
    assert of_run(0.985, 0.983, best_epoch=2).kind == "overfits"


def test_the_gap_of_one_training_has_newcombes_interval():
    # His example: 56 of 70 against 48 of 80
    found = run_verdict([Epoch(56 / 70, 48 / 80)], 1, 70, 80, Settings())
    assert "20.0 points (95 % interval 5.2 to 33.4)" in found.sentence


@pytest.mark.parametrize(
    ("train", "validation", "settings", "changes"),
    [
        (1.0, 0.95, {"recipe": "fast"}, {"recipe": "accurate", "epochs": None}),
        (1.0, 0.95, {"recipe": "accurate", "dropout": 0.1}, {"dropout": 0.3}),
        (1.0, 0.95, {"recipe": "robust", "dropout": 0.5}, {}),
        (0.7, 0.69, {"dropout": 0.9}, {"dropout": 0.45}),
        (0.7, 0.69, {"epochs": 2}, {"epochs": 6}),
        (0.7, 0.69, {"epochs": 4}, {}),  # it was stopped after 2
        (0.985, 0.983, {}, {}),
    ],
)
def test_the_advice_fits_what_was_done(train, validation, settings, changes):
    assert dict(of_run(train, validation, **settings).changes) == changes


def test_a_figure_is_written_with_a_true_minus_sign():
    assert Figure(-0.004, -0.0062, 0.001).points(signed=True) == "−0.40 points (95 % interval −0.62 to +0.10)"
