import pytest

from tinysight.errors import SettingsError
from tinysight.settings import TrainingSettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("recipe", "slow"), ("api", "subclassing"), ("hidden", ()), ("hidden", (784, 0)), ("dropout", 1.5),
        ("dropout", float("nan")), ("dropout_position", "beside"), ("epochs", 0), ("batch_size", -1),
        ("learning_rate", 0.0), ("schedule", "random"), ("validation", 0.0), ("validation", 1.0), ("seed", -1),
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
