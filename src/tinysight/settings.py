"""Every choice a user can make about training, with its checks and defaults; knows no data and no library."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import SettingsError

APIS = ("sequential", "functional")
DROPOUT_POSITIONS = ("after", "before")
SCHEDULES = ("one-cycle", "constant")
FRAMINGS = ("whole", "ink")

DEFAULT_HIDDEN = (784, 512)
DEFAULT_IMAGE_SIZE = (28, 28)
MAX_LAYER_WIDTH = 65_536  # above this one layer's weights alone pass 200 MB for the smallest images
MAX_IMAGE_SIDE = 1_024

# What a recipe fixes. None: chosen from the number of training images, see `TrainingSettings.resolved`.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "fast": {"epochs": None, "batch_size": None, "learning_rate": 0.003, "schedule": "one-cycle"},
    "tutorial": {"epochs": 10, "batch_size": 32, "learning_rate": 0.001, "schedule": "constant"},
}


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `SettingsError` unless `value` is one of `choices`."""
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}; expected one of: {', '.join(choices)}")


def check_number(name: str, value: float, low: float, high: float) -> None:
    """Raise `SettingsError` unless ``low <= value <= high`` (which NaN never is)."""
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}; expected a number from {low} to {high}")


def check_hidden(hidden: tuple[int, ...]) -> None:
    """Raise `SettingsError` unless `hidden` names the width of at least one layer."""
    if not hidden:
        raise SettingsError("hidden is empty; expected one width or more, as in 784,512")
    for width in hidden:
        check_number("hidden width", width, 1, MAX_LAYER_WIDTH)


def default_dropout_position(api: str) -> str:
    """Where the tutorial puts dropout: after the activation (sequential) or before it (functional)."""
    return "after" if api == "sequential" else "before"


@dataclass(frozen=True)
class TrainingSettings:
    """All that decides a training, apart from the images.

    Attributes:
        recipe: Name of the set of defaults, a key of `RECIPES`; it fills each setting that is None.
        api: How the network is written, ``sequential`` or ``functional``; the function is the same.
        hidden: Widths of the hidden layers.
        dropout: Share of a hidden layer's outputs dropped while training, 0 ≤ dropout < 1.
        dropout_position: ``after`` or ``before`` the activation; None: as the tutorial does for that API.
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Adam's (peak) learning rate.
        schedule: ``one-cycle`` or ``constant`` learning rate.
        validation: Share of the images not kept for testing that chooses the best epoch, 0 < validation < 1.
        test: Share of all images kept for testing where the set brings no test images, 0 < test < 1.
        seed: Start of every random choice: split, first weights, order of images, dropout.

    Raises:
        SettingsError: A value is out of range.
    """

    recipe: str = "fast"
    api: str = "sequential"
    hidden: tuple[int, ...] = DEFAULT_HIDDEN
    dropout: float = 0.0
    dropout_position: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    validation: float = 0.1
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("recipe", self.recipe, tuple(RECIPES))
        check_choice("api", self.api, APIS)
        check_hidden(self.hidden)
        check_number("dropout", self.dropout, 0, 0.99)
        if self.dropout_position is not None:
            check_choice("dropout position", self.dropout_position, DROPOUT_POSITIONS)
        if self.schedule is not None:
            check_choice("schedule", self.schedule, SCHEDULES)
        ranges = {
            "epochs": (1, 100_000),
            "batch_size": (1, 65_536),
            "learning_rate": (1e-9, 10),
            "validation": (0.001, 0.9),
            "test": (0.001, 0.9),
            "seed": (0, 2**32 - 1),  # what Keras, NumPy and Python all take
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None:
                check_number(name.replace("_", " "), value, low, high)

    def resolved(self, num_training_images: int) -> "TrainingSettings":
        """Return the same settings with every None filled in, by the recipe or from the number of images."""
        chosen = {name: value for name, value in RECIPES[self.recipe].items() if getattr(self, name) is None}
        chosen["dropout_position"] = self.dropout_position or default_dropout_position(self.api)
        settings = replace(self, **chosen)
        batch_size = settings.batch_size or suggested_batch_size(num_training_images)
        epochs = settings.epochs or suggested_epochs(num_training_images, batch_size)
        return replace(settings, batch_size=batch_size, epochs=epochs)


def suggested_batch_size(num_training_images: int) -> int:
    """Images per step: 256 keeps two cores busy; a small set needs more steps than that leaves it."""
    return 256 if num_training_images >= 20_000 else 64


def suggested_epochs(num_training_images: int, batch_size: int) -> int:
    """Three passes, or as many as give a small set 400 steps, but no more than 60."""
    steps_per_epoch = max(1, num_training_images // batch_size)
    return min(60, max(3, -(-400 // steps_per_epoch)))
