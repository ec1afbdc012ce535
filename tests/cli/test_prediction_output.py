"""Predictions as text."""

import numpy as np
import pytest

from tinysight.classifier import Prediction
from tinysight.cli import console, prediction_output
from tinysight.cli.prediction_output import PredictionPrinter, prediction_lines
from tinysight.preprocessing.framing import Framed


def predictions(names, class_name="cross"):
    return [Prediction(name, class_name, 0.75, ((class_name, 0.75), ("circle", 0.25))) for name in names]


def shown(batches, **options):
    printer = PredictionPrinter()
    framed = [Framed(np.zeros((28, 28), np.uint8), "")]
    for batch in batches:
        arguments = {"output_format": "table", "reject": True, "show": False, **options}
        printer.show(prediction_lines(batch, framed * len(batch), **arguments))


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(console.out, "_force_terminal", True)
    monkeypatch.setattr(console.out, "_width", 80)
    monkeypatch.setattr(console.out, "no_color", True)


def test_a_table_of_several_batches_has_one_header_and_the_same_columns(terminal, capsys):
    names = [[f"{batch}/{picture}.png" for picture in range(3)] for batch in range(3)]
    names[0][1] = "a/longer/name.png"
    shown(predictions(batch) for batch in names)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert sum("probability" in line for line in lines) == 1
    assert len(lines) == 10
    assert len({line.index("cross") for line in lines[1:]}) == 1
    assert len({line.index("75.00 %") for line in lines[1:]}) == 1


def test_a_longer_class_name_in_a_later_batch_is_shown_whole(terminal, capsys):
    shown([predictions(["a.png"]), predictions(["b.png"], "semicircle"), predictions(["c.png"])])
    lines = capsys.readouterr().out.splitlines()
    assert "semicircle" in lines[2]
    assert lines[3].index("75.00 %") == lines[2].index("75.00 %")


def test_csv_of_several_batches_has_one_header(capsys):
    shown([predictions(["a.png"]), predictions(["b.png"])], output_format="csv")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["source", "a.png", "b.png"]
    assert prediction_output.FORMATS[2] == "csv"
