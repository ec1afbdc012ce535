"""Learner: a network and the compiled programs that train it, again and again from other weights if need be."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from .folding import compile_convolutional_folding, compile_folding
from .loader import ShuffledChunks
from .outliers import draw_outliers
from .settings import ResolvedSettings
from .step import Adam, compile_prediction, compile_training

MAX_OUTLIERS = 16_000  # drawn once, or as many as a short training uses; augmentation varies them
NUM_OUTLIER_EXAMPLES = 4_000  # training images of which some outliers are made
# Training images whose statistics replace those of a batch: as many as there are validation images, but within these
# limits. With the statistics of a few images, perhaps of one class, the network would fail on all others
MIN_FOLDING_IMAGES, MAX_FOLDING_IMAGES = 1_000, 10_000


class Learner:
    """A network, and the compiled programs that train it and predict with it.

    There are up to three copies of the network: the one that Adam trains; its moving average; and the model, which is
    the average with batch normalization folded in. Without the one or the other they are the same object.

    Attributes:
        model: The network.
        predict: Returns its probabilities, see `compile_prediction`.
    """

    def __init__(
        self,
        model: keras.Model,
        settings: ResolvedSettings,
        num_steps: int,
        outliers: NDArray[np.uint8] | None = None,
    ) -> None:
        """Take the network, the settings, the number of steps in a whole training, and out-of-distribution images."""
        averaged = _copy(model) if settings.batch_norm else model
        trained = _copy(averaged) if settings.ema_momentum else averaged
        self.model, self.predict = model, compile_prediction(model)
        self._copies, self._optimizer = (
            (model, averaged, trained),
            Adam(trained.trainable_variables, settings, num_steps),
        )
        self._train_on = compile_training(trained, averaged, settings, num_steps, outliers, self._optimizer)
        folding = compile_convolutional_folding if settings.network == "convolutional" else compile_folding
        self._fold = folding(averaged, model) if settings.batch_norm else None

    def restart(self, weights: Sequence[NDArray[np.float32]]) -> None:
        """Begin another training from these weights; the compiled programs stay."""
        for network in self._copies:
            network.set_weights(weights)
        self._optimizer.reset()

    def state(self) -> list[NDArray[Any]]:
        """Return the weights of all copies and what the optimizer keeps."""
        return [variable.numpy() for variable in self._variables()]

    def restore(self, state: Sequence[NDArray[Any]]) -> None:
        """Go back to what `state` returned."""
        for variable, array in zip(self._variables(), state, strict=True):
            variable.assign(array)

    def _variables(self) -> list[Any]:
        weights = [weight.value for network in dict.fromkeys(self._copies) for weight in network.weights]
        return [*weights, *self._optimizer.variables]

    def train_epoch(self, data: "TrainingData") -> None:
        """Train for one epoch."""
        for chunk, order in data.chunks.epoch(data.rng):
            self._train_on(chunk, order, int(data.rng.integers(2**31)), data.class_weights)
        if self._fold:
            self._fold(data.images, data.folding_rows)


class TrainingData:
    """What a training reads: its images in random order, the training images that are scored, and outliers.

    Attributes:
        images: The images.
        rng: Draws all that follows, in this order.
        sample_rows: Rising row numbers of training images chosen at random, as many as there are validation images.
        folding_rows: Those whose statistics are folded in with batch normalization; these and others.
        chunks: The training images; `rng` draws their order.
        class_weights: Factor of each class's losses, float32 ``(num_classes,)``, see `balanced_weights`.
        num_steps: Number of steps in the whole training.
        outliers: Out-of-distribution images as the settings ask for, uint8 ``(num_outliers, *image_shape)``, or None.
    """

    def __init__(self, images: ImageSet, settings: ResolvedSettings) -> None:
        """Take split images and the settings."""
        training_rows = images.indices("train")
        in_order = images.in_content_order(training_rows)
        self.images, self.rng = images, np.random.default_rng(settings.seed)
        self.class_weights = balanced_weights(images.labels[training_rows], len(images.class_names))
        shuffled, num_validation = self.rng.permutation(in_order), len(images.indices("validation"))
        self.sample_rows = np.sort(shuffled[:num_validation])
        self.folding_rows = np.sort(shuffled[: min(max(num_validation, MIN_FOLDING_IMAGES), MAX_FOLDING_IMAGES)])
        self.chunks = ShuffledChunks(images, training_rows, settings.batch_size)
        self.num_steps = settings.epochs * self.chunks.num_chunks * self.chunks.steps
        self.outliers = None
        if settings.num_outliers:
            num_examples = min(NUM_OUTLIER_EXAMPLES, len(in_order))
            examples = images.images[self.rng.choice(in_order, num_examples, replace=False)]
            num_outliers = min(MAX_OUTLIERS, self.num_steps * settings.num_outliers)
            self.outliers = draw_outliers(examples, num_outliers, settings.seed)


def balanced_weights(labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """Return factors with which each class's images weigh as much together: number of images / (classes x its images).

    Their mean over the images is 1. It is the rule of scikit-learn's ``class_weight="balanced"``.

    Args:
        labels: int ``(num_images,)``.
        num_classes: Number of classes.

    Returns:
        float32 ``(num_classes,)``; 0 for a class without images.
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = np.count_nonzero(counts)
    return np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0).astype(np.float32)


def _copy(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy
