"""Time and test accuracy on a folder of photographs: Tinysight, and what users would pick instead.

All programs get the same ``train`` and ``test`` folders, see `own_images`.
"""

import importlib.metadata
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import image_folders, processes
from .image_folders import FOLDERS

NAME = "figures-photos"
PEERS = {
    "keras_transfer": ("keras", "tensorflow"),
    "keras_convnet": ("keras", "tensorflow"),
    "hog_svm": ("scikit-image", "scikit-learn"),
    "hog_logistic": ("scikit-image", "scikit-learn"),
}
OWN = {"tinysight_first": (), "tinysight": (), "tinysight_dense": ("--network", "dense")}


def measure(num_seeds: int) -> Iterator[dict]:
    """Run each program on the splits of the seeds 0, 1, ….

    ``tinysight_first`` has an empty cache, and ``tinysight`` the cache that it has left.
    """
    versions = {name: importlib.metadata.version(name) for names in PEERS.values() for name in names}
    result = {"splits": {}, "runs": {}, "peer_versions": versions}
    for seed in range(num_seeds):
        with tempfile.TemporaryDirectory() as temporary:
            target = Path(temporary) / "images"
            result["splits"][str(seed)] = image_folders.write(FOLDERS[NAME], seed, target)
            for program in (*OWN, *PEERS):
                run = _run(program, target, seed)
                print(f"seed {seed}, {program}: {run}", flush=True)
                result["runs"].setdefault(program, {})[str(seed)] = run
                yield result


def _run(program: str, target: Path, seed: int) -> dict:
    """Run a program; return its seconds, its seconds of CPU time, and how many test images it classified correctly."""
    if program in OWN:
        options, cache = OWN[program], str(target.parent / "cache")
        finished, found, _ = processes.train(str(target), *options, "--seed", str(seed), TINYSIGHT_CACHE=cache)
        correct = found["num_correct"]
    else:
        path = str(processes.FOLDER / "peers" / f"{program}.py")
        finished = processes.run([sys.executable, path, str(target), str(seed), str(FOLDERS[NAME].epochs)])
        correct = int(finished.lines[-1][1])
    times = {"seconds": round(finished.seconds, 1), "cpu_seconds": round(finished.cpu_seconds, 1)}
    return {**times, "correct": correct}
