"""What the recipes fix for each network, and how long they train. Chosen by measurement, see docs/experiments.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]

# What each recipe fixes. What it leaves open is chosen from the images, see `TrainingSettings.resolved`.
RECIPES: Mapping[str, Values] = {
    "fast": {"learning_rate": 0.003, "schedule": "one-cycle", "augment": "none", "batch_norm": True},
    "accurate": {"learning_rate": 0.002, "schedule": "one-cycle"},
    "robust": {
        "learning_rate": 0.002,
        "schedule": "one-cycle",
        "dropout": 0.1,
        "augment": "handwriting",
        "outliers": 0.25,
    },
    "tutorial": {"epochs": 10, "batch_size": 32, "learning_rate": 0.001, "schedule": "constant", "augment": "none"},
}
# `accurate` augments; where nothing is augmented it uses virtual adversarial training, whose epochs take longer.
ACCURATE_AUGMENTED: Values = {"dropout": 0.1, "batch_norm": True}
ACCURATE_NOT_AUGMENTED: Values = {"adversarial": 0.036}

# What they fix for the convolutional network before that. It learns more from an image, so that it trains for fewer
# epochs. `accurate` changes characters more, and moves other images a little: `TrainingSettings.resolved`.
CONVOLUTIONAL_RECIPES: Mapping[str, Values] = {
    "fast": {"learning_rate": 0.009},
    "accurate": {"learning_rate": 0.008, "batch_norm": True, "dropout": 0.2, "adversarial": 0.0},
    "robust": {"learning_rate": 0.004, "batch_norm": True, "dropout": 0.2},
    "tutorial": {},
}


@dataclass(frozen=True)
class Length:
    """How long to train: `epochs`, or more so that a small set gets `steps` steps, but at most `max_epochs`."""

    epochs: int
    steps: int
    max_epochs: int
    batch_size: int


LENGTHS = {
    "fast": Length(epochs=4, steps=400, max_epochs=60, batch_size=256),
    "accurate, augmented": Length(epochs=60, steps=4_000, max_epochs=300, batch_size=256),
    "accurate, not augmented": Length(epochs=15, steps=1_500, max_epochs=100, batch_size=256),
    "robust": Length(epochs=30, steps=3_000, max_epochs=300, batch_size=256),
}
CONVOLUTIONAL_LENGTHS = {
    "fast": Length(epochs=2, steps=600, max_epochs=60, batch_size=128),
    "accurate": Length(epochs=14, steps=2_500, max_epochs=100, batch_size=128),
    "robust": Length(epochs=10, steps=2_500, max_epochs=100, batch_size=128),
}
SMALL_SET, SMALL_BATCH_SIZE = 20_000, 64  # with fewer images, large batches would leave too few steps


def suggested_batch_size(num_training_images: int, length: Length) -> int:
    """Number of images in a step: enough to keep two cores busy, fewer for a small set."""
    return length.batch_size if num_training_images >= SMALL_SET else SMALL_BATCH_SIZE


def suggested_epochs(num_training_images: int, batch_size: int, length: Length) -> int:
    """Number of epochs that `length` gives so many images."""
    steps_per_epoch = max(1, num_training_images // batch_size)
    return min(length.max_epochs, max(length.epochs, -(-length.steps // steps_per_epoch)))
