"""Downloads MNIST and Fashion-MNIST to ``$TINYSIGHT_DATA``, by default ``.data``; run by ``make data``."""

import os
import shutil
from pathlib import Path

from tinysight.data.downloads import find_named_set
from tinysight.data.named_sets import NAMED_SETS


def main() -> None:
    folder = Path(os.environ.get("TINYSIGHT_DATA") or ".data")
    os.environ["TINYSIGHT_DATA"] = str(folder)
    for name in NAMED_SETS:
        print(f"{name}: looking for its files", flush=True)
        (folder / name).mkdir(parents=True, exist_ok=True)
        for path in find_named_set(name).values():
            if path.parent != folder / name:
                part = folder / name / f".{path.name}"
                shutil.copyfile(path, part)
                part.replace(folder / name / path.name)
        print(f"{name}: in {folder / name}", flush=True)


if __name__ == "__main__":
    main()
