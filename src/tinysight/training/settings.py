"""Every setting of a training: its default, range and help, the recipes, and how a recipe fills what is left open."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from inspect import cleandoc
from typing import Any

from ..errors import SettingsError, check_choice, check_number, check_pattern
from .recipes import (
    ACCURATE_AUGMENTED,
    ACCURATE_NOT_AUGMENTED,
    CONVOLUTIONAL_LENGTHS,
    CONVOLUTIONAL_RECIPES,
    LENGTHS,
    RECIPES,
    SMALL_SET,
    suggested_batch_size,
    suggested_epochs,
)

NETWORKS = ("auto", "dense", "convolutional", "pretrained")
APIS = ("sequential", "functional")
DROPOUT_POSITIONS = ("after", "before")
SCHEDULES = ("one-cycle", "cosine", "constant")
CLASS_WEIGHTS = ("none", "balanced")

DEFAULT_HIDDEN = (784, 512)
MAX_LAYER_WIDTH = 65_536  # above this one layer's weights alone pass 200 MB for the smallest images
# Pixels a side that the convolutional network takes: below them nothing is left to pool, above them an image costs
# hundreds of millions of products
CONVOLUTIONAL_SIDES = (16, 256)
MAX_FOLDS = 100  # of a cross-validation
MAX_LAYERS = 64  # no dense network gains from more; each has a stream of random numbers of its own


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed at random in training; each image is changed anew each time it is used.

    Attributes:
        shift: Moved by up to this share of the image's sides, vertically and horizontally.
        rotation: Rotated by up to this many degrees either way.
        scale: Height and width each made up to this share larger or smaller.
        shear: Slanted by up to this many pixels to the side for each pixel of height.
        elastic: Standard deviation of smooth displacements, as a share of the image's sides.
        stroke: Bright strokes made thicker or thinner by up to this many pixels on each side, 0…1.
        noise: Standard deviation of the noise added to each pixel, as a share of the range from black to white.
        flip: Whether half of the images are mirrored left to right.
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
        """Whether images are changed at all."""
        return bool(self.moves or self.stroke or self.noise)


# Chosen by measurement, see docs/experiments.md. Users choose a preset by its name.
AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "objects": Augmentation(shift=0.05, rotation=5, scale=0.08),
    "characters": Augmentation(shift=0.054, rotation=10, scale=0.12, shear=0.15, elastic=0.036, stroke=0.4),
    "handwriting": Augmentation(shift=0.07, rotation=15, scale=0.2, shear=0.25, elastic=0.036, stroke=0.8, noise=0.05),
}

# On a pretrained network's features: what the settings for pixels have to be, and defaults chosen by measurement.
FOR_FEATURES: Mapping[str, Any] = {
    "recipe": "fast", "augment": "none", "adversarial": 0.0, "outliers": 0.0, "input_dropout": 0.0, "flip": False,
    "api": "sequential", "dropout_position": "after",
}  # fmt: skip
# What the convolutional network leaves no choice in: it has one form, with one dense layer
FOR_CONVOLUTIONS: Mapping[str, Any] = {
    "hidden": (), "api": "sequential", "dropout_position": "after", "adversarial": 0.0,
}  # fmt: skip
FEATURE_DEFAULTS: Mapping[str, Any] = {"learning_rate": 0.001, "schedule": "one-cycle", "batch_norm": False}


def default_dropout_position(api: str) -> str:
    """Where the tutorial puts dropout: after the activation (sequential) or before it (functional)."""
    return "after" if api == "sequential" else "before"


def check_hidden(hidden: tuple[int, ...]) -> None:
    """Raise `SettingsError` unless `hidden` holds the widths of 1 to `MAX_LAYERS` layers."""
    if not 1 <= len(hidden) <= MAX_LAYERS:
        raise SettingsError(
            f"hidden has {len(hidden)} widths; expected 1 to {MAX_LAYERS}, separated by commas, as in 784,512"
        )
    for width in hidden:
        check_number("hidden width", width, 1, MAX_LAYER_WIDTH)


def _setting(
    default: Any,
    explanation: str,
    panel: str,
    *,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    unset: str = "the recipe's choice",
    metavar: str | None = None,
) -> Any:
    """Declare a setting. Its check, its command-line option and its documentation all derive from this.

    Args:
        default: Its value where none is given; None leaves it to the recipe.
        explanation: One sentence for ``--help`` and the class's documentation.
        panel: Heading below which ``--help`` lists it.
        limits: The least and the largest value allowed.
        choices: The values allowed.
        unset: What None means, for ``--help``.
        metavar: What stands for a value in ``--help``; by default its choices, or its type.
    """
    metavar = metavar or (f"[{'|'.join(choices)}]" if choices else None)
    details = {"help": explanation, "panel": panel, "limits": limits, "choices": choices, "unset": unset}
    details["metavar"] = metavar
    return field(default=default, metadata=details)


@dataclass(frozen=True)
class TrainingSettings:
    """All that decides a training, apart from the images.

    A setting that is None is filled by the recipe, or from the images, when training starts.

    Raises:
        SettingsError: A value is out of range.
    """

    recipe: str | None = _setting(
        None,
        "Set of defaults for the settings below.",
        "Common",
        choices=tuple(RECIPES),
        unset=f"fast; accurate for fewer than {SMALL_SET:,} drawn characters",
    )
    epochs: int | None = _setting(None, "Number of passes over the training images.", "Common", limits=(1, 100_000))
    dropout: float | None = _setting(
        None, "Share of each hidden layer's outputs that dropout sets to zero in training.", "Common", limits=(0, 0.99)
    )
    augment: str | None = _setting(
        None, "Preset of random changes to the training images.", "Common", choices=tuple(AUGMENTATIONS)
    )
    seed: int = _setting(
        0,
        "Seed of every random choice: split, first weights, order of images, dropout, augmentation.",
        "Common",
        limits=(0, 2**32 - 1),  # what Keras, NumPy and Python all take
    )
    validation: float = _setting(
        0.1, "Share of the images, test images aside, kept for choosing the best epoch.", "Data", limits=(0.001, 0.9)
    )
    test: float = _setting(
        0.2, "Share of the images kept for testing, where DATA has no test images.", "Data", limits=(0.001, 0.9)
    )
    group: str = _setting(
        "",
        "Regular expression that finds each image's group in its file's path below DATA, such as '([^/_]+)_'. "
        "Images of one group, such as one person's, stay in one split.",
        "Data",
        unset="the groups that DATA names, if any",
        metavar="REGEX",
    )
    network: str = _setting(
        "auto",
        "Dense layers on the pixels, a small convolutional network, or dense layers on the features of a pretrained "
        "one; auto takes pretrained for pictures of 64 pixels or more, in grey 96, if it is installed, convolutional "
        "for other colour pictures and grey ones of more than 32 pixels, dense for drawn characters and the rest.",
        "Network",
        choices=NETWORKS,
    )
    api: str = _setting(
        "sequential", "Keras API that builds the network; both compute the same.", "Network", choices=APIS
    )
    hidden: tuple[int, ...] | None = _setting(
        None,
        "Widths of the hidden layers, separated by commas.",
        "Network",
        unset=f"{','.join(map(str, DEFAULT_HIDDEN))}; none on a pretrained network's features",
        metavar="WIDTHS",
    )
    dropout_position: str | None = _setting(
        None,
        "Whether dropout comes after or before the activation.",
        "Network",
        choices=DROPOUT_POSITIONS,
        unset="after; before with --api functional",
    )
    batch_norm: bool | None = _setting(
        None, "Train with batch normalization, then fold it into the weights: the network stays the same.", "Network"
    )
    batch_size: int | None = _setting(None, "Number of images in a step.", "Training", limits=(1, 65_536))
    learning_rate: float | None = _setting(
        None, "Adam's learning rate, or its peak where a schedule changes it.", "Training", limits=(1e-9, 10)
    )
    schedule: str | None = _setting(
        None, "How the learning rate changes from step to step.", "Training", choices=SCHEDULES
    )
    patience: int | None = _setting(
        None,
        "Stop after this many epochs in a row without a higher validation accuracy.",
        "Training",
        limits=(1, 100_000),
        unset="never stop early",
    )
    class_weight: str = _setting(
        "none",
        "Whether each class counts as much as another (balanced), or each image (none).",
        "Training",
        choices=CLASS_WEIGHTS,
    )
    weight_decay: float = _setting(
        0.0, "Decoupled weight decay (AdamW); each step multiplies it by the learning rate.", "Training", limits=(0, 10)
    )
    label_smoothing: float = _setting(
        0.0, "Share of each label's probability spread evenly over all classes.", "Training", limits=(0, 0.99)
    )
    ema_momentum: float = _setting(
        0.0, "Momentum of a moving average of the weights, such as 0.999; 0: none.", "Training", limits=(0, 0.999999)
    )
    adversarial: float | None = _setting(
        None,
        "Size of the changes in virtual adversarial training: root mean square over the pixels (black 0, white 1).",
        "Training",
        limits=(0, 1),
    )
    flip: bool = _setting(
        False,
        "Mirror half of the images left to right. The recipe accurate then uses its settings for augmented images.",
        "Augmentation",
    )
    input_dropout: float = _setting(
        0.0, "Share of the pixels set to black in training.", "Augmentation", limits=(0, 0.99)
    )
    outliers: float | None = _setting(
        None,
        "Number of synthetic images of no class in a step, as a share of its images; they teach rejection.",
        "Augmentation",
        limits=(0, 10),
    )

    def __post_init__(self) -> None:
        if self.hidden or (self.hidden == () and self.network not in ("convolutional", "pretrained")):
            check_hidden(self.hidden)
        check_pattern("group", self.group)
        for setting in fields(self):
            value, name = getattr(self, setting.name), setting.name.replace("_", " ")
            if value is None:
                continue
            if setting.metadata.get("choices"):
                check_choice(name, value, setting.metadata["choices"])
            if setting.metadata.get("limits"):
                check_number(name, value, *setting.metadata["limits"])

    def resolved(self, num_training_images: int, framing: str = "whole") -> "ResolvedSettings":
        """Fill every setting that is None, by the recipe or from the images; the network ``auto`` is the dense one.

        Args:
            num_training_images: Number of training images.
            framing: Their framing, one of `FRAMINGS`; ``ink`` images are characters and augmented as such.

        Raises:
            SettingsError: The settings contradict each other.
        """
        values = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        values |= self._fixed_by_network()
        is_convolutional = self.network == "convolutional"

        def fill(defaults: Mapping[str, Any]) -> None:
            values.update({name: value for name, value in defaults.items() if values[name] is None})

        # What the recipe fixes
        is_small_drawn = framing == "ink" and num_training_images < SMALL_SET
        fill({"recipe": "accurate" if is_small_drawn else "fast"})
        recipe = values["recipe"]
        fill(CONVOLUTIONAL_RECIPES[recipe] if is_convolutional else {})
        fill(RECIPES[recipe])
        is_strong = is_convolutional and recipe == "accurate"
        drawn, others = ("handwriting", "objects") if is_strong else ("characters", "none")
        fill({"augment": drawn if framing == "ink" else others})
        lengths, length = CONVOLUTIONAL_LENGTHS if is_convolutional else LENGTHS, recipe
        if recipe == "accurate" and not is_convolutional:
            is_augmented = AUGMENTATIONS[values["augment"]].changes or self.flip
            fill(ACCURATE_AUGMENTED if is_augmented else ACCURATE_NOT_AUGMENTED)
            length = "accurate, augmented" if is_augmented else "accurate, not augmented"
        # What depends on the number of images
        if values["batch_size"] is None:
            values["batch_size"] = suggested_batch_size(num_training_images, lengths[length])
        values["batch_size"] = min(values["batch_size"], num_training_images)
        if values["epochs"] is None:
            values["epochs"] = suggested_epochs(num_training_images, values["batch_size"], lengths[length])
        # What is still open is off
        fill({"hidden": DEFAULT_HIDDEN})
        fill({"dropout": 0.0, "dropout_position": default_dropout_position(self.api), "batch_norm": False})
        fill({"adversarial": 0.0, "outliers": 0.0, "patience": values["epochs"]})
        if values["batch_norm"] and values["batch_size"] == 1:
            raise SettingsError("batch size is 1; batch normalization needs at least 2, or use --no-batch-norm")
        return ResolvedSettings(**values)

    def _fixed_by_network(self) -> dict[str, Any]:
        """Return the settings that the network leaves no choice in."""
        if self.network == "pretrained":
            return self.for_features()
        if self.network == "convolutional":
            return self._for_convolutions()
        return {"network": "dense"}

    def _for_convolutions(self) -> dict[str, Any]:
        """Return what the convolutional network fixes: it has one form, and is trained on images and their labels.

        Raises:
            SettingsError: A setting is for dense layers.
        """
        for name, value in FOR_CONVOLUTIONS.items():
            if getattr(self, name) not in (None, value, getattr(type(self), name, None)):
                given = getattr(self, name)
                shown = ",".join(map(str, given)) if name == "hidden" else given
                option = f"{name.replace('_', ' ')} {shown}"
                raise SettingsError(f"{option} is for dense layers; leave it out, or choose --network dense")
        return dict(FOR_CONVOLUTIONS)

    def for_features(self) -> dict[str, Any]:
        """Return by name what a pretrained network fixes: its features are computed once, of images as they are.

        Raises:
            SettingsError: A setting is for training on pixels.
        """
        for name, value in FOR_FEATURES.items():
            if getattr(self, name) not in (None, value, getattr(type(self), name, None)):
                option = f"{name.replace('_', ' ')} {getattr(self, name)}"
                raise SettingsError(f"{option} is for training on pixels; leave it out, or choose --network dense")
        given = {name: getattr(self, name) for name in FEATURE_DEFAULTS}
        chosen = {name: FEATURE_DEFAULTS[name] if value is None else value for name, value in given.items()}
        return {**FOR_FEATURES, **chosen, "hidden": self.hidden or ()}


@dataclass(frozen=True, kw_only=True)
class ResolvedSettings(TrainingSettings):
    """Settings in which nothing is None; `TrainingSettings.resolved` makes them.

    A patience that was not given is the number of epochs: training never stops before.
    """

    recipe: str = field()
    epochs: int = field()
    dropout: float = field()
    augment: str = field()
    hidden: tuple[int, ...] = field()
    dropout_position: str = field()
    batch_norm: bool = field()
    batch_size: int = field()
    learning_rate: float = field()
    schedule: str = field()
    patience: int = field()
    adversarial: float = field()
    outliers: float = field()

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation that `augment` and `flip` name."""
        return replace(AUGMENTATIONS[self.augment], flip=self.flip)

    @property
    def num_outliers(self) -> int:
        """Number of synthetic images of no class in a step."""
        return round(self.batch_size * self.outliers)


def as_recorded(settings: ResolvedSettings) -> dict[str, Any]:
    """Return the settings as a classifier's file holds them: without the network where it is the dense one."""
    values = asdict(settings)
    if settings.network == "dense":
        del values["network"]
    return values


def _as_attribute(setting: Any) -> str:
    """Return a setting's line of documentation."""
    choices, limits = setting.metadata["choices"], setting.metadata["limits"]
    allowed = f" One of: {', '.join(choices)}." if choices else f" From {limits[0]} to {limits[1]}." if limits else ""
    return f"    {setting.name}: {setting.metadata['help']}{allowed}"


TrainingSettings.__doc__ = "\n".join(
    [cleandoc(str(TrainingSettings.__doc__)), "", "Attributes:", *map(_as_attribute, fields(TrainingSettings))]
)
