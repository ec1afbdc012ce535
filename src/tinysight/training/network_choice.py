"""Chooses the network for a set of images, and says why."""

from pathlib import Path
from typing import NamedTuple

from ..data.framing_choice import MIN_PHOTOGRAPH_SIDE
from ..errors import MissingExtraError
from ..preprocessing.framing import Framing
from .pretrained_weights import LICENCE, ORIGIN, find_weights, load_weights
from .settings import CONVOLUTIONAL_SIDES, TrainingSettings

# To which photographs are brought by default, see docs/experiments.md
PHOTOGRAPH_SIZE, CONVOLUTIONAL_SIZE = (224, 224), (64, 64)
LARGEST_DENSE_SIDE = 32  # of grey images: larger ones are no characters like MNIST's
MIN_GREY_SIDE = 96  # of grey photographs: smaller ones are no better off with the pretrained network
INSTALL = "pip install 'tinysight[photos]'"


class NetworkChoice(NamedTuple):
    """A network and the reason for it.

    Attributes:
        name: ``dense``, ``convolutional`` or ``pretrained``.
        reason: Why, and what the pretrained one would need, in a line.
    """

    name: str
    reason: str


def choose_network(settings: TrainingSettings, framing: Framing, weights: Path | None = None) -> NetworkChoice:
    """Return the network that the settings name, or the one that fits the images.

    Args:
        settings: The settings; ``auto`` is for this function to decide.
        framing: The images' framing.
        weights: Another copy of the pretrained weights than that of the package.

    Raises:
        MissingExtraError: ``pretrained`` is asked for, and the weights are not installed.
    """
    about = f"{'colour' if framing.channels == 3 else 'grey'} pictures of {framing.height}×{framing.width}"
    has_weights = find_weights(weights) is not None
    trained = f"dense layers on the features of {ORIGIN} ({LICENCE})"
    if settings.network == "pretrained":
        if not has_weights:
            raise MissingExtraError("the network pretrained", "photos")
        return NetworkChoice("pretrained", f"as asked for; {trained}")
    if settings.network in ("dense", "convolutional"):
        return NetworkChoice(settings.network, "as asked for")
    if is_for_photographs(framing) and has_weights:
        return NetworkChoice("pretrained", f"{about}; {trained}; --network convolutional trains on the pixels")
    name = "convolutional" if is_for_convolutions(framing) else "dense"
    if name == "convolutional" and not has_weights:
        needs = f"for photographs --network pretrained is better; it needs {INSTALL}"
    else:
        needs = f"--network pretrained is for pictures of {MIN_PHOTOGRAPH_SIDE} pixels or more, {MIN_GREY_SIDE} in grey"
    return NetworkChoice(name, f"{about}; {needs}")


def is_for_convolutions(framing: Framing) -> bool:
    """Tell whether images are such that the convolutional network fits them better than the dense one."""
    sides = framing.height, framing.width
    is_like_mnist = framing.channels == 1 and max(sides) <= LARGEST_DENSE_SIDE
    least, most = CONVOLUTIONAL_SIDES
    return framing.method == "whole" and not is_like_mnist and least <= min(sides) <= max(sides) <= most


def check_weights(settings: TrainingSettings, weights: Path | None = None) -> None:
    """Check what the pretrained network needs, before any picture is read: its weights, and settings that fit it.

    Args:
        settings: The settings.
        weights: Another copy of the pretrained weights than that of the package.

    Raises:
        DataError: That file is no copy of the weights, or cannot be read.
        MissingExtraError: ``pretrained`` is asked for, and the weights are not installed.
        SettingsError: ``pretrained`` is asked for, and a setting is for training on pixels.
    """
    if weights:
        load_weights(weights)
    if settings.network == "pretrained":
        if find_weights(weights) is None:
            raise MissingExtraError("the network pretrained", "photos")
        settings.for_features()


def is_for_photographs(framing: Framing) -> bool:
    """Tell whether images are such that a network trained on photographs fits them."""
    least = MIN_PHOTOGRAPH_SIDE if framing.channels == 3 else MIN_GREY_SIDE
    return framing.method == "whole" and min(framing.height, framing.width) >= least


def photograph_size(network: str, weights: Path | None = None) -> tuple[int, int] | None:
    """Return to what size photographs are brought where no other is asked for; None: as all other pictures.

    Args:
        network: The network asked for, or ``auto``.
        weights: Another copy of the pretrained weights than that of the package.
    """
    if network in ("auto", "pretrained") and find_weights(weights) is not None:
        return PHOTOGRAPH_SIZE
    return CONVOLUTIONAL_SIZE if network in ("auto", "convolutional") else None
