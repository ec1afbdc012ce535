from dataclasses import fields
from typing import Any

import pytest
import typer

from tinysight.cli.options import PANELS, DataArgument, parse_hidden, with_settings
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


def test_help_lists_the_common_options_first(tinysight):
    status, printed, _ = tinysight("train", "--help")
    assert status == 0
    places = [printed.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    for setting in SETTINGS:
        assert f"--{setting.name.replace('_', '-')[:9]}" in printed  # a narrow terminal cuts long ones
