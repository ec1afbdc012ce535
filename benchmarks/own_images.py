"""Test accuracy on folders of pictures such as users bring: Tinysight with no options, and other programs.

Each other program (peer) is in ``peers/`` and is written as in its library's documentation. For each folder and seed
all programs get the same ``train`` and ``test`` folders. Each chooses its validation images, if any, from ``train``.
The test images are scored once, at the end.

Each run's result is stored by itself, so that one program or one folder can be measured anew without the others.
"""

import importlib.metadata
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import image_folders, processes
from .image_folders import FOLDERS, ImageFolder

OWN = ("tinysight", "tinysight_best")
PEERS = {
    "logistic_regression": ("scikit-learn",),
    "hog_svm": ("scikit-image", "scikit-learn"),
    "keras_convnet": ("keras", "tensorflow"),
}
PROGRAMS = (*OWN, *PEERS)
SEEDLESS = ("logistic_regression", "hog_svm")  # their results depend on the split only


def measure(num_seeds: int, only: list[str], full: bool, missing: bool, before: dict) -> Iterator[dict]:
    """Run programs on folders with the seeds 0, 1, …. After each run, yield all results, old ones included.

    Args:
        num_seeds: How many splits of each folder.
        only: Names of folders and of programs to run; without any folder or any program, all of them.
        full: Whether to include the long folders and Tinysight with chosen options, if they are not named.
        missing: Whether to leave out the runs that have a result.
        before: The results so far.
    """
    folders = dict(before.get("folders", {}))
    measured = dict(before.get("measured", {}))
    names = [name for name in FOLDERS if name in only] or [n for n, f in FOLDERS.items() if full or not f.long]
    programs = [program for program in PROGRAMS if program in only] or [
        program for program in PROGRAMS if full or program != "tinysight_best"
    ]
    for name, seed in itertools.product(names, range(num_seeds)):
        if not image_folders.is_available(FOLDERS[name]):
            print(f"{name}: skipped, no folder {image_folders.data_folder(FOLDERS[name])}", flush=True)
            continue
        results = folders.setdefault(name, {"splits": {}, "runs": {}})
        known = [program for program in programs if missing and str(seed) in results["runs"].get(program, {})]
        same = SEEDLESS if seed and FOLDERS[name].is_whole else ()
        for program, run in _runs([p for p in programs if p not in (*known, *same)], name, seed, results):
            results["runs"].setdefault(program, {})[str(seed)] = run
            measured[program] = _about(program)
            yield {"folders": {key: folders[key] for key in FOLDERS if key in folders}, "measured": measured}


def _runs(programs: list[str], name: str, seed: int, results: dict) -> Iterator[tuple[str, dict]]:
    """Write a folder's pictures, run programs on them, and yield each one's result."""
    if not programs:
        return
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "images"
        _check_split(results, name, seed, image_folders.write(FOLDERS[name], seed, target))
        for program in programs:
            run = _run(program, FOLDERS[name], target, seed)
            print(f"{name}, seed {seed}, {program}: {run}", flush=True)
            yield program, run


def _check_split(results: dict, name: str, seed: int, counts: dict) -> None:
    """Refuse to mix results of different splits."""
    if results["splits"].setdefault(str(seed), counts) != counts:
        raise SystemExit(
            f"{name}, seed {seed}: the split is not the one of the earlier results; remove {name} from "
            "benchmarks/results/own-images.json, and measure it with all programs"
        )


def _run(program: str, folder: ImageFolder, target: Path, seed: int) -> dict:
    """Run a program on a folder; return how many test images it classified correctly, and its seconds of CPU time."""
    if program in OWN:
        options = folder.best.split() if program == "tinysight_best" else []
        cache = str(target.parent / "cache")
        finished, evaluation, _ = processes.train(str(target), *options, "--seed", str(seed), TINYSIGHT_CACHE=cache)
        correct = evaluation["num_correct"]  # of all test images: one that was left out counts as wrong
    else:
        path = str(processes.FOLDER / "peers" / f"{program}.py")
        finished = processes.run([sys.executable, path, str(target), str(seed), str(folder.epochs)])
        correct = int(finished.lines[-1][1])
    return {"correct": correct, "cpu_seconds": round(finished.cpu_seconds, 1)}


def _about(program: str) -> dict[str, str]:
    """Return the machine, the date and the versions of a program's libraries."""
    about = processes.machine()
    if program in PEERS:
        about["versions"] = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS[program])
    return about
