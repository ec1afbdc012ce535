import shlex
from dataclasses import fields
from typing import Any

import pytest
import typer

from tinysight.cli.options import (
    PANELS,
    DataArgument,
    parse_hidden,
    parse_rates,
    parse_train_sizes,
    setting_arguments,
    with_settings,
)
from tinysight.errors import SettingsError
from tinysight.training.settings import TrainingSettings

SETTINGS = fields(TrainingSettings)


def parsed(*arguments):
    """Return the settings that a command gets from a command line."""
    received = {}

    @with_settings
    def command(data: DataArgument, **settings: Any) -> int:
        received.update(settings)
        return 0

    app = typer.Typer()
    app.command()(command)
    app(args=["digits", *arguments], standalone_mode=False)
    return received


def other_value(setting):
    """Return a value that is not the setting's default, and how a command line writes it."""
    if setting.type in (bool, bool | None):
        return True, ()
    if setting.metadata["choices"]:
        value = setting.metadata["choices"][-1]
        return value, (value,)
    if setting.name == "hidden":
        return "12,8", ("12,8",)
    if setting.name == "group":
        return "(a|b) c", ("(a|b) c",)
    low, high = setting.metadata["limits"]
    value = 2 if setting.type in (int, int | None) else (low + high) / 2
    return value, (str(value),)


def test_without_options_the_settings_are_the_defaults():
    given = parsed()
    assert TrainingSettings(**{**given, "hidden": parse_hidden(given["hidden"])}) == TrainingSettings()


@pytest.mark.parametrize("setting", SETTINGS, ids=[setting.name for setting in SETTINGS])
def test_every_setting_has_an_option_of_its_name(setting):
    value, written = other_value(setting)
    assert value != setting.default
    given = parsed(f"--{setting.name.replace('_', '-')}", *written)
    assert {name for name, one in given.items() if one != parsed()[name]} == {setting.name}
    assert given[setting.name] == value


@pytest.mark.parametrize("setting", SETTINGS, ids=[setting.name for setting in SETTINGS])
def test_every_setting_is_explained_in_a_sentence_below_a_heading(setting):
    assert setting.metadata["help"].endswith(".")
    assert len(setting.metadata["help"].split()) >= 5
    assert setting.metadata["panel"] in PANELS
    assert f"    {setting.name}: {setting.metadata['help']}" in TrainingSettings.__doc__


@pytest.mark.parametrize(("command", "panels"), [("train", PANELS[1:]), ("study", PANELS)])
def test_help_lists_the_common_options_first(tinysight, command, panels):
    status, printed, _ = tinysight(command, "--help")
    assert status == 0
    places = [printed.index(f"─ {panel} ─") for panel in panels]
    assert places == sorted(places)
    for setting in SETTINGS:
        if command == "train" or setting.name not in ("patience", "network"):
            assert f"--{setting.name.replace('_', '-')[:9]}" in printed  # a narrow terminal cuts long ones


def test_the_options_of_settings_give_the_same_settings():
    chosen = TrainingSettings(
        recipe="fast", dropout=0.3, hidden=(64, 32), batch_norm=False, flip=True, seed=3, group=r"^(\w+?) '_"
    )
    given = parsed(*shlex.split(" ".join(setting_arguments(chosen))))
    assert TrainingSettings(**{**given, "hidden": parse_hidden(given["hidden"])}) == chosen
    assert setting_arguments(TrainingSettings()) == []


@pytest.mark.parametrize("text", ["0,half", "", "0;0.5"])
def test_dropout_rates_are_numbers_with_commas(text):
    with pytest.raises(SettingsError, match="as in 0,0.5"):
        parse_rates(text)


def test_train_sizes_are_numbers_or_all():
    assert parse_train_sizes("1000,10000,all") == (1_000, 10_000, None)
    assert parse_train_sizes(None) == ()
    with pytest.raises(SettingsError, match="as in 1000,10000,all"):
        parse_train_sizes("1000,half")
