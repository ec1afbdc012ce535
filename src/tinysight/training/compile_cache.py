"""Keeps the programs that TensorFlow compiles on disk, for later trainings; does not know what they do.

Machine code suits one kind of processor and one version of TensorFlow, so there is a folder for each pair. TensorFlow
trusts what it finds there, and a training fails where an entry cannot be read or written. So an entry has to be what it
was when a training had ended well, and nothing is kept where there is little room.
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
from ..errors import OutputError
from ..files import write_whole

MAX_PROGRAMS = 30  # of up to 0.7 MB
LEAST_ROOM = 2**28  # bytes free on the disk
PROCESSOR = Path("/proc/cpuinfo")
DESCRIPTIONS = ("model name", "flags", "CPU ", "Features")  # its lines on x86, and on ARM


@contextmanager
def kept_programs() -> Iterator[None]:
    """Have TensorFlow, not imported yet, keep its compiled programs; those of a body that ends well are used again.

    Nothing is kept on systems other than Linux, nor where ``TF_XLA_FLAGS`` is set already or the cache cannot be used.
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
        del os.environ["TF_XLA_FLAGS"]  # TensorFlow has read it; no other process is meant
    with suppress(OSError, OutputError):
        write_whole(folder / "checksums.json", json.dumps(_checksums(folder)).encode())


def _prepared_folder() -> Path | None:
    """Return the folder for this processor and TensorFlow, with nothing but sound programs in it.

    Raises:
        OSError: It cannot be written, or there is nothing to tell the processor by.
        PackageNotFoundError: TensorFlow is not installed, or under another name.
    """
    lines = {line for line in PROCESSOR.read_text().splitlines() if line.startswith(DESCRIPTIONS)}
    if not lines:
        return None
    num_cores = len(os.sched_getaffinity(0))  # which a program's loops are divided by
    kind = [sorted(lines), num_cores, os.environ.get("XLA_FLAGS"), version("tensorflow")]
    folder = (cache_folder() / "programs" / sha256(json.dumps(kind).encode()).hexdigest()[:16]).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_ours = folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o022  # nobody else's machine code
    is_usable = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > LEAST_ROOM
    if not is_ours or not is_usable or any(map(str.isspace, str(folder))):  # TensorFlow's flags are parted by spaces
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
