"""run_study(): trains all cells, and writes the study's folder."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import ImageSet, Progress
from ..errors import OutputError
from ..files import write_whole
from ..process_pool import num_cores
from ..training.network_choice import choose_network
from .report import render_study
from .results import StudyResult, summarize
from .settings import Cell, StudySettings
from .trainings import Scores, Task, run_trainings, split_for_seeds, with_training_images

TRAININGS = "trainings"  # the folder with a file for each finished training
FILES = ("study.json", "study.html", TRAININGS)
OnTraining = Callable[[Task, Scores, tuple[Cell, ...], int], None]


def check_study_folder(folder: str | Path) -> None:
    """Raise `OutputError` unless a study can be written to `folder`, or go on in it; a missing folder stays missing."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; expected the name of a folder")
    try:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read ({error.strerror}); choose another with --out") from None
    if other := sorted(name for name in names - set(FILES) if not name.startswith(".tinysight-")):
        raise OutputError(f"{folder}: holds other things than a study, such as {other[0]}; choose another with --out")


def run_study(
    images: ImageSet,
    settings: StudySettings | None = None,
    folder: str | Path = "runs/study",
    overwrite: bool = False,
    num_processes: int | None = None,
    on_training: OnTraining | None = None,
    progress: Progress | None = None,
) -> StudyResult:
    """Train each cell with each seed, and write ``study.json`` and ``study.html``.

    Each finished training is kept in the folder. So a study that was interrupted goes on where it was, and one with
    more seeds, rates or sizes trains only what is new. The same images and settings on the same kind of processor give
    the same ``study.json``, byte for byte.

    As for `multiprocessing`, call it below ``if __name__ == "__main__":``.

    Args:
        images: The images. Where they are not split yet, they are split anew for each seed.
        settings: The settings; by default no dropout and dropout 0.5, with 5 seeds.
        folder: The study's folder; it is created with the folders above it.
        overwrite: Whether trainings in it are thrown away; otherwise they are used again.
        num_processes: The most processes that train at a time; by default one for each core.
        on_training: Called with each result, with all cells and the number of seeds.
        progress: Called while features are computed, where the network is pretrained.

    Raises:
        DataError: There are too few images of a class, or the file of pretrained weights is another one.
        MissingExtraError: The network ``pretrained`` is asked for, and its weights are not installed.
        SettingsError: The settings contradict each other, or ask for more images than there are.
        OutputError: The folder holds something else, or cannot be written.
        TinysightError: A loss is NaN or infinite.
    """
    settings, folder = settings or StudySettings(), Path(folder)
    check_study_folder(folder)
    network = choose_network(settings.training, images.framing, settings.weights).name
    settings = replace(settings, training=replace(settings.training, network=network))
    # What to train
    of_seeds = split_for_seeds(images, settings)
    num_train = min(len(one.indices("train")) for one in of_seeds.values())
    sizes = settings.sizes(num_train)
    cells = settings.cells(sizes, images.framing.method)
    for seed, one in of_seeds.items():
        with_training_images(one, sizes[0], seed)  # raises if that is too few
    # The folder
    try:
        if overwrite:
            for name in FILES:
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
                else:
                    (folder / name).unlink(missing_ok=True)
        (folder / TRAININGS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another with --out") from None

    # Train, summarize, write
    def report(task: Task, scores: Scores) -> None:
        if on_training:
            on_training(task, scores, cells, settings.num_seeds)

    trained_on = _with_features(images, of_seeds, settings.weights, progress) if network == "pretrained" else of_seeds
    scores = run_trainings(trained_on, cells, folder / TRAININGS, num_processes or num_cores(), report)
    result = summarize(of_seeds, settings, cells, scores)
    page = render_study(result)
    text = json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(folder / "study.json", text.encode())
    write_whole(folder / "study.html", page.encode(errors="backslashreplace"))
    return result


def _with_features(
    images: ImageSet, of_seeds: Mapping[int, ImageSet], weights: Path | None, progress: Progress | None
) -> dict[int, ImageSet]:
    """Put the features of a pretrained network, computed once, in the place of each seed's images."""
    from ..training.pretrained import PretrainedNetwork  # which loads TensorFlow

    network = PretrainedNetwork(images.framing.image_shape, weights)
    features = network.features(images, np.arange(len(images)), progress)
    prepared: Any = features  # of floats where an `ImageSet` has pixels; scaled before each training
    return {seed: replace(one, images=prepared) for seed, one in of_seeds.items()}
