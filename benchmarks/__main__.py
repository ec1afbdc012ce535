"""Runs the benchmarks: ``python -m benchmarks [--runs N]``; needs MNIST's files in ``$TINYSIGHT_DATA/mnist``."""

import argparse
import os
from pathlib import Path

from . import time_to_accuracy

parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
parser.add_argument("--runs", type=int, default=3, help="counted runs of each program")
options = parser.parse_args()
os.environ.setdefault("TINYSIGHT_DATA", str(Path("../shared/data").resolve()))
if not (Path(os.environ["TINYSIGHT_DATA"]) / "mnist").is_dir():
    parser.error(
        "MNIST is not there: set TINYSIGHT_DATA to a folder with mnist/train-images-idx3-ubyte.gz and the rest"
    )
time_to_accuracy.run(options.runs)
