"""What a training has done so far: scores and the best epoch; and its state as arrays, to go on from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .learner import Learner, TrainingData
from .scores import standard_error


@dataclass(frozen=True)
class EpochResult:
    """Scores after one epoch, all in inference mode (no dropout).

    The training scores are of a fixed random sample of the training images, as many as there are validation images.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


class BestEpoch:
    """The latest epoch whose validation accuracy is within one standard error of the highest.

    Attributes:
        epoch: Its number, counted from 1.
        epoch_of_highest: The number of the epoch with the highest accuracy.
        highest: That accuracy.
        weights: The network's weights after `epoch`.
        probabilities: The network's probabilities of the validation images after `epoch`, float32
            ``(num_images, num_classes)``.
    """

    def __init__(self, num_validation_images: int) -> None:
        """Take the number of validation images."""
        self._num_images, self.highest = num_validation_images, -1.0
        self.epoch = self.epoch_of_highest = 0
        self.weights: list[NDArray[np.float32]] = []
        self.probabilities = np.empty((0, 0), np.float32)

    def offer(self, result: EpochResult, model: keras.Model, probabilities: NDArray[np.float32]) -> None:
        """Keep the epoch's weights and probabilities if it is the best so far."""
        found = result.validation_accuracy
        if found > self.highest:
            self.highest, self.epoch_of_highest = found, result.epoch
        if found >= self.highest - standard_error(self.highest, self._num_images):
            self.epoch, self.weights, self.probabilities = result.epoch, model.get_weights(), probabilities


@dataclass
class Progress:
    """What a training has done so far.

    Attributes:
        best: The best epoch.
        history: One entry for each epoch.
        was_stopped: Whether it was asked to stop before its last epoch.
        has_diverged: Whether it ended because the loss of the next epoch was NaN or infinite.
    """

    best: BestEpoch
    history: list[EpochResult] = field(default_factory=list)
    was_stopped: bool = False
    has_diverged: bool = False

    def state(self, learner: Learner, data: TrainingData) -> dict[str, NDArray[Any]]:
        """Return all that is needed to go on after the last epoch, as arrays by name."""
        about = {
            "history": [asdict(result) for result in self.history],
            "random": data.rng.bit_generator.state,
            "best": [self.best.epoch, self.best.epoch_of_highest, self.best.highest],
        }
        arrays = {f"learner {number}": array for number, array in enumerate(learner.state())}
        arrays |= {f"best {number}": array for number, array in enumerate(self.best.weights)}
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        return {**arrays, "best probabilities": self.best.probabilities, "about": text}

    def restore(self, state: Mapping[str, NDArray[Any]], learner: Learner, data: TrainingData) -> None:
        """Go back to what `state` returned."""
        about = json.loads(state["about"].tobytes())
        self.history = [EpochResult(**result) for result in about["history"]]
        data.rng.bit_generator.state = about["random"]
        self.best.epoch, self.best.epoch_of_highest, self.best.highest = about["best"]
        self.best.probabilities = state["best probabilities"]
        self.best.weights = [state[f"best {number}"] for number in range(len(learner.model.weights))]
        learner.restore([state[f"learner {number}"] for number in range(len(learner.state()))])
