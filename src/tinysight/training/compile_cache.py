"""Keeps XLA's compiled programs on disk between runs.

There is a folder for each kind of processor and version of TensorFlow. TensorFlow executes whatever it finds there, so
only entries whose checksum was stored after a successful training are kept. TensorFlow fails if it cannot
read or write an entry, so nothing is kept if the disk is nearly full.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..data.cache import cache_folder
from ..data.cached_folders import is_private
from ..errors import OutputError
from ..files import write_whole

MAX_PROGRAMS = 30  # of up to 0.7 MB
MIN_FREE_BYTES = 2**28  # on the disk
CPU_INFO = Path("/proc/cpuinfo")
CPU_INFO_LINES = ("model name", "flags", "CPU ", "Features")  # that describe the processor, on x86 and ARM


@contextmanager
def keep_compiled_programs() -> Iterator[None]:
    """Have TensorFlow keep the programs that it compiles in the body of ``with``; it must not be imported yet.

    They are used again if the body ends without an exception. Nothing is kept if the system is not
    Linux, if ``TF_XLA_FLAGS`` is set already, or if the cache cannot be used.
    """
    folder = None
    if "TF_XLA_FLAGS" not in os.environ and "tensorflow" not in sys.modules:
        with suppress(OSError, PackageNotFoundError):
            folder = _prepared_folder()
    if folder is None:
        yield
        return
    os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={folder}"
    try:
        yield
    finally:
        del os.environ["TF_XLA_FLAGS"]  # TensorFlow has read it; other processes shall not see it
    with suppress(OSError, OutputError):
        write_whole(folder / "checksums.json", json.dumps(_checksums(folder)).encode())


def _prepared_folder() -> Path | None:
    """Return the folder for this processor and TensorFlow, after removing entries whose checksum is not known.

    Raises:
        OSError: It cannot be written, or the processor is not described.
        PackageNotFoundError: TensorFlow is not installed, or under another name.
    """
    lines = {line for line in CPU_INFO.read_text().splitlines() if line.startswith(CPU_INFO_LINES)}
    if not lines:
        return None
    num_cores = len(os.sched_getaffinity(0))  # the program's loops are split by it
    kind = [sorted(lines), num_cores, os.environ.get("XLA_FLAGS"), version("tensorflow")]
    folder = (cache_folder() / "programs" / sha256(json.dumps(kind).encode()).hexdigest()[:16]).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_ours = is_private(folder)  # never run another user's machine code
    is_usable = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > MIN_FREE_BYTES
    if not is_ours or not is_usable or any(map(str.isspace, str(folder))):  # spaces separate TensorFlow's flags
        return None
    try:
        known = dict(json.loads((folder / "checksums.json").read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        known = {}
    found = _checksums(folder)
    newest = sorted(found, key=lambda name: (folder / name).stat().st_mtime_ns, reverse=True)
    for name in found:
        if known.get(name) != found[name] or name not in newest[:MAX_PROGRAMS]:
            (folder / name).unlink(missing_ok=True)
    return folder


def _checksums(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.pb")}
