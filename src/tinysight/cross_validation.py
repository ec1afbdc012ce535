"""cross_validate(): trains once for each fold of an image set, and scores each image by a network that never saw it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .data.dataset import ImageSet
from .data.folds import split_into_folds
from .errors import TinysightError, check_number
from .evaluation import Evaluation, FoldScore, FoldScores, evaluate, labels_for, probabilities_of
from .intervals import mean_interval
from .training.settings import MAX_FOLDS, TrainingSettings

if TYPE_CHECKING:  # an import would load TensorFlow
    from .training.progress import EpochResult
    from .training.train import Training

SPLIT = "folds"  # what the evaluation calls the images


class CrossValidation(NamedTuple):
    """The result of a cross-validation.

    Attributes:
        training: A training on the images of all folds, less those that chose its best epoch. Its classifier is the one
            to use.
        evaluation: The scores of all images, each by the network of its fold, which was not trained on it. Its
            `fold_scores` has each fold's accuracy, and their mean with its interval.
    """

    training: "Training"
    evaluation: Evaluation


def cross_validate(
    images: ImageSet,
    settings: TrainingSettings | None = None,
    folds: int = 5,
    on_fold: Callable[[FoldScore], None] | None = None,
    on_epoch: "Callable[[EpochResult], None] | None" = None,
    should_stop: Callable[[], bool] | None = None,
    weights: Path | None = None,
) -> CrossValidation:
    """Train once for each fold and score its images; then train on the images of all folds.

    Args:
        images: Images without test and validation images of their own.
        settings: The settings; by default those of the recipe ``fast``.
        folds: Number of folds, 2 to 100.
        on_fold: Called after each fold.
        on_epoch: Called after each epoch of the last training.
        should_stop: Called after each epoch; if it returns true in a fold, there is no result.
        weights: The file of pretrained weights, see `train`.

    Raises:
        DataError: There are too few images of a class, or test images.
        SettingsError: The settings contradict each other, or the number of folds is out of range.
        TinysightError: The loss is NaN or infinite; or it was stopped.
    """
    check_number("number of folds", folds, 2, MAX_FOLDS)
    from .training.train import train

    settings = settings or TrainingSettings()
    splits = split_into_folds(images, folds, settings.validation, settings.seed, settings.group)
    probabilities = np.empty((len(images), len(images.class_names)), np.float32)
    scores = []
    for fold, split in enumerate(splits, start=1):
        # Train without the fold's images
        trained = train(split, settings, should_stop=should_stop, weights=weights)
        if trained.was_stopped:
            raise TinysightError(f"stopped in fold {fold} of {folds}; a cross-validation has no result before its end")
        # Score them
        test_images, rows = split.subset("test"), split.indices("test")
        probabilities[rows] = probabilities_of(trained.classifier, test_images.images)
        is_correct = probabilities[rows].argmax(axis=1) == labels_for(trained.classifier, test_images)
        scores.append(FoldScore(fold, len(rows), int(is_correct.sum()), float(is_correct.mean())))
        if on_fold:
            on_fold(scores[-1])
    training = train(images, settings, on_epoch, should_stop, weights=weights, hold_out_test=False)
    # All images are scored; each fold had a temperature of its own
    scored = np.sort(np.concatenate([split.indices("test") for split in splits]))
    classifier = training.classifier.with_metadata(temperature=None)
    evaluation = evaluate(classifier, images.rows(scored), SPLIT, probabilities=probabilities[scored])
    return CrossValidation(training, replace(evaluation, fold_scores=summarize_folds(scores)))


def summarize_folds(scores: list[FoldScore]) -> FoldScores:
    """Return the mean accuracy of two folds or more, with its standard deviation and interval."""
    accuracies = np.array([score.accuracy for score in scores])
    low, high = mean_interval(accuracies)
    return FoldScores(
        tuple(scores), float(accuracies.mean()), float(accuracies.std(ddof=1)), (max(low, 0.0), min(high, 1.0))
    )
