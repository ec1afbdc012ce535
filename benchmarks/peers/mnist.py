"""Shared by all peers: reads MNIST's gzip files, and trains until the last goal is reached."""

import gzip
import os
import sys
from pathlib import Path

import numpy as np

goals, seed, max_epochs = [float(goal) for goal in sys.argv[1].split(",")], int(sys.argv[2]), int(sys.argv[3])
FOLDER = Path(os.environ["TINYSIGHT_DATA"]) / "mnist"


def _read(name, offset):
    return np.frombuffer(gzip.decompress((FOLDER / name).read_bytes()), np.uint8, offset=offset)


def load():
    """Return x_train, y_train, x_test, y_test: float32 (n, 28, 28) in 0…1, and labels."""
    return (
        _read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / np.float32(255),
        _read("train-labels-idx1-ubyte.gz", 8).astype(np.int64),
        _read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / np.float32(255),
        _read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64),
    )


def run(train_epoch, score):
    """Train epoch by epoch until the test accuracy reaches the last goal; print a line for each goal."""
    best, open_goals = 0.0, sorted(goals)
    for epoch in range(1, max_epochs + 1):
        train_epoch()
        accuracy = float(score())
        best = max(best, accuracy)
        while open_goals and accuracy >= open_goals[0]:
            print(open_goals.pop(0), f"{accuracy:.2%} after {epoch} epochs", flush=True)
        if not open_goals:
            return
    for goal in open_goals:
        print(goal, f"missed: {best:.2%} at best in {max_epochs} epochs", flush=True)
