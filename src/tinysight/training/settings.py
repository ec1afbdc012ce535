"""Every choice a user can make about training, with its checks and defaults; knows no data and no library."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import SettingsError, check_choice, check_number

APIS = ("sequential", "functional")
DROPOUT_POSITIONS = ("after", "before")
SCHEDULES = ("one-cycle", "cosine", "constant")
DEFAULT_HIDDEN = (784, 512)
MAX_LAYER_WIDTH = 65_536  # above this one layer's weights alone pass 200 MB for the smallest images


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed at random while they train; every image anew each time it is used.

    Attributes:
        shift: Up to this share of the image's sides, up or down and left or right.
        rotation: Up to so many degrees either way.
        scale: Height and width each by up to this share larger or smaller.
        shear: Slanted by up to this many pixels to the side for each pixel of height.
        elastic: Standard deviation of smooth displacements, as a share of the image's sides.
        stroke: Bright strokes thicker or thinner by up to this many pixels on each side, 0…1.
        noise: Standard deviation of what is added to each pixel, as a share of the range from black to white.
        flip: Whether left and right are swapped in half of the images.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    stroke: float = 0.0
    noise: float = 0.0
    flip: bool = False

    @property
    def moves(self) -> bool:
        """Whether pixels change their places."""
        return bool(self.shift or self.rotation or self.scale or self.shear or self.elastic or self.flip)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.moves or self.stroke or self.noise)


# Measured in docs/experiments.md. A preset is all a user chooses; the single amounts are for nobody to remember.
AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "objects": Augmentation(shift=0.05, rotation=5, scale=0.08),
    "characters": Augmentation(shift=0.054, rotation=10, scale=0.12, shear=0.15, elastic=0.036, stroke=0.4),
    "strangers": Augmentation(shift=0.07, rotation=15, scale=0.2, shear=0.25, elastic=0.036, stroke=0.8, noise=0.05),
}
# What a recipe fixes. What it leaves open is chosen from the images, see `TrainingSettings.resolved`.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "fast": {"learning_rate": 0.003, "schedule": "one-cycle", "augment": "none"},
    "accurate": {"learning_rate": 0.002, "schedule": "one-cycle"},
    "robust": {
        "learning_rate": 0.002,
        "schedule": "one-cycle",
        "dropout": 0.1,
        "augment": "strangers",
        "outliers": 0.25,
    },
    "tutorial": {"epochs": 10, "batch_size": 32, "learning_rate": 0.001, "schedule": "constant", "augment": "none"},
}
# `accurate` either never shows the same image twice (any augmentation, flips included, chooses this), or looks around
# each image, which takes longer an epoch.
ACCURATE_AUGMENTED: Mapping[str, Any] = {"dropout": 0.1, "batch_norm": True}
ACCURATE_AS_THEY_ARE: Mapping[str, Any] = {"adversarial": 0.036}


@dataclass(frozen=True)
class Length:
    """How long to train: so many epochs, or as many as give a small set so many steps, but no more than the last."""

    epochs: int
    steps: int
    max_epochs: int
    batch_size: int


LENGTHS = {
    "fast": Length(epochs=4, steps=400, max_epochs=60, batch_size=256),
    "accurate, augmented": Length(epochs=60, steps=4_000, max_epochs=300, batch_size=256),
    "accurate, as they are": Length(epochs=15, steps=1_500, max_epochs=100, batch_size=256),
    "robust": Length(epochs=30, steps=3_000, max_epochs=300, batch_size=256),
}
SMALL_SET, SMALL_BATCH_SIZE = 20_000, 64  # fewer images than that need more steps than large batches leave them


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
        input_dropout: Share of the pixels blackened while training.
        dropout_position: ``after`` or ``before`` the activation; None: as the tutorial does for that API.
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Adam's (peak) learning rate.
        schedule: How the learning rate changes: ``one-cycle``, ``cosine`` or ``constant``.
        batch_norm: Whether the hidden layers' outputs are brought to mean 0 and variance 1 over the images of each step
            (batch normalization); folded into the weights, so that the classifier is the same network.
        weight_decay: Share of each weight taken off at each step, times the learning rate (AdamW).
        label_smoothing: Share of the target's probability spread over all classes.
        adversarial: Above 0, predictions are also made to stay the same this far from each image in the direction in
            which they change most (virtual adversarial training); root of the mean square of the pixels' changes.
        ema_momentum: Above 0, the classifier's weights are a moving average of the network's; this share of the
            average stays at each step.
        outliers: So many pictures of no class, as a share of the images, are drawn and added to each step; the network
            learns to find all classes alike in them.
        augment: How images are changed at random while they train, a key of `AUGMENTATIONS`.
        flip: Whether left and right are swapped in half of the images while they train. Any augmentation, flips alone
            included, chooses the augmented kind of the recipe ``accurate``: more epochs, dropout, nothing adversarial.
        patience: Stop after so many epochs in a row without a higher validation accuracy; None: never.
        validation: Share of the images not kept for testing that chooses the best epoch, 0 < validation < 1.
        test: Share of all images kept for testing where the set brings no test images, 0 < test < 1.
        seed: Start of every random choice: split, first weights, order of images, dropout.

    Raises:
        SettingsError: A value is out of range.
    """

    recipe: str = "fast"
    api: str = "sequential"
    hidden: tuple[int, ...] = DEFAULT_HIDDEN
    dropout: float | None = None
    input_dropout: float = 0.0
    dropout_position: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    batch_norm: bool | None = None
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    adversarial: float | None = None
    ema_momentum: float = 0.0
    outliers: float | None = None
    augment: str | None = None
    flip: bool = False
    patience: int | None = None
    validation: float = 0.1
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("recipe", self.recipe, tuple(RECIPES))
        check_choice("api", self.api, APIS)
        check_hidden(self.hidden)
        if self.dropout_position is not None:
            check_choice("dropout position", self.dropout_position, DROPOUT_POSITIONS)
        if self.schedule is not None:
            check_choice("schedule", self.schedule, SCHEDULES)
        if self.augment is not None:
            check_choice("augment", self.augment, tuple(AUGMENTATIONS))
        ranges = {
            "dropout": (0, 0.99),
            "input_dropout": (0, 0.99),
            "weight_decay": (0, 10),
            "label_smoothing": (0, 0.99),
            "adversarial": (0, 1),
            "ema_momentum": (0, 0.999999),
            "outliers": (0, 10),
            "patience": (1, 100_000),
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

    def resolved(self, num_training_images: int, framing: str = "whole") -> "TrainingSettings":
        """Return the same settings with every None filled in, by the recipe or from the images.

        Args:
            num_training_images: How many there are.
            framing: How they are framed, one of `FRAMINGS`: characters are augmented as such, other images not at all.
        """
        settings = self._filled_from(RECIPES[self.recipe])
        settings = settings._filled_from({"augment": "characters" if framing == "ink" else "none"})
        length = self.recipe
        if self.recipe == "accurate":
            is_augmented = settings.augmentation.changes
            settings = settings._filled_from(ACCURATE_AUGMENTED if is_augmented else ACCURATE_AS_THEY_ARE)
            length = "accurate, augmented" if is_augmented else "accurate, as they are"
        batch_size = settings.batch_size or suggested_batch_size(num_training_images, LENGTHS[length])
        batch_size = min(batch_size, num_training_images)
        epochs = settings.epochs or suggested_epochs(num_training_images, batch_size, LENGTHS[length])
        position = default_dropout_position(self.api)
        defaults = {"dropout": 0.0, "dropout_position": position, "batch_norm": False}
        defaults |= {"adversarial": 0.0, "outliers": 0.0}
        settings = settings._filled_from(defaults, batch_size=batch_size, epochs=epochs)
        if settings.batch_norm and batch_size == 1:
            raise SettingsError("batch size is 1; batch normalization needs at least 2, or use --no-batch-norm")
        return settings

    def _filled_from(self, defaults: Mapping[str, Any], **changes: Any) -> "TrainingSettings":
        """Return the same settings with those that are None as in `defaults`, and with changes."""
        open_ones = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return replace(self, **open_ones, **changes)

    @property
    def augmentation(self) -> Augmentation:
        """What `augment` and `flip` amount to."""
        return replace(AUGMENTATIONS[self.augment or "none"], flip=self.flip)


def suggested_batch_size(num_training_images: int, length: Length) -> int:
    """Images per step: as many as keep two cores busy, fewer for a small set."""
    return length.batch_size if num_training_images >= SMALL_SET else SMALL_BATCH_SIZE


def suggested_epochs(num_training_images: int, batch_size: int, length: Length) -> int:
    """As `length` says for so many images."""
    steps_per_epoch = max(1, num_training_images // batch_size)
    return min(length.max_epochs, max(length.epochs, -(-length.steps // steps_per_epoch)))
