from dataclasses import asdict

import pytest

from tinysight.errors import SettingsError
from tinysight.preprocessing import FRAMINGS
from tinysight.training.recipes import RECIPES
from tinysight.training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("recipe", "slow"), ("api", "subclassing"), ("hidden", ()), ("hidden", (784, 0)), ("dropout", 1.5),
        ("dropout", float("nan")), ("dropout_position", "beside"), ("epochs", 0), ("batch_size", -1),
        ("learning_rate", 0.0), ("schedule", "random"), ("augment", "everything"), ("weight_decay", -0.1),
        ("label_smoothing", 1.0), ("input_dropout", 1.0), ("adversarial", 2.0), ("ema_momentum", 1.0),
        ("patience", 0), ("validation", 0.0), ("validation", 1.0), ("seed", -1),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(setting, value):
    with pytest.raises(SettingsError, match=setting.split("_")[0]) as caught:
        TrainingSettings(**{setting: value})
    assert "expected" in str(caught.value)


def test_a_recipe_fills_only_what_was_left_open():
    settings = TrainingSettings(recipe="tutorial", epochs=2).resolved(60_000)
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (2, 32, 0.001)
    assert settings.schedule == "constant"


def test_the_tutorial_places_dropout_by_api():
    assert TrainingSettings(api="sequential").resolved(1000).dropout_position == "after"
    assert TrainingSettings(api="functional").resolved(1000).dropout_position == "before"
    assert TrainingSettings(api="functional", dropout_position="after").resolved(1000).dropout_position == "after"


def test_the_fast_recipe_gives_small_sets_more_passes():
    small, large = TrainingSettings().resolved(1_000), TrainingSettings().resolved(54_000)
    assert small.epochs > large.epochs
    assert small.batch_size < large.batch_size
    assert TrainingSettings().resolved(10).epochs <= 60


def test_a_small_set_of_drawn_characters_is_trained_accurately_by_default():
    by_default = [
        TrainingSettings().resolved(num_images, framing)
        for num_images, framing in ((19_999, "ink"), (20_000, "ink"), (19_999, "whole"))
    ]
    assert [settings.recipe for settings in by_default] == ["accurate", "fast", "fast"]
    assert by_default[0] == TrainingSettings(recipe="accurate").resolved(19_999, "ink")


def test_the_tutorial_alone_trains_without_normalization_of_any_kind():
    settings = {recipe: TrainingSettings(recipe=recipe).resolved(1_000, "ink") for recipe in RECIPES}
    assert settings["fast"].batch_norm
    assert settings["accurate"].batch_norm
    assert not settings["tutorial"].batch_norm


def test_accurate_augments_characters_and_nothing_else():
    characters = TrainingSettings(recipe="accurate").resolved(54_000, "ink")
    others = TrainingSettings(recipe="accurate").resolved(54_000, "whole")
    assert (characters.augment, characters.adversarial) == ("characters", 0.0)
    assert others.augment == "none"
    assert not others.augmentation.changes
    assert others.adversarial > 0
    flipped = TrainingSettings(recipe="accurate", flip=True).resolved(54_000, "whole")
    assert flipped.augmentation.changes
    assert flipped.adversarial == 0
    assert [settings.batch_norm for settings in (characters, others, flipped)] == [True, False, True]


def test_batch_normalization_of_single_images_is_refused_with_what_to_do():
    with pytest.raises(SettingsError, match="--no-batch-norm"):
        TrainingSettings(recipe="accurate", batch_size=1).resolved(54_000, "ink")
    assert not TrainingSettings(recipe="accurate", batch_size=1, batch_norm=False).resolved(54_000, "ink").batch_norm


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_nothing_is_left_open(recipe, framing):
    settings = TrainingSettings(recipe=recipe).resolved(2_000, framing)
    assert [name for name, value in asdict(settings).items() if value is None] == []
    assert settings.resolved(2_000, framing) == settings


def test_no_recipe_flips():
    assert not any(TrainingSettings(recipe=recipe).resolved(2_000).augmentation.flip for recipe in RECIPES)


def test_a_batch_is_no_larger_than_the_set():
    assert TrainingSettings(batch_size=1_000).resolved(12).batch_size == 12
