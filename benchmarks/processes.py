"""Runs programs, if need be in virtual environments of their own, and measures their time and peak memory."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ENVIRONMENTS = Path(".venv-bench")


@dataclass(frozen=True)
class Finished:
    """A program that succeeded: seconds, seconds of CPU time, peak memory in MiB, printed lines, each with its time."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    lines: list[tuple[float, str]]


def run(command: list[str], **environment: str) -> Finished:
    """Run a program to its end, with additional environment variables. If it fails, the benchmark ends."""
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **environment}
        )
        lines = [(time.perf_counter() - start, line.strip()) for line in process.stdout]
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read()[-2000:]}")
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines)


def train(data: str, *options: str, **environment: str) -> tuple[Finished, dict, list[dict]]:
    """Run ``tinysight train``; return its time and memory, its evaluation, and its history."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        finished = run([sys.executable, "-m", "tinysight", "train", data, "--out", str(out), *options], **environment)
        evaluation = json.loads((out / "evaluation.json").read_text())
        header, *rows = [line.split(",") for line in (out / "history.csv").read_text().splitlines()]
    return finished, evaluation, [dict(zip(header, map(float, row), strict=True)) for row in rows]


def environment(name: str, requirements: list[str]) -> str:
    """Create a virtual environment if it does not exist yet, and return its Python."""
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        (folder / "ready").touch()
    return str(python)


def versions_in(python: str, packages: list[str]) -> dict[str, str]:
    """Return the versions of packages in a virtual environment."""
    code = "import importlib.metadata as m, sys; print(*[m.version(p) for p in sys.argv[1:]])"
    names = [package.partition("==")[0] for package in packages]
    output = subprocess.run([python, "-c", code, *names], check=True, capture_output=True, text=True).stdout
    return dict(zip(names, output.split(), strict=True))


def machine() -> dict[str, str]:
    """Return processor, versions and date, on which the figures of a run depend."""
    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    own = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy", "onnxruntime")}
    return {
        "machine": f"{model}, {num_cores} core{'s' if num_cores > 1 else ''}, {platform.system()}",
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in own.items()),
        "date": time.strftime("%Y-%m-%d"),
    }
