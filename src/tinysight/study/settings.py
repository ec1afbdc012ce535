"""The settings of a study, and the cells that it trains."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import SettingsError, check_choice, check_number
from ..training.recipes import SMALL_BATCH_SIZE, Length, suggested_batch_size, suggested_epochs
from ..training.settings import (
    APIS,
    AUGMENTATIONS,
    DROPOUT_POSITIONS,
    ResolvedSettings,
    TrainingSettings,
    default_dropout_position,
)

MAX_SEEDS = 100
# Without a recipe: the tutorial's constant rate, and enough steps to overfit. See docs/overfitting.md.
LENGTH = Length(epochs=10, steps=2_000, max_epochs=15, batch_size=256)
MIN_STEPS = 10  # of an epoch: smaller sets get smaller batches
LARGE_SET, LARGE_SET_SIZES = 20_000, (1_000, 10_000)  # training sizes below all images
SMALL_SET_SHARES = (16, 4)  # of a smaller set: a 16th, a quarter, all


@dataclass(frozen=True)
class StudySettings:
    """What a study compares.

    Attributes:
        dropout: Dropout rates; 0 is always among them.
        dropout_position: Positions of dropout, of `DROPOUT_POSITIONS`; by default the usual one of each API.
        api: Keras APIs, of `APIS`.
        augment: Presets of augmentation; by default the recipe's, which is ``none`` without a recipe. ``none`` is
            always among those given.
        train_sizes: Numbers of training images; None stands for all. By default 1,000, 10,000 and all, or of fewer than
            20,000 a 16th, a quarter and all.
        num_seeds: Number of trainings of each cell, 2 to 100.
        training: All other settings. Where it names no recipe: a constant rate of 0.001, no augmentation, no batch
            normalization, and enough epochs to overfit; on the features of a pretrained network, as `train` does.
        weights: Another copy of the pretrained network's weights than that of the package of the extra ``photos``.

    Raises:
        SettingsError: A value is out of range.
    """

    dropout: tuple[float, ...] = (0.0, 0.5)
    dropout_position: tuple[str, ...] = ()
    api: tuple[str, ...] = ("sequential",)
    augment: tuple[str, ...] = ()
    train_sizes: tuple[int | None, ...] = ()
    num_seeds: int = 5
    training: TrainingSettings = field(default_factory=TrainingSettings)
    weights: Path | None = None

    def __post_init__(self) -> None:
        check_number("number of seeds", self.num_seeds, 2, MAX_SEEDS)
        check_number("seed", self.training.seed + self.num_seeds - 1, 0, 2**32 - 1)
        for rate in self.dropout:
            check_number("dropout", rate, 0, 0.99)
        for size in self.train_sizes:
            check_number("train size", 2 if size is None else size, 2, 10**9)
        for name, choices in (("dropout_position", DROPOUT_POSITIONS), ("api", APIS), ("augment", AUGMENTATIONS)):
            for value in getattr(self, name):
                check_choice(name.replace("_", " "), value, tuple(choices))
        if not self.api:
            raise SettingsError(f"api is empty; expected one of: {', '.join(APIS)}")

    @property
    def seeds(self) -> range:
        """The seeds, from the training settings' own on."""
        return range(self.training.seed, self.training.seed + self.num_seeds)

    def sizes(self, num_available: int) -> tuple[int, ...]:
        """Return the rising numbers of training images, given how many there are.

        Raises:
            SettingsError: A size is larger than that.
        """
        if self.train_sizes:
            sizes = {num_available if size is None else size for size in self.train_sizes}
        elif num_available >= LARGE_SET:
            sizes = {*LARGE_SET_SIZES, num_available}
        else:
            sizes = {num_available // share for share in SMALL_SET_SHARES} | {num_available}
        if max(sizes) > num_available:
            raise SettingsError(
                f"train size is {max(sizes):,}; expected at most {num_available:,}, the number of training images, "
                "or all"
            )
        return tuple(sorted(sizes))

    def cells(self, sizes: Sequence[int], framing: str) -> tuple["Cell", ...]:
        """Return the cells: each combination once.

        Args:
            sizes: Numbers of training images.
            framing: The images' framing, one of `FRAMINGS`.
        """
        augments = {"none": None, **dict.fromkeys(self.augment)} if self.augment else {None: None}
        rates = sorted({0.0, *self.dropout})
        found: dict[Cell, None] = {}
        for size, api, augment, rate in product(sizes, dict.fromkeys(self.api), augments, rates):
            usual = (default_dropout_position(api),)
            for position in (self.dropout_position or usual) if rate else usual:
                chosen = replace(self.training, api=api, dropout=rate, dropout_position=position)
                resolved = _resolved(replace(chosen, augment=augment or chosen.augment), size, framing)
                found[Cell(size, resolved)] = None
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for JSON, without the file of weights: another copy of it gives the same study."""
        return {key: value for key, value in asdict(self).items() if key != "weights"}


def _resolved(chosen: TrainingSettings, num_train: int, framing: str) -> ResolvedSettings:
    """Fill what is left open; without a recipe as the tutorial trains, but in larger batches and for longer."""
    if chosen.recipe or chosen.network == "pretrained":
        return chosen.resolved(num_train, framing)
    suggested = suggested_batch_size(num_train, LENGTH)
    if suggested == SMALL_BATCH_SIZE:
        suggested = max(1, min(suggested, num_train // MIN_STEPS))
    batch_size = min(chosen.batch_size or suggested, num_train)
    epochs = chosen.epochs or suggested_epochs(num_train, batch_size, LENGTH)
    return replace(chosen, recipe="tutorial", batch_size=batch_size, epochs=epochs).resolved(num_train, framing)


@dataclass(frozen=True)
class Cell:
    """What the trainings of a cell have in common; they differ in their seed.

    Attributes:
        num_train: Number of training images.
        settings: The settings of its trainings, with the seed of the first.
    """

    num_train: int
    settings: ResolvedSettings

    @property
    def work(self) -> int:
        """A measure of how long a training takes: training images times epochs."""
        return self.num_train * self.settings.epochs

    @property
    def is_plain(self) -> bool:
        """Whether it has neither dropout nor augmentation."""
        return not self.settings.dropout and not self.settings.augmentation.changes

    @property
    def remedy(self) -> str:
        """What it does against overfitting in a word or two, such as ``dropout``."""
        augmentation = "augmentation" if self.settings.augmentation.changes else ""
        return " and ".join(filter(None, ("dropout" if self.settings.dropout else "", augmentation)))

    def name(self, cells: Sequence["Cell"]) -> str:
        """Return what tells it from other cells of its size, such as ``dropout 0.5, before``."""
        settings = self.settings
        parts = [f"dropout {settings.dropout:g}" if settings.dropout else "no dropout"]
        if settings.dropout and len({c.settings.dropout_position for c in cells if c.settings.dropout}) > 1:
            parts[0] += f" {settings.dropout_position} the activation"
        if settings.augmentation.changes or len({c.settings.augment for c in cells}) > 1:
            parts.append("no augmentation" if settings.augment == "none" else f"augmentation {settings.augment}")
        if len({cell.settings.api for cell in cells}) > 1:
            parts.append(settings.api)
        return ", ".join(parts)
