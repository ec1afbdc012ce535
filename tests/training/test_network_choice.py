from pathlib import Path

import pytest

from tinysight.errors import MissingExtraError
from tinysight.preprocessing.framing import Framing
from tinysight.training import pretrained_weights
from tinysight.training.network_choice import CONVOLUTIONAL_SIZE, PHOTOGRAPH_SIZE, choose_network, photograph_size
from tinysight.training.settings import TrainingSettings

PHOTOGRAPHS = Framing("whole", *PHOTOGRAPH_SIZE, 3)
GREY, DRAWN, ICONS, SMALL = Framing("whole"), Framing("ink"), Framing("whole", 32, 32, 3), Framing("whole", 28, 28, 3)
FILE = Path("weights.pth")


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(pretrained_weights, "PACKAGE", "no-such-package-of-weights")


@pytest.mark.parametrize(
    ("framing", "expected"),
    [(PHOTOGRAPHS, "pretrained"), (GREY, "dense"), (DRAWN, "dense"), (ICONS, "convolutional"),
     (Framing("whole", 32, 32), "dense"), (Framing("whole", 8, 8, 3), "dense"),
     (Framing("whole", 224, 224), "pretrained"), (Framing("whole", 95, 224), "convolutional"),
     (Framing("ink", 224, 224, 3), "dense"), (Framing("ink", 64, 64), "dense"),
     (Framing("whole", 64, 64), "convolutional"),
     (Framing("whole", 64, 64, 3), "pretrained"), (Framing("whole", 63, 224, 3), "convolutional")],
)  # fmt: skip
def test_auto_takes_the_network_that_fits_the_images(framing, expected):
    assert choose_network(TrainingSettings(), framing, FILE).name == expected


def test_what_is_asked_for_is_taken():
    for name in ("dense", "convolutional", "pretrained"):
        for framing in (PHOTOGRAPHS, GREY):
            assert choose_network(TrainingSettings(network=name), framing, FILE).name == name


@pytest.mark.usefixtures("no_package")
def test_without_the_weights_a_line_says_what_they_would_bring():
    for framing in (PHOTOGRAPHS, SMALL, Framing("whole", *CONVOLUTIONAL_SIZE)):
        name, reason = choose_network(TrainingSettings(), framing)
        assert name == "convolutional"
        assert "pip install 'tinysight[photos]'" in reason
        assert "\n" not in reason
    assert "pip" not in choose_network(TrainingSettings(), GREY).reason
    with pytest.raises(MissingExtraError, match=r"pip install 'tinysight\[photos\]'"):
        choose_network(TrainingSettings(network="pretrained"), PHOTOGRAPHS)


@pytest.mark.usefixtures("no_package")
def test_photographs_are_as_large_as_their_network_needs():
    assert photograph_size("auto") == photograph_size("convolutional") == CONVOLUTIONAL_SIZE
    assert photograph_size("auto", FILE) == photograph_size("pretrained", FILE) == PHOTOGRAPH_SIZE
    assert photograph_size("convolutional", FILE) == CONVOLUTIONAL_SIZE
    assert photograph_size("dense", FILE) is None
