"""Trains the cells of a study in several processes, and keeps each finished training as a file.

Each process uses one thread: two processes of one thread each finish small batches sooner than one process of two
threads, and the results do not depend on the number of cores. See docs/experiments.md.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from ..data.splits import TRAIN, UNUSED, split_images
from ..errors import SettingsError, TinysightError
from ..files import write_whole
from ..process_pool import map_in_processes
from ..training.scores import accuracy, log_loss
from ..training.versions import DECISIVE, installed_versions
from .settings import Cell, StudySettings

if TYPE_CHECKING:  # an import would load TensorFlow, which only the processes that train may do
    from ..training.learner import Learner

FORMAT = 2  # of the files, and of what a training does; part of their names
MAX_SCORED_EPOCHS = 12  # scoring MNIST's images takes as long as training on 10,000 of them
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Scores:
    """The scores of a training after some of its epochs, all in inference mode.

    Attributes:
        epochs: The epochs, counted from 1; the last is the training's last.
        train_accuracy: Of a fixed random sample of the training images, as many as there are validation images.
        validation_accuracy: Of the validation images.
        test_accuracy: Of the test images.
        train_loss: As above; losses are log losses.
        validation_loss: As above.
        test_loss: As above.
        seconds: How long the training took.
    """

    epochs: tuple[int, ...]
    train_accuracy: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    test_accuracy: tuple[float, ...]
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    test_loss: tuple[float, ...]
    seconds: float


class Task(NamedTuple):
    """A training: a cell and a seed."""

    cell: Cell
    seed: int

    def key(self, split_hash: str) -> str:
        """Return a hash of all that its result depends on, but for the kind of processor."""
        settings = asdict(replace(self.cell.settings, seed=self.seed))
        depends_on = [FORMAT, split_hash, self.cell.num_train, settings, installed_versions(*DECISIVE)]
        return sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def split_for_seeds(images: ImageSet, settings: StudySettings) -> dict[int, ImageSet]:
    """Split an image set anew for each seed; marked test and validation images stay what they are.

    Raises:
        DataError: There are too few images of a class.
    """
    chosen = settings.training
    return {seed: split_images(images, chosen.validation, chosen.test, seed, chosen.group) for seed in settings.seeds}


def with_training_images(images: ImageSet, num_train: int, seed: int) -> ImageSet:
    """Keep some of the training images; the others become unused, validation and test images stay.

    Each class keeps its share. For one seed, a smaller number's images are among those of a larger one.

    Args:
        images: A split set.
        num_train: Number of training images to keep.
        seed: Seed of the random choice.

    Raises:
        SettingsError: A class would have no training image.
    """
    rows = np.random.default_rng(seed).permutation(images.in_content_order(images.indices("train")))
    # Place of each image in its class, as a share of the class
    place = np.empty(len(rows))
    for label in range(len(images.class_names)):
        of_class = np.flatnonzero(images.labels[rows] == label)
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    order = rows[np.argsort(place, kind="stable")]
    kept = order[:num_train]
    if missing := set(range(len(images.class_names))) - set(images.labels[kept].tolist()):
        needed = max(int(np.flatnonzero(images.labels[order] == label)[0]) + 1 for label in missing)
        name = images.class_names[min(missing)]
        raise SettingsError(
            f"train size is {num_train:,}, which leaves no image of class {name!r}; expected {needed:,} or more"
        )
    split = images.split.copy()
    split[split == TRAIN] = UNUSED
    split[kept] = TRAIN
    return replace(images, split=split)


def scored_epochs(epochs: int) -> tuple[int, ...]:
    """Return the epochs after which a training is scored: few of many, closer together at the beginning."""
    if epochs <= MAX_SCORED_EPOCHS:
        return tuple(range(1, epochs + 1))
    spaced = np.round(np.geomspace(1, epochs, MAX_SCORED_EPOCHS)).astype(int)
    return tuple(np.unique(spaced).tolist())


def run_trainings(
    images: Mapping[int, ImageSet],
    cells: Sequence[Cell],
    folder: Path,
    num_processes: int,
    on_result: Callable[[Task, Scores], None] | None = None,
) -> dict[Task, Scores]:
    """Train each cell with each seed, unless its result is in the folder already.

    Args:
        images: The split images of each seed.
        cells: The cells.
        folder: Where results are kept; it exists.
        num_processes: The most processes that train at a time.
        on_result: Called with each result; with those in the folder after the first training.

    Raises:
        TinysightError: A loss is NaN or infinite.
    """
    tasks = [Task(cell, seed) for cell in sorted(cells, key=lambda cell: -cell.work) for seed in images]
    results = {task: scores for task in tasks if (scores := read_scores(folder, task, images[task.seed].split_hash))}
    missing = [task for task in tasks if task not in results]
    unreported = list(results)
    # A process that has loaded TensorFlow must not be forked, nor one with threads, which a progress bar starts
    start_method = "spawn" if "tensorflow" in sys.modules else None
    running = map_in_processes(
        partial(_prepare, dict(images), folder), iter(missing), min(num_processes, len(missing)), start_method
    )
    with closing(running):  # which ends the processes
        for task, scores in zip(missing, running, strict=True):
            results[task] = scores
            unreported.append(task)
            while unreported and on_result:
                on_result(unreported[0], results[unreported.pop(0)])
    return results


def _prepare(images: dict[int, ImageSet], folder: Path) -> Callable[[Task], Scores]:
    """Load TensorFlow for one thread, and return the function that trains."""
    from ..training.networks import sequential as _  # noqa: F401 - keeps TensorFlow's messages off the terminal

    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    trainer, parent = CellTrainer(images), os.getppid()

    def end_without_parent() -> None:
        if os.getppid() != parent:  # it was killed
            raise SystemExit

    def run(task: Task) -> Scores:
        scores = trainer.train(task, end_without_parent)
        write_scores(folder, task, images[task.seed].split_hash, scores)
        return scores

    return run


class CellTrainer:
    """Trains cells; the compiled programs of a cell serve all its seeds."""

    def __init__(self, images: Mapping[int, ImageSet]) -> None:
        """Take the split images of each seed."""
        self._images = images
        self._cell: Cell | None = None
        self._learner: Learner | None = None

    def train(self, task: Task, on_epoch: Callable[[], None] = lambda: None) -> Scores:
        """Train a cell with a seed.

        For one seed all cells of a size have the same images in the same order and the same first weights. They are
        those of the network without dropout, whose layers would draw random numbers too.

        Args:
            task: The cell and the seed.
            on_epoch: Called after each epoch.

        Raises:
            TinysightError: A loss is NaN or infinite.
        """
        import keras

        from ..training.builders import build_trained
        from ..training.learner import TrainingData

        start = perf_counter()
        # Images
        cell, seed = task
        settings = replace(cell.settings, seed=seed)
        images = self._images_of(cell, seed)
        data = TrainingData(images, settings)
        # Network
        keras.utils.set_random_seed(seed)
        first_weights = build_trained(images, replace(settings, api="sequential", dropout=0.0)).get_weights()
        learner = self._learner_of(cell)
        learner.restart(first_weights)
        # Epochs
        rows = {"train": data.sample_rows, **{split: images.indices(split) for split in ("validation", "test")}}
        scored = scored_epochs(settings.epochs)
        scores: dict[str, list[float]] = {}
        for epoch in range(1, settings.epochs + 1):
            learner.train_epoch(data)
            on_epoch()
            if epoch in scored:
                for name, value in _score(learner, images, rows).items():
                    scores.setdefault(name, []).append(value)
                _check_finite(task, epoch, scores)
        return Scores(scored, **{n: tuple(v) for n, v in scores.items()}, seconds=perf_counter() - start)

    def _images_of(self, cell: Cell, seed: int) -> ImageSet:
        """Return a seed's images with as many for training as the cell has; features are scaled."""
        images = with_training_images(self._images[seed], cell.num_train, seed)
        if cell.settings.network != "pretrained":
            return images
        from ..training.pretrained import with_scaled

        features: Any = images.images  # of floats, see `run_study`
        return with_scaled(features, images)[0]

    def _learner_of(self, cell: Cell) -> "Learner":
        """Return the cell's compiled programs, compiled if the last training was of another cell."""
        if self._learner is None or self._cell != cell:
            import tensorflow as tf

            from ..training.builders import build_trained
            from ..training.learner import Learner, TrainingData

            tf.config.experimental.enable_op_determinism()
            # All seeds share the outliers of the first
            settings = cell.settings
            images = self._images_of(cell, next(iter(self._images)))
            model, data = build_trained(images, settings), TrainingData(images, settings)
            self._learner, self._cell = Learner(model, settings, data.num_steps, data.outliers), cell
        return self._learner


def _score(learner: "Learner", images: ImageSet, rows: dict[str, NDArray[np.int64]]) -> dict[str, float]:
    scores = {}
    for split, of_split in rows.items():
        probabilities, labels = learner.predict(images, of_split), images.labels[of_split]
        scores[f"{split}_accuracy"], scores[f"{split}_loss"] = (
            accuracy(probabilities, labels),
            log_loss(probabilities, labels),
        )
    return scores


def _check_finite(task: Task, epoch: int, scores: dict[str, list[float]]) -> None:
    if not all(isfinite(values[-1]) for values in scores.values()):
        what = f"training with {task.cell.num_train:,} images and seed {task.seed} diverged in epoch {epoch}"
        raise TinysightError(f"{what}: the loss is NaN or infinite; lower the learning rate")


def write_scores(folder: Path, task: Task, split_hash: str, scores: Scores) -> None:
    """Write a training's scores to the folder.

    Raises:
        OutputError: The file cannot be written.
    """
    key = task.key(split_hash)
    settings = asdict(replace(task.cell.settings, seed=task.seed))
    entry = {"key": key, "num_train": task.cell.num_train, "settings": settings, "scores": asdict(scores)}
    write_whole(_path(folder, key), json.dumps(entry, indent=1).encode())


def read_scores(folder: Path, task: Task, split_hash: str) -> Scores | None:
    """Return a training's scores from the folder, or None if there are none or the file is damaged."""
    key = task.key(split_hash)
    try:
        entry: dict[str, Any] = json.loads(_path(folder, key).read_bytes())
        found: dict[str, Any] = {
            name: value if name == "seconds" else tuple(value) for name, value in entry["scores"].items()
        }
        scores = Scores(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    num_epochs = len(scored_epochs(task.cell.settings.epochs))
    is_whole = entry["key"] == key and all(len(found[name]) == num_epochs for name in found if name != "seconds")
    return scores if is_whole else None


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key[:32]}.json"
