"""Prediction of files, folders, patterns and archives, in order, on all cores.

At most four batches of 128 pictures for each process are under way at a time, however many pictures there are.
"""

import glob
import lzma
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from PIL.Image import Image

from .blas_threads import one_blas_thread
from .classifier import Classifier, Prediction
from .errors import PictureError
from .preprocessing.decode import MAX_FILE_BYTES, SUFFIXES, read_file, read_picture, without_warnings
from .preprocessing.framing import Framed, frame_pictures
from .process_pool import map_in_processes

PICTURES_AT_A_TIME = 128
BYTES_AT_A_TIME = 2**24  # of pictures' files, or a single larger one
Finish = Callable[[Sequence[Prediction], Sequence[Framed]], Any]
STANDARD_INPUT = "-"
# What reading an archive raises; each compression method has an error of its own
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, OSError, EOFError, ValueError,
)  # fmt: skip
Source = tuple[str, str | bytes | PictureError]  # a picture's name, and its path, its content, or why it cannot be read


class Outcome(NamedTuple):
    """The result for a batch of pictures.

    Attributes:
        num_predicted: Number of pictures that could be read.
        finished: What `finish` returned for these; None where there are none.
        failures: For each other picture its position in the batch and why it could not be read.
    """

    num_predicted: int
    finished: Any
    failures: list[tuple[int, str]]


def predict_files(
    classifier: Classifier,
    names: str | Path | Iterable[str | Path],
    top: int = 1,
    num_processes: int | None = None,
) -> Iterator[Prediction | PictureError]:
    """Predict every picture that names mean, in order; a picture that cannot be read does not stop the others.

    Up to 128 pictures are predicted by this process. More are predicted by several processes, so a script that calls
    this needs ``if __name__ == "__main__":``, as for `multiprocessing`.

    Args:
        classifier: The classifier.
        names: Paths of pictures, folders or ZIP archives, patterns such as ``*.png``, or ``-`` for standard input; one
            of these or several.
        top: Number of classes to rank.
        num_processes: Number of processes at most; by default one for each core.

    Yields:
        For each picture its prediction, or the error that says why it could not be read.

    Raises:
        TinysightError: A process was killed.
    """
    listed = [names] if isinstance(names, str | Path) else names
    load = partial(Classifier, classifier.file_bytes, num_threads=1)
    sources = list(map(str, listed))
    outcomes = predict_sources(load, sources, top, _predictions_alone, num_processes, "spawn")  # other threads may run
    with closing(outcomes):
        for outcome in outcomes:
            results: list[Prediction | PictureError] = list(outcome.finished or ())
            for position, message in outcome.failures:
                results.insert(position, PictureError(message))
            yield from results


def _predictions_alone(predictions: Sequence[Prediction], _: Sequence[Framed]) -> Sequence[Prediction]:
    return predictions


def predict_sources(
    load: Callable[[], Classifier],
    names: list[str],
    top: int,
    finish: Finish,
    num_processes: int | None = None,
    start_method: str | None = None,
) -> Generator[Outcome]:
    """Predict every picture that `names` mean, a batch at a time; closing the generator ends its processes.

    Pictures that fit one batch are predicted by this process, more by several.

    Args:
        load: Loads the classifier; called in each process.
        names: As `find_sources` takes them.
        top: Number of classes to rank.
        finish: Called in each process with a batch's predictions, and its pictures as the classifier's input.
        num_processes: Number of processes at most; by default one for each core.
        start_method: How processes are started, as for `map_in_processes`.

    Yields:
        The result for the next batch.
    """
    if num_processes is None:
        num_processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    batches = _batches(find_sources(names))
    first = list(islice(batches, num_processes))
    prepare = partial(_prepare, load, top, finish)
    if len(first) == 1:
        yield from map(prepare(), chain(first, batches))
    else:
        yield from map_in_processes(prepare, chain(first, batches), len(first), start_method)


def _prepare(load: Callable[[], Classifier], top: int, finish: Finish) -> Callable[[list[Source]], Outcome]:
    return partial(_predict_batch, load(), top, finish)


def _batches(sources: Iterator[Source]) -> Iterator[list[Source]]:
    batch: list[Source] = []
    num_bytes = 0
    for source in sources:
        batch.append(source)
        num_bytes += len(source[1]) if isinstance(source[1], bytes) else 0
        if len(batch) == PICTURES_AT_A_TIME or num_bytes >= BYTES_AT_A_TIME:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


@one_blas_thread()
def _predict_batch(classifier: Classifier, top: int, finish: Finish, batch: list[Source]) -> Outcome:
    sources: list[str] = []
    failures: list[tuple[int, str]] = []

    def read() -> Iterator[Image]:
        for position, (name, content) in enumerate(_read_ahead(batch)):
            try:
                if isinstance(content, PictureError):
                    raise content
                picture = read_picture(content, name)
            except PictureError as error:
                failures.append((position, str(error)))
            else:
                sources.append(name)
                yield picture
                del picture  # before the next is read

    with without_warnings():
        framed = frame_pictures(read(), classifier.framing)
    predictions = classifier.predict_framed(sources, framed, top)
    return Outcome(len(predictions), finish(predictions, framed) if predictions else None, failures)


def _read_ahead(batch: list[Source]) -> Iterator[tuple[str, bytes | PictureError]]:
    """Read files, small ones many at a time: this keeps each step's code in the processor's cache."""
    contents: list[tuple[str, bytes | PictureError]] = []
    num_bytes = 0
    for name, source in batch:
        content = _content(source)
        contents.append((name, content))
        num_bytes += len(content) if isinstance(content, bytes) else 0
        if num_bytes >= BYTES_AT_A_TIME:
            yield from contents
            contents, num_bytes = [], 0
    yield from contents


def _content(source: str | bytes | PictureError) -> bytes | PictureError:
    try:
        return read_file(source) if isinstance(source, str) else source
    except PictureError as error:
        return error


def find_sources(names: list[str]) -> Iterator[Source]:
    """Yield each picture that names mean, as it is found; no more than one folder's names are in memory.

    Args:
        names: Paths of pictures, folders or ZIP archives, patterns such as ``*.png``, or ``-`` for standard input.
    """
    for name in names:
        if name == STANDARD_INPUT:
            yield name, _read_standard_input()
        elif glob.has_magic(name) and not os.path.lexists(name):
            matches = sorted(glob.iglob(name, recursive=True))  # noqa: PTH207 - keeps the name as it was typed
            if "**" in name:  # it matches the files in folders too
                matches = [match for match in matches if not os.path.isdir(match)]  # noqa: PTH112
            found = (source for match in matches for source in _expand(match))  # a file called "-" is a file here
            yield from _or_failure(found, name, "no file matches this pattern")
        else:
            yield from _expand(name)


def count_sources(names: list[str]) -> int:
    """Return the number of pictures that names mean, or 0 where it is known only after reading them."""
    if any(name == STANDARD_INPUT or name.lower().endswith(".zip") for name in names):
        return 0
    return sum(1 for _ in find_sources(names))


def _expand(name: str) -> Iterator[Source]:
    """Yield the pictures in a folder or an archive, or else the file of this name."""
    if os.path.isdir(name):  # noqa: PTH112 - Path's own raises where a name is too long
        yield from _or_failure(_find_below(str(Path(name))), name, "no pictures in this folder")
    elif name.lower().endswith(".zip") and os.path.isfile(name):  # noqa: PTH113
        yield from _or_failure(_read_archive(name), name, "no pictures in this archive")
    else:
        yield name, name


def _or_failure(sources: Iterator[Source], name: str, reason: str) -> Iterator[Source]:
    """Yield sources; where there are none, yield the reason."""
    is_empty = True
    for source in sources:
        is_empty = False
        yield source
    if is_empty:
        yield _failure(name, reason)


def _failure(name: str, reason: str) -> Source:
    return name, PictureError(f"{name}: {reason}")


def _find_below(folder: str) -> Iterator[Source]:
    """Yield the files below a folder that have a picture's suffix, sorted, without hidden ones."""
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        files, folders = [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "__")):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif _has_suffix(entry.name) and (entry.is_symlink() or entry.is_file()):
                        files.append(entry.name)
        except OSError as error:
            yield _failure(folder, f"cannot be read ({error.strerror})")
            continue
        start = "" if folder == os.curdir else os.path.join(folder, "")  # noqa: PTH118
        for name in sorted(files):
            yield start + name, start + name
        waiting += [start + name for name in sorted(folders, reverse=True)]


def _has_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122


def _read_standard_input() -> bytes | PictureError:
    if sys.stdin is None:
        return PictureError("standard input: it is closed")
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)[:MAX_FILE_BYTES]


def _read_archive(name: str) -> Iterator[Source]:
    """Yield the pictures in a ZIP archive, read into memory; nothing is written to disk."""
    try:
        with zipfile.ZipFile(name) as archive:
            for member in archive.infolist():
                if _is_picture(member):
                    yield _read_member(archive, member, f"{name}/{member.filename}")
    except ARCHIVE_ERRORS as error:
        yield _failure(name, f"not a ZIP archive that can be read ({error})")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Source:
    try:
        with archive.open(member) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except ARCHIVE_ERRORS as error:
        return _failure(name, f"cannot be read from the archive ({error})")
    if len(content) > MAX_FILE_BYTES:
        return _failure(name, f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
    return name, content


def _is_picture(member: zipfile.ZipInfo) -> bool:
    path = Path(member.filename)
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not member.is_dir() and not is_hidden and path.suffix.lower() in SUFFIXES
