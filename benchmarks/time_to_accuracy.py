"""Whole-process time to 98.0 % of MNIST's test images: Tinysight against the program that a tutorial writes.

Each peer is a program of its own in ``peers/``, run in a virtual environment of its own, that ends when its test
accuracy first reaches 98.0 %. Tinysight's process is ``tinysight train mnist`` from start to saved run; it never looks
at the test images before the end. The programs take turns, so that a machine whose speed drifts is fair to all.
"""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = {"plain_keras": ["tensorflow"]}
FOLDER = Path(__file__).parent
ENVIRONMENTS = Path(".venv-bench")
GOAL = 0.98


def run(num_runs: int) -> None:
    """Measure every program `num_runs` times, in turn, and print seconds and ratios."""
    print(f"{platform.platform()}, Python {platform.python_version()}")
    pythons = {peer: _environment(peer, requirements) for peer, requirements in PEERS.items()}
    seconds: dict[str, list[float]] = {"tinysight": [], **{peer: [] for peer in PEERS}}
    for seed in range(num_runs):
        seconds["tinysight"].append(_time_tinysight(seed))
        for peer, python in pythons.items():
            seconds[peer].append(_time([python, str(FOLDER / "peers" / f"{peer}.py"), str(GOAL), str(seed)]))
    for name, times in seconds.items():
        ratios = [other / own for other, own in zip(times, seconds["tinysight"], strict=True)]
        print(
            f"{name:12s} {statistics.median(times):6.1f} s (from {min(times):.1f} to {max(times):.1f}), "
            f"{statistics.median(ratios):5.2f} times tinysight's (from {min(ratios):.2f} to {max(ratios):.2f})"
        )


def _time_tinysight(seed: int) -> float:
    """Return the seconds of a whole training that reached the goal."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "tinysight", "train", "mnist", "--out", str(out), "--seed", str(seed)]
        seconds = _time(command)
        accuracy = json.loads((out / "evaluation.json").read_text())["accuracy"]
    print(f"tinysight, seed {seed}: {accuracy:.2%} on the test images", flush=True)
    if accuracy < GOAL:
        raise SystemExit(f"tinysight did not reach {GOAL:.1%} with seed {seed}")
    return seconds


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
    print(
        f"{seconds:6.1f} s  {result.stdout.strip().splitlines()[-1] if 'peers' in command[1] else 'tinysight'}",
        flush=True,
    )
    return seconds


def _environment(peer: str, requirements: list[str]) -> str:
    """Make the peer's virtual environment where it is not there yet, and return its Python."""
    folder = ENVIRONMENTS / peer
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        (folder / "ready").touch()
    return str(python)
