import json
from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.loading import load_images
from tinysight.study.report import render_study
from tinysight.study.results import summarize
from tinysight.study.settings import StudySettings
from tinysight.study.trainings import Scores, Task, split_for_seeds

EPOCHS = (1, 2, 5)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def made_up(cell, seed):
    """Scores as a training of the cell could give them: more images and dropout 0.5 help by a point each."""
    rng = np.random.default_rng([cell.num_train, seed, round(100 * cell.settings.dropout)])
    help_of_dropout = 0.01 if cell.settings.dropout else 0.0
    new = 1 - 2 * cell.num_train**-0.45 + help_of_dropout + 0.001 * rng.standard_normal()
    accuracies = {split: (0.5, 0.7, value) for split, value in (("train", 0.999), ("validation", new), ("test", new))}
    losses = {"train": (1.0, 0.5, 0.01), "validation": (1.0, 0.3, 0.4), "test": (1.0, 0.3, 0.4)}
    return Scores(
        EPOCHS, *(accuracies[split] for split in accuracies), *(losses[split] for split in losses), seconds=2.0
    )


@pytest.fixture(scope="module")
def result(digits):
    settings = StudySettings(train_sizes=(300, 600, 1_200))
    of_seeds = split_for_seeds(digits, settings)
    cells = settings.cells((300, 600, 1_200), "ink")
    return summarize(of_seeds, settings, cells, {Task(c, s): made_up(c, s) for c in cells for s in of_seeds})


def test_figures_are_means_over_the_seeds(result):
    cell = result.cells[0]
    by_seed = [made_up(cell.cell, seed).test_accuracy[-1] for seed in range(5)]
    assert cell.last("test_accuracy").mean == pytest.approx(np.mean(by_seed))
    assert cell.last("test_accuracy").low < min(max(by_seed), np.mean(by_seed))
    assert cell.judged.gap.mean == pytest.approx(0.999 - np.mean(by_seed))
    assert cell.judged.loss_gap.mean == pytest.approx(0.39)
    assert [figure.mean for figure in cell.curve("validation_loss")] == pytest.approx([1.0, 0.3, 0.4])


def test_each_size_compares_dropout_with_none(result):
    assert [(c.what, c.first.cell.num_train, c.first.name, c.second.name) for c in result.comparisons] == [
        ("remedy", size, "no dropout", "dropout 0.5") for size in (300, 600, 1_200)
    ]
    assert result.confidence == pytest.approx(1 - 0.05 / 3)
    assert result.comparisons[0].differences.test_accuracy.mean == pytest.approx(0.01, abs=0.002)


def test_the_verdict_is_that_of_all_images(result):
    assert [size for size, _ in result.verdicts] == [300, 600, 1_200]
    assert result.verdict.kind == "overfits and dropout helps"


def test_learning_curves_are_fitted_to_each_setting(result):
    assert [curve.name for curve in result.learning_curves] == ["no dropout", "dropout 0.5"]
    assert result.learning_curves[0].curve.expected_error == pytest.approx(2 * 2_400**-0.45, rel=0.05)


def test_positions_and_apis_are_compared_where_nothing_else_differs(digits):
    settings = StudySettings(api=("sequential", "functional"), dropout_position=("after", "before"), train_sizes=(300,))
    of_seeds = split_for_seeds(digits, settings)
    cells = settings.cells((300,), "ink")
    found = summarize(of_seeds, settings, cells, {Task(c, s): made_up(c, s) for c in cells for s in of_seeds})
    kinds = [comparison.what for comparison in found.comparisons]
    assert kinds.count("remedy") == 4
    assert kinds.count("dropout position") == 2
    assert kinds.count("api") == 1 + 2 + 2  # without dropout, of equal positions, of different ones


def test_json_holds_every_figure_and_no_time(result):
    text = json.dumps(result.to_dict(), allow_nan=False)
    found = json.loads(text)
    assert found["format"] == 1
    assert found["verdict"] == result.verdict.sentence
    assert found["correction"] == {"method": "Bonferroni", "num_comparisons": 3, "confidence": result.confidence}
    assert [cell["num_train"] for cell in found["cells"]] == [300, 300, 600, 600, 1_200, 1_200]
    assert found["cells"][0]["epochs"] == list(EPOCHS)
    assert len(found["cells"][0]["last_epoch_by_seed"]["test_accuracy"]) == 5
    assert "seconds" not in text


def test_times_change_nothing(digits, result):
    settings = StudySettings(train_sizes=(300, 600, 1_200))
    of_seeds = split_for_seeds(digits, settings)
    cells = settings.cells((300, 600, 1_200), "ink")
    slower = {Task(c, s): replace(made_up(c, s), seconds=99.0) for c in cells for s in of_seeds}
    assert summarize(of_seeds, settings, cells, slower).to_dict() == result.to_dict()


@pytest.mark.slow
def test_the_page_says_the_verdict_first_and_needs_no_script(result):
    page = render_study(result)
    assert page.index("overfits and dropout helps") < page.index("<table")
    assert "<script" not in page
    assert page.count("<svg") == 2 * 3 + 1
    assert len(page.encode()) < 3_000_000
    assert render_study(result) == page
