from dataclasses import replace

import pytest

from tinysight.errors import SettingsError
from tinysight.study.settings import StudySettings
from tinysight.training.settings import TrainingSettings


def described(settings, sizes=(1_000,)):
    cells = settings.cells(sizes, "ink")
    return [cell.name(cells) for cell in cells]


def test_without_options_dropout_is_compared_with_none():
    assert described(StudySettings()) == ["no dropout", "dropout 0.5"]


def test_no_dropout_and_no_augmentation_are_always_among_the_cells():
    names = described(StudySettings(dropout=(0.3,), augment=("characters",)))
    assert names == [
        "no dropout, no augmentation", "dropout 0.3, no augmentation",
        "no dropout, augmentation characters", "dropout 0.3, augmentation characters",
    ]  # fmt: skip


def test_a_position_matters_only_where_there_is_dropout():
    names = described(StudySettings(dropout_position=("after", "before")))
    assert names == ["no dropout", "dropout 0.5 after the activation", "dropout 0.5 before the activation"]


def test_each_api_has_its_usual_position():
    cells = StudySettings(api=("sequential", "functional")).cells([1_000], "ink")
    found = {(cell.settings.api, cell.settings.dropout_position) for cell in cells if cell.settings.dropout}
    assert found == {("sequential", "after"), ("functional", "before")}


def test_each_cell_comes_once():
    cells = StudySettings(dropout=(0.5, 0.5, 0), api=("sequential", "sequential")).cells([100, 200], "ink")
    assert len(cells) == len(set(cells)) == 4


def test_sizes_follow_from_the_number_of_images():
    assert StudySettings().sizes(54_000) == (1_000, 10_000, 54_000)
    assert StudySettings().sizes(1_600) == (100, 400, 1_600)
    assert StudySettings(train_sizes=(None, 500)).sizes(1_600) == (500, 1_600)
    with pytest.raises(SettingsError, match="at most 1,600"):
        StudySettings(train_sizes=(5_000,)).sizes(1_600)


def test_without_a_recipe_the_tutorials_constant_rate_is_used_for_long_enough():
    (cell, _) = StudySettings().cells([54_000], "ink")
    assert (cell.settings.schedule, cell.settings.learning_rate) == ("constant", 0.001)
    assert (cell.settings.augment, cell.settings.batch_norm) == ("none", False)
    for size in (80, 1_000, 10_000, 54_000):
        (cell, _) = StudySettings().cells([size], "ink")
        steps = cell.settings.epochs * (size // cell.settings.batch_size)
        assert steps >= 150, size


def test_a_recipe_trains_as_it_does_in_train():
    chosen = TrainingSettings(recipe="fast")
    (cell, _) = StudySettings(training=chosen).cells([10_000], "ink")
    assert cell.settings == replace(chosen, dropout=0.0, dropout_position="after").resolved(10_000, "ink")


def test_layers_on_features_train_as_they_do_in_train():
    chosen = TrainingSettings(network="pretrained")
    (plain, dropped) = StudySettings(training=chosen).cells([300], "whole")
    assert plain.settings == replace(chosen, dropout=0.0, dropout_position="after").resolved(300, "whole")
    assert (plain.is_plain, dropped.settings.dropout) == (True, 0.5)


def test_what_a_network_does_not_have_is_refused():
    for network, values in (("pretrained", {"augment": ("objects",)}), ("convolutional", {"api": ("functional",)})):
        with pytest.raises(SettingsError, match="choose --network dense"):
            StudySettings(training=TrainingSettings(network=network), **values).cells([300], "whole")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dropout": (1.5,)}, "dropout is 1.5"),
        ({"num_seeds": 1}, "number of seeds is 1"),
        ({"train_sizes": (0,)}, "train size is 0"),
        ({"dropout_position": ("above",)}, "dropout position is 'above'"),
        ({"augment": ("mirrors",)}, "augment is 'mirrors'"),
        ({"api": ("torch",)}, "api is 'torch'"),
    ],
)
def test_wrong_values_are_refused(values, words):
    with pytest.raises(SettingsError, match=words):
        StudySettings(**values)
