"""What `pyproject.toml` promises, beside what the code says."""

import sys
import tomllib
from pathlib import Path

import pytest

from tinysight.errors import FIRST_PYTHON_WITHOUT_TENSORFLOW, MissingExtraError

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_training_alone_waits_for_tensorflow():
    (tensorflow,) = [line for line in PROJECT["optional-dependencies"]["train"] if line.startswith("tensorflow")]
    assert tensorflow.endswith("; python_version < '{}.{}'".format(*FIRST_PYTHON_WITHOUT_TENSORFLOW))
    assert PROJECT["requires-python"] == ">=3.11"


@pytest.mark.parametrize("minor", [14, 15])
def test_where_tensorflow_is_missing_the_message_names_the_pythons_that_have_it(monkeypatch, minor):
    monkeypatch.setattr(sys, "version_info", (3, minor, 0, "final", 0))
    message = str(MissingExtraError("building a network", "train", needs_tensorflow=True))
    assert f"no release for Python 3.{minor} yet; use Python 3.11 to 3.13" in message
    assert "pip install 'tinysight[train]'" in str(MissingExtraError("the image set 'digits'", "train"))


def test_the_server_whose_parts_are_overridden_has_an_upper_bound():
    (uvicorn,) = [line for line in PROJECT["optional-dependencies"]["serve"] if line.startswith("uvicorn")]
    assert ",<" in uvicorn


def test_each_supported_python_is_named():
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert named == ["3.11", "3.12", "3.13", "3.14"]
