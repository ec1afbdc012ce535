"""Runs benchmarks and writes ``benchmarks/RESULTS.md``. Needs MNIST's files in ``$TINYSIGHT_DATA/mnist``.

``python -m benchmarks`` runs the short benchmarks, ``--full`` runs all, and names run only those.
"""

import argparse
import json
import os
from pathlib import Path

from . import (
    accuracy,
    growth,
    own_images,
    phases,
    photographs,
    prediction,
    processes,
    results,
    serving,
    throughput,
    time_to_accuracy,
)

SHORT = ("time", "phases", "throughput", "prediction", "serving", "own-images", "photographs")
LONG = ("growth", "accuracy", "serving-memory")

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", choices=[*SHORT, *LONG, []], metavar="NAME", help=", ".join([*SHORT, *LONG]))
parser.add_argument("--full", action="store_true", help="run the long benchmarks too, and measure the time to 99.0 %%")
parser.add_argument("--runs", type=int, default=3, help="number of timed runs of each program")
parser.add_argument("--seeds", type=int, help="number of seeds: by default 5 for each accuracy, 3 for each own-images")
parser.add_argument("--peers", nargs="*", default=list(time_to_accuracy.PEERS), help="other programs to time")
parser.add_argument("--rows", nargs="*", default=[], help="rows of the accuracy table to measure")
parser.add_argument(
    "--only",
    nargs="+",
    default=[],
    choices=[*own_images.FOLDERS, *own_images.PROGRAMS],
    metavar="NAME",
    help="of own-images, folders and programs to measure: " + ", ".join([*own_images.FOLDERS, *own_images.PROGRAMS]),
)
parser.add_argument("--missing", action="store_true", help="of own-images, only the runs that have no result yet")
options = parser.parse_args()

os.environ.setdefault("TINYSIGHT_DATA", str(Path("../shared/data").resolve()))
if not (Path(os.environ["TINYSIGHT_DATA"]) / "mnist").is_dir():
    parser.error(
        f"no folder mnist in {os.environ['TINYSIGHT_DATA']}; set TINYSIGHT_DATA to a folder that has MNIST's four "
        "files, such as mnist/train-images-idx3-ubyte.gz"
    )
measures = {
    "time": lambda before: [
        time_to_accuracy.measure(options.runs, [0.98, 0.99] if options.full else [0.98], options.peers, before)
    ],
    "phases": lambda _: [phases.measure(options.runs)],
    "throughput": lambda _: [throughput.measure(options.runs * 3)],
    "prediction": lambda _: [prediction.measure(options.runs * 3)],
    "growth": lambda _: [growth.measure()],
    "serving": lambda _: [serving.measure(options.runs)],
    "serving-memory": lambda _: [serving.measure_memory()],
    "accuracy": lambda before: accuracy.measure(options.seeds or 5, options.rows, before),
    "own-images": lambda before: own_images.measure(
        options.seeds or (3 if options.full or options.only else 1), options.only, options.full, options.missing, before
    ),
}
measures["photographs"] = lambda _: photographs.measure(options.seeds or 3)
for name in options.names or (*SHORT, *(LONG if options.full else ())):
    print(f"\n{name}", flush=True)
    path = results.path_of(name)
    before = json.loads(path.read_text()) if path.exists() else {}
    for found in measures[name](before):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**processes.machine(), **found}, indent=1) + "\n")
        results.write_page()
print(f"\nwrote {results.PAGE}")
