"""Pictures per second of ``tinysight predict``, its time for one picture, and its memory for many.

The 10,000 test images of MNIST are PNG files in a folder. Two references only decode them, in as many processes: one
with `read_picture` (Tinysight's decoder, all checks included), one with Pillow alone. All take turns.
``python -m benchmarks.prediction WAY FOLDER`` runs one reference.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from . import processes

WAYS = ("read_picture", "Pillow")
TIMES_AS_MANY = 20  # folders in the long run: 200,000 pictures


def measure(num_runs: int) -> dict:
    """Time one picture, all pictures and both references in turn; then measure memory."""
    with tempfile.TemporaryDirectory() as folder:
        num_pictures = _write_pictures(Path(folder))
        one = str(Path(folder) / "00000.png")
        seconds: dict[str, list[float]] = {name: [] for name in ("one picture", "predict", *WAYS)}
        working: dict[str, list[float]] = {name: [] for name in ("predict", *WAYS)}
        for _ in range(num_runs):
            seconds["one picture"].append(processes.run([*_predict(), one]).seconds)
            finished = processes.run([*_predict(), folder])
            seconds["predict"].append(finished.seconds)
            # The first batch's lines come together, so only the pictures after it were predicted in the time measured
            first = finished.lines[0][0]
            later = sum(when > first + 0.005 for when, _ in finished.lines)
            working["predict"].append((finished.lines[-1][0] - first) * num_pictures / later)
            for way in WAYS:
                finished = processes.run([sys.executable, "-m", "benchmarks.prediction", way, folder])
                seconds[way].append(finished.seconds)
                times = [when for when, _ in finished.lines]
                working[way].append(times[-1] - times[-2])
            print({name: round(runs[-1], 2) for name, runs in seconds.items()}, flush=True)
        memory = {str(num_pictures * times): _peak_mib([folder] * times) for times in (1, TIMES_AS_MANY)}
        print(memory, flush=True)
    return {"pictures": num_pictures, "seconds": seconds, "working_seconds": working, "peak_mib": memory}


def _predict() -> list[str]:
    return [sys.executable, "-m", "tinysight", "predict"]


def _write_pictures(folder: Path) -> int:
    import numpy as np
    from PIL import Image

    from tinysight.data.loading import load_images

    images = load_images("mnist").subset("test").images
    for number, image in enumerate(images):
        Image.fromarray(np.asarray(image)).save(folder / f"{number:05}.png")
    return len(images)


def _peak_mib(folders: list[str]) -> dict[str, float]:
    """Return the peak memory of all processes together, with shared pages counted once, and that of the largest one."""
    process = subprocess.Popen([*_predict(), *folders], stdout=subprocess.DEVNULL)
    together = one = 0.0
    while process.poll() is None:
        shares = [_share_mib(process_id) for process_id in (process.pid, *_children(process.pid))]
        together, one = max(together, sum(shares)), max(one, *shares)
        time.sleep(0.05)
    return {"together": together, "one": one}


def _children(process_id: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]
    except OSError:
        return []


def _share_mib(process_id: int) -> float:
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    except OSError:  # the process has ended
        return 0.0


def decode(way: str, folder: str) -> None:
    """Decode all pictures with one process for each core; print a line when they start and when they end."""
    paths = sorted(str(path) for path in Path(folder).iterdir())
    num_processes = len(os.sched_getaffinity(0))
    context = get_context("fork")
    ready = context.Barrier(num_processes + 1)
    shares = [paths[first::num_processes] for first in range(num_processes)]
    workers = [context.Process(target=_decode_share, args=(way, share, ready)) for share in shares]
    for worker in workers:
        worker.start()
    ready.wait()
    print("ready", flush=True)
    for worker in workers:
        worker.join()
    print("done", flush=True)


def _decode_share(way: str, paths: list[str], ready) -> None:
    if way == "Pillow":
        from PIL import Image, PngImagePlugin  # noqa: F401

        ready.wait()
        for path in paths:
            with Image.open(path) as picture:
                picture.load()
        return
    from tinysight.preprocessing.decode import read_picture

    ready.wait()
    for path in paths:
        read_picture(path)


def rates(result: dict) -> list[tuple[str, float, float, list[float], list[float]]]:
    """Return for each way its name, its pictures per second, and Tinysight's rate as a share of it in each run.

    Rate and shares come twice: for the whole process, and for the time after start-up.
    """
    rows = []
    for name in ("predict", *WAYS):
        whole, working = result["seconds"][name], result["working_seconds"][name]
        ours, ours_working = result["seconds"]["predict"], result["working_seconds"]["predict"]
        rows.append(
            (
                name,
                result["pictures"] / statistics.median(whole),
                result["pictures"] / statistics.median(working),
                [other / own for other, own in zip(whole, ours, strict=True)],
                [other / own for other, own in zip(working, ours_working, strict=True)],
            )
        )
    return rows


if __name__ == "__main__":
    decode(*sys.argv[1:])
