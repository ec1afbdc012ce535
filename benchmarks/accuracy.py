"""Test accuracy of each recipe over several seeds, as ``tinysight train`` measures it at the end of each training."""

import statistics
from collections.abc import Iterator

from . import processes

ROWS = {
    "fast": ("mnist", "--recipe fast"),
    "accurate": ("mnist", "--recipe accurate"),
    "accurate, no augmentation": ("mnist", "--recipe accurate --augment none"),
    "robust": ("mnist", "--recipe robust"),
    "tutorial": ("mnist", "--recipe tutorial"),
    "Fashion, fast": ("fashion-mnist", "--recipe fast"),
    "Fashion, accurate": ("fashion-mnist", "--recipe accurate --augment none --flip --dropout 0.25"),
}


def measure(seeds: int, only: list[str], before: dict) -> Iterator[dict]:
    """Run each row's command with the seeds 0, 1, …. After each row, yield all rows, old ones included."""
    rows = dict(before.get("rows", {}))
    for name in only or ROWS:
        data, options = ROWS[name]
        accuracies, seconds = [], []
        for seed in range(seeds):
            finished, evaluation, history = processes.train(data, *options.split(), "--seed", str(seed))
            accuracies.append(evaluation["accuracy"])
            seconds.append(finished.seconds)
            print(f"{name}, seed {seed}: {accuracies[-1]:.2%} in {seconds[-1]:.0f} s", flush=True)
        rows[name] = {
            "command": f"tinysight train {data} {options}",
            "accuracies": accuracies,
            "seconds": statistics.median(seconds),
            "epochs": len(history),
        }
        yield {"rows": {name: rows[name] for name in ROWS if name in rows}}
