from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.loading import load_images
from tinysight.errors import SettingsError
from tinysight.study import trainings
from tinysight.study.results import summarize
from tinysight.study.settings import StudySettings
from tinysight.study.trainings import (
    CellTrainer,
    Scores,
    Task,
    read_scores,
    scored_epochs,
    split_for_seeds,
    with_training_images,
    write_scores,
)
from tinysight.training import learner as learner_module
from tinysight.training.settings import TrainingSettings

SMALL = TrainingSettings(hidden=(16,), epochs=3, batch_size=32)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def run(images, settings):
    """Run a study in this process."""
    of_seeds = split_for_seeds(images, settings)
    sizes = settings.sizes(min(len(one.indices("train")) for one in of_seeds.values()))
    cells = settings.cells(sizes, images.framing.method)
    trainer = CellTrainer(of_seeds)
    scores = {Task(cell, seed): trainer.train(Task(cell, seed)) for cell in cells for seed in of_seeds}
    return summarize(of_seeds, settings, cells, scores)


def test_smaller_sets_are_parts_of_larger_ones_and_keep_the_classes_shares(digits):
    split = split_for_seeds(digits, StudySettings())[0]
    rows = [set(with_training_images(split, size, 3).indices("train").tolist()) for size in (50, 200, 1_000)]
    assert [len(of_size) for of_size in rows] == [50, 200, 1_000]
    assert rows[0] < rows[1] < rows[2] < set(split.indices("train").tolist())
    counts = np.bincount(digits.labels[sorted(rows[1])])
    assert counts.min() >= 18
    assert counts.max() <= 22


def test_validation_and_test_images_stay(digits):
    split = split_for_seeds(digits, StudySettings())[0]
    small = with_training_images(split, 50, 0)
    for kept in ("validation", "test"):
        np.testing.assert_array_equal(small.indices(kept), split.indices(kept))


def test_a_size_that_leaves_a_class_without_images_is_refused(digits):
    split = split_for_seeds(digits, StudySettings())[0]
    with pytest.raises(SettingsError, match="leaves no image of class .*expected 10 or more"):
        with_training_images(split, 5, 0)
    with_training_images(split, 10, 0)


def test_few_epochs_are_scored_all_and_many_in_part():
    assert scored_epochs(4) == (1, 2, 3, 4)
    assert scored_epochs(100)[0] == 1
    assert scored_epochs(100)[-1] == 100
    assert len(scored_epochs(100)) <= trainings.MAX_SCORED_EPOCHS


@pytest.mark.slow
def test_cells_of_a_seed_share_split_first_weights_and_batches(digits, monkeypatch):
    seen = []

    class Noting(learner_module.Learner):
        def restart(self, weights):
            super().restart(weights)
            seen.append([array.copy() for array in self.model.get_weights()])

        def train_epoch(self, data):
            rng = np.random.default_rng()
            rng.bit_generator.state = data.rng.bit_generator.state
            seen[-1] += [data.images.indices("train"), *(order for _, order in data.chunks.epoch(rng))]
            super().train_epoch(data)

    monkeypatch.setattr(learner_module, "Learner", Noting)
    settings = StudySettings(dropout_position=("after", "before"), augment=("characters",), num_seeds=2, training=SMALL)
    of_seeds = split_for_seeds(digits, settings)
    trainer = CellTrainer(of_seeds)
    cells = settings.cells([100], "ink")[:4]
    by_seed = []
    for seed in of_seeds:
        seen.clear()
        for cell in cells:
            trainer.train(Task(cell, seed))
        first, *others = seen
        assert len(first) == 4 + 2 * SMALL.epochs  # weights and biases of two layers; rows and order of each epoch
        for other in others:
            for one, same in zip(other, first, strict=True):
                np.testing.assert_array_equal(one, same)
        by_seed.append(first)
    assert (by_seed[0][0] != by_seed[1][0]).any()
    assert (by_seed[0][-1] != by_seed[1][-1]).any()


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [{}, {"recipe": "fast", "ema_momentum": 0.9}])
def test_a_compiled_program_used_again_trains_as_a_new_one(digits, chosen, monkeypatch):
    compiled = []
    compile_training = learner_module.compile_training
    monkeypatch.setattr(
        learner_module, "compile_training", lambda *given: compiled.append(given) or compile_training(*given)
    )
    settings = StudySettings(dropout=(0.5,), train_sizes=(150,), num_seeds=3, training=replace(SMALL, **chosen))
    of_seeds = split_for_seeds(digits, settings)
    cell = settings.cells([150], "ink")[1]
    used, tasks = CellTrainer(of_seeds), [Task(cell, seed) for seed in of_seeds]
    scores = [used.train(task) for task in tasks]
    assert len(compiled) == 1
    again = CellTrainer(of_seeds).train(tasks[2])
    assert replace(again, seconds=0) == replace(scores[2], seconds=0)
    assert replace(scores[0], seconds=0) != replace(scores[2], seconds=0)


@pytest.mark.slow
def test_both_apis_give_the_same_scores_without_dropout(digits):
    settings = StudySettings(
        dropout=(), api=("sequential", "functional"), num_seeds=2, train_sizes=(200,), training=SMALL
    )
    first, second = run(digits, settings).cells
    for curve, scores in first.scores.items():
        np.testing.assert_allclose(second.scores[curve], scores, rtol=1e-5, err_msg=curve)


@pytest.mark.slow
def test_shuffled_labels_are_memorised(digits):
    labels = np.random.default_rng(0).permutation(digits.labels)
    chosen = TrainingSettings(hidden=(256,), epochs=50, batch_size=32)
    result = run(replace(digits, labels=labels), StudySettings((), train_sizes=(200,), num_seeds=3, training=chosen))
    assert result.verdict.kind == "memorised", result.verdict.sentence


@pytest.mark.slow
def test_a_tiny_network_with_plenty_of_images_does_not_overfit(digits):
    chosen = TrainingSettings(hidden=(4,), epochs=4, batch_size=32)
    result = run(digits, StudySettings((), train_sizes=(None,), training=chosen))
    assert result.verdict.kind in ("underfits", "fits"), result.verdict.sentence


@pytest.mark.slow
def test_a_hundred_images_are_too_few(digits):
    rows = with_training_images(split_for_seeds(digits, StudySettings())[0], 100, 0).indices("train")
    hundred = digits.rows(rows)
    assert len(hundred) == 100
    result = run(hundred, StudySettings(train_sizes=(None,), training=TrainingSettings(hidden=(64,), epochs=15)))
    assert result.verdict.kind == "too few images to tell", result.verdict.sentence
    assert "images would tell" in result.verdict.sentence
    assert not result.learning_curves


@pytest.mark.slow
def test_a_dropout_of_95_percent_underfits(digits):
    chosen = TrainingSettings(hidden=(64, 32), epochs=12, batch_size=32)
    result = run(digits, StudySettings((0.95,), train_sizes=(600,), num_seeds=4, training=chosen))
    assert result.verdict.kind == "underfits", result.verdict.sentence
    assert "dropout 0.95" in result.verdict.sentence


@pytest.fixture
def task():
    return Task(StudySettings(training=SMALL).cells([100], "ink")[0], 4)


SCORES = Scores((1, 2, 3), *(tuple(share / 10 + place / 100 for share in range(3)) for place in range(6)), seconds=1.5)


def test_scores_are_read_as_they_were_written(task, tmp_path):
    write_scores(tmp_path, task, "data", SCORES)
    assert read_scores(tmp_path, task, "data") == SCORES


def test_scores_of_other_settings_seeds_sizes_or_images_are_never_taken(task, tmp_path):
    write_scores(tmp_path, task, "data", SCORES)
    cell = task.cell
    others = [
        Task(cell, 5),
        Task(replace(cell, num_train=101), 4),
        Task(replace(cell, settings=replace(cell.settings, dropout=0.1)), 4),
        Task(replace(cell, settings=replace(cell.settings, epochs=4)), 4),
    ]
    for other in others:
        assert read_scores(tmp_path, other, "data") is None
    assert read_scores(tmp_path, task, "other data") is None
    # The seed that a cell's settings hold does not matter: a training has its own
    assert read_scores(tmp_path, Task(replace(cell, settings=replace(cell.settings, seed=9)), 4), "data") == SCORES


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"scores": {}}', b'{"scores": 3}', b"\xff\xfe"])
def test_a_damaged_file_counts_as_none(task, tmp_path, damaged):
    write_scores(tmp_path, task, "data", SCORES)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damaged)
    assert read_scores(tmp_path, task, "data") is None
