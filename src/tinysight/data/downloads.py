"""Downloads the files of the named sets once, checked by hash.

A file comes from the first host that serves it whole. It is written under a temporary name, and renamed when its hash
is right. This is hand-written because pooch would add itself and requests to the base install, and because pooch checks
the hash of the compressed file, which differs from host to host.
"""

import gzip
import http.client
import os
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from ..errors import DataError, DownloadError
from .cache import cache_folder
from .dataset import Progress
from .named_sets import NAMED_SETS

CHUNK_BYTES = 2**18
MAX_DOWNLOAD_BYTES = 64 * 2**20  # the largest file is 26 MB, uncompressed 47 MB
TIMEOUT_SECONDS = 30.0  # without a byte
WEB_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.UnknownHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
)
MAX_SECONDS = 1_800.0  # for a whole file: 15 kB/s and more


def find_named_set(name: str, progress: Progress | None = None) -> dict[str, Path]:
    """Return the path of each file of a named set, by the file's published name; missing files are downloaded.

    They are searched for in ``$TINYSIGHT_DATA/NAME``, in the cache, and on the set's hosts, in this order.

    Raises:
        DownloadError: No host served a file whole; the message names the hosts that were tried.
    """
    named_set = NAMED_SETS[name]
    cached = cache_folder() / "downloads" / name
    data_folder = os.environ.get("TINYSIGHT_DATA")
    for folder in [Path(data_folder) / name, cached] if data_folder else [cached]:
        found = {file: _plain_or_gzip(folder, file) for file in named_set.files}
        if all(path.is_file() for path in found.values()):
            return found
    for file, expected in named_set.files.items():
        if not (cached / file).is_file():
            _fetch(name, file, expected, cached, progress)
    return {file: cached / file for file in named_set.files}


def check_content(path: Path, expected: str) -> None:
    """Raise `DataError` unless the uncompressed content of `path` has the SHA-256 `expected`."""
    try:
        digest, size = sha256(), 0
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while (chunk := file.read(CHUNK_BYTES)) and size <= MAX_DOWNLOAD_BYTES:
                digest.update(chunk)
                size += len(chunk)
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path}: truncated or damaged; delete it, and it is downloaded again") from None
    if digest.hexdigest() != expected:
        raise DataError(
            f"{path}: not the published file (its hash is wrong); to use it nevertheless, give its folder's path"
        )


def _plain_or_gzip(folder: Path, file: str) -> Path:
    plain = folder / file.removesuffix(".gz")
    return plain if plain.is_file() else folder / file


def _fetch(name: str, file: str, expected: str, folder: Path, progress: Progress | None) -> None:
    """Download one file of a named set from the first host that serves it whole."""
    problems = []
    for host in NAMED_SETS[name].hosts:
        try:
            _fetch_from(host + file, expected, folder / file, progress)
            return
        except (OSError, http.client.HTTPException, ValueError) as error:
            problems.append(f"{host}{file}: {_shortened(error)}")
    raise DownloadError(
        f"{name} could not be downloaded; tried {'; '.join(problems)}. "
        f"Put its files in $TINYSIGHT_DATA/{name}/, or use 'digits', which needs no download"
    )


def _fetch_from(address: str, expected: str, target: Path, progress: Progress | None) -> None:
    """Download `address` to `target`; on an error no file is left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=f"-{target.name}", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _copy(address, file.write, progress)
            file.flush()
            os.fsync(file.fileno())
        try:
            check_content(Path(temporary), expected)
        except DataError:
            raise ValueError("what it served is not the published file (wrong hash)") from None
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _copy(address: str, write: Callable[[bytes], object], progress: Progress | None) -> None:
    """Write what `address` serves, chunk by chunk."""
    request = urllib.request.Request(address, headers={"User-Agent": "tinysight"})  # noqa: S310 - from NAMED_SETS
    start = time.monotonic()
    with _web_opener().open(request, timeout=TIMEOUT_SECONDS) as response:
        done, total = 0, int(response.headers.get("Content-Length") or 0)
        while chunk := response.read1(CHUNK_BYTES):  # what has arrived: the time limit is checked often
            write(chunk)
            done += len(chunk)
            if progress:
                progress(f"downloading {address.rsplit('/', 1)[-1]}", done, total)
            if time.monotonic() - start > MAX_SECONDS:
                raise ValueError(f"it took longer than {MAX_SECONDS / 60:g} minutes")
            if done > MAX_DOWNLOAD_BYTES:
                raise ValueError("the file is larger than expected")
    if done < total:
        raise ValueError(f"the connection ended after {done:,} of {total:,} bytes")


def _web_opener() -> urllib.request.OpenerDirector:
    """Return what opens web addresses only, wherever a host redirects to: no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in WEB_HANDLERS:
        opener.add_handler(handler())
    return opener


def _shortened(error: Exception) -> str:
    """Return an error's text as one line of at most 100 characters."""
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())[:100] or type(error).__name__
