"""Fetches the named sets' IDX files once, checked by hash; does not know what becomes of them.

A file comes from the first host that serves it whole, is written under a temporary name, and renamed when its hash is
right.
"""

import gzip
import http.client
import os
import tempfile
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..errors import DataError, DownloadError
from .cache import cache_folder

Progress = Callable[[str, int, int], None]  # what is under way, how much is done, how much there is (0: unknown)

CHUNK_BYTES = 2**18
MAX_DOWNLOAD_BYTES = 64 * 2**20  # the largest file is 26 MB, uncompressed 47 MB
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class NamedSet:
    """A public image set.

    Attributes:
        hosts: Addresses of folders that hold its files, in the order in which they are tried.
        files: Name of each file, with the SHA-256 of what it holds uncompressed (compressed files differ by host).
        class_names: What the labels 0, 1, … stand for.
        framing: How a picture from elsewhere becomes like the set's, see `tinysight.preprocessing.decode.Framing`.
    """

    hosts: tuple[str, ...]
    files: dict[str, str]
    class_names: tuple[str, ...]
    framing: str


# Source: the hosts that torchvision (ossci-datasets), TFDS (cvdf-datasets, fashion-mnist) and Keras
# (tf-keras-datasets) name.
NAMED_SETS = {
    "mnist": NamedSet(
        hosts=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        files={
            "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        class_names=tuple("0123456789"),
        framing="ink",
    ),
    "fashion-mnist": NamedSet(
        hosts=(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        files={
            "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        class_names=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        framing="whole",
    ),
}  # fmt: skip


def find_named_set(name: str, progress: Progress | None = None) -> dict[str, Path]:
    """Return where each file of a named set is, keyed by its usual name, after fetching what is missing.

    Looked at in turn: ``$TINYSIGHT_DATA/NAME``, the user's cache, the set's hosts.

    Raises:
        DownloadError: No host served a file whole; the message names what was tried.
    """
    named_set = NAMED_SETS[name]
    cached = cache_folder() / "downloads" / name
    chosen = os.environ.get("TINYSIGHT_DATA")
    for folder in [Path(chosen) / name, cached] if chosen else [cached]:
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
        raise DataError(f"{path}: truncated or damaged; delete it to have it fetched again") from None
    if digest.hexdigest() != expected:
        raise DataError(
            f"{path}: not the published file (its hash is wrong); give its folder's path to use it as it is"
        )


def _plain_or_gzip(folder: Path, file: str) -> Path:
    plain = folder / file.removesuffix(".gz")
    return plain if plain.is_file() else folder / file


def _fetch(name: str, file: str, expected: str, folder: Path, progress: Progress | None) -> None:
    problems = []
    for host in NAMED_SETS[name].hosts:
        try:
            _fetch_from(host + file, expected, folder / file, progress)
            return
        except (OSError, http.client.HTTPException, ValueError) as error:
            problems.append(f"{host}{file}: {_in_short(error)}")
    raise DownloadError(
        f"{name} could not be downloaded; tried {'; '.join(problems)}. "
        f"Put its files in $TINYSIGHT_DATA/{name}/, or use 'digits', which needs no download"
    )


def _fetch_from(address: str, expected: str, target: Path, progress: Progress | None) -> None:
    """Write the file at `address` to `target`, or raise without leaving anything behind."""
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
    """Pass on what `address` serves."""
    request = urllib.request.Request(address, headers={"User-Agent": "tinysight"})  # noqa: S310 - from NAMED_SETS
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
        done, total = 0, int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(CHUNK_BYTES):
            write(chunk)
            done += len(chunk)
            if progress:
                progress(f"downloading {address.rsplit('/', 1)[-1]}", done, total)
            if done > MAX_DOWNLOAD_BYTES:
                raise ValueError("the file is larger than expected")
    if done < total:
        raise ValueError(f"the connection ended after {done:,} of {total:,} bytes")


def _in_short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())[:100] or type(error).__name__
