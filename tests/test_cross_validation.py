"""A network for each fold, none of which has seen what it is scored on; then one of all images."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tinysight.cross_validation import cross_validate
from tinysight.data.loading import load_images
from tinysight.errors import SettingsError, TinysightError
from tinysight.evaluation import evaluate
from tinysight.training import train as train_module
from tinysight.training.settings import TrainingSettings

SMALL = TrainingSettings(recipe="fast", hidden=(32,), epochs=3)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits").rows(np.arange(700))


@pytest.fixture(scope="module")
def validated(digits):
    """The result of three folds, and the trainings in their order."""
    trainings, folds, train = [], [], train_module.train

    def recording(*given, **named):
        trainings.append(train(*given, **named))
        return trainings[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "train", recording)
        return cross_validate(digits, SMALL, 3, folds.append), trainings, folds


def test_each_fold_is_scored_by_a_network_that_has_not_seen_it(digits, validated):
    (_, evaluation), trainings, folds = validated
    assert len(trainings) == 4
    alone = [evaluate(one.classifier, one.images.subset("test")) for one in trainings[:3]]
    assert [(one.num_images, one.num_correct) for one in alone] == [(one.num_images, one.num_correct) for one in folds]
    assert evaluation.num_images == len(digits)
    assert evaluation.num_correct == sum(one.num_correct for one in folds)
    np.testing.assert_array_equal(evaluation.confusion_matrix, sum(np.array(one.confusion_matrix) for one in alone))
    mistakes = {mistake.source for one in alone for mistake in one.mistakes}
    assert {mistake.source for mistake in evaluation.mistakes} == mistakes


def test_mean_and_interval_are_those_of_the_folds(validated):
    (_, evaluation), _, folds = validated
    shares = np.array([one.accuracy for one in folds])
    scores = evaluation.fold_scores
    assert scores.folds == tuple(folds)
    assert scores.mean == pytest.approx(shares.mean())
    half = 4.3026527 * shares.std(ddof=1) / np.sqrt(3)  # quantile of Student's t with 2 degrees of freedom
    expected = max(shares.mean() - half, 0), min(shares.mean() + half, 1)
    assert scores.interval == pytest.approx(expected)


def test_the_classifier_is_trained_on_all_images(digits, validated):
    (training, _), trainings, _ = validated
    assert training is trainings[3]
    assert not len(training.images.indices("test"))
    assert len(training.images.indices("train")) + len(training.images.indices("validation")) == len(digits)
    assert len(training.classifier.metadata.training_hashes) == len(digits)


def test_nonsense_and_a_stop_are_refused_in_a_line(digits):
    with pytest.raises(SettingsError, match="number of folds is 1"):
        cross_validate(digits, SMALL, 1)
    with pytest.raises(TinysightError, match="stopped in fold 1 of 2"):
        cross_validate(digits, replace(SMALL, epochs=2), 2, should_stop=lambda: True)


@pytest.mark.slow
def test_the_command_writes_a_run(tinysight, tmp_path):
    run = tmp_path / "run"
    options = ("--recipe", "fast", "--hidden", "16", "--epochs", "2", "--folds", "2")
    status, printed, error = tinysight("train", "digits", "--out", run, *options)
    assert status == 0, error
    assert "mean of 2 folds" in printed
    assert "all folds together" in printed
    assert f"predict {run / 'model.onnx'}" in printed
    assert "evaluate" not in printed
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["split"] == "folds"
    assert [one["num_images"] for one in evaluation["fold_scores"]["folds"]] == pytest.approx([898, 898], abs=8)
    page = (run / "report.html").read_text()
    assert "accuracy of the folds" in page
    assert "scored by the network of its fold" in page
    (run / "report.html").unlink()
    assert tinysight("report", run)[0] == 0
    assert (run / "report.html").read_text() == page
    assert tinysight("evaluate", run / "model.onnx", "digits")[0] == 1  # nothing is left that it was not trained on


@pytest.mark.parametrize(
    ("options", "word"), [(("--folds", "1"), "from 2 to"), (("--folds", "3", "--resume"), "--resume")]
)
def test_wrong_options_are_wrong_usage(tinysight, tmp_path, options, word):
    status, _, error = tinysight("train", "digits", "--out", tmp_path / "run", *options)
    assert (status, error.count("\n")) == (2, 1)
    assert word in error
