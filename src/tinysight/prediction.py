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

from .classifier import Classifier, Prediction, check_top
from .errors import PictureError
from .preprocessing.blas_threads import one_blas_thread
from .preprocessing.decode import read_picture, without_warnings
from .preprocessing.formats import NUM_START_BYTES, has_suffix, is_picture_content, is_picture_file
from .preprocessing.framing import Framed, frame_pictures
from .preprocessing.inputs import MAX_FILE_BYTES, read_file
from .process_pool import map_in_processes

PICTURES_AT_A_TIME = 128
BYTES_AT_A_TIME = 2**24  # of pictures' files, or a single larger one
Finish = Callable[[Sequence[Prediction], Sequence[Framed]], Any]
STANDARD_INPUT = "-"
# What reading an archive raises; each compression method has an error of its own
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, OSError, EOFError, ValueError,
)  # fmt: skip


class PassedOver(str):
    """A line on what was found beside the pictures of a folder or an archive."""

    __slots__ = ()


# A picture's name, and its path, its content, or why it cannot be read; or a folder's name, and what was passed over
Source = tuple[str, str | bytes | PictureError | PassedOver]


class Outcome(NamedTuple):
    """The result for a batch of pictures.

    Attributes:
        num_predicted: Number of pictures that could be read.
        finished: What `finish` returned for these; None where there are none.
        failures: For each other picture its position in the batch and why it could not be read.
        notes: A line for each folder or archive with files that were passed over.
    """

    num_predicted: int
    finished: Any
    failures: list[tuple[int, str]]
    notes: list[str]


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
        top: Number of classes to rank, 1 or more.
        num_processes: Number of processes at most; by default one for each core.

    Yields:
        For each picture its prediction, or the error that says why it could not be read.

    Raises:
        SettingsError: `top` is not a whole number from 1.
        TinysightError: A process was killed.
    """
    check_top(top)
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
    pictures = [source for source in batch if not isinstance(source[1], PassedOver)]
    notes = [str(note) for _, note in batch if isinstance(note, PassedOver)]
    sources: list[str] = []
    failures: list[tuple[int, str]] = []

    def read() -> Iterator[Image]:
        for position, (name, content) in enumerate(_read_ahead(pictures)):
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
    return Outcome(len(predictions), finish(predictions, framed) if predictions else None, failures, notes)


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

    After the pictures of a folder or an archive comes a line on what was passed over in it, if anything was.

    Args:
        names: Paths of pictures, folders or ZIP archives, patterns such as ``*.png``, or ``-`` for standard input.
    """
    for name in names:
        if name == STANDARD_INPUT:
            yield name, _read_standard_input()
        elif glob.has_magic(name) and not os.path.lexists(name):
            try:
                matches = sorted(glob.iglob(name, recursive=True))  # noqa: PTH207 - keeps the name as it was typed
            except RecursionError:
                yield _failure(name, "the folders are nested too deep for a pattern; give the folder itself")
                continue
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
    return sum(not isinstance(content, PassedOver) for _, content in find_sources(names))


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
        is_empty = is_empty and isinstance(source[1], PassedOver)
        yield source
    if is_empty:
        yield _failure(name, reason)


def _failure(name: str, reason: str) -> Source:
    return name, PictureError(f"{name}: {reason}")


def _find_below(folder: str) -> Iterator[Source]:
    """Yield the pictures below a folder, sorted, without hidden ones; then what was passed over."""
    top, waiting = folder, [folder]
    num_others = num_links = 0
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
                    elif entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112 - a loop raises nothing
                        num_links += 1
                    elif _is_picture(entry):
                        files.append(entry.name)
                    else:
                        num_others += 1
        except OSError as error:
            yield _failure(folder, f"cannot be read ({error.strerror})")
            continue
        start = "" if folder == os.curdir else os.path.join(folder, "")  # noqa: PTH118
        for name in sorted(files):
            yield start + name, start + name
        waiting += [start + name for name in sorted(folders, reverse=True)]
    yield from _passed_over(top, num_others, num_links)


def _is_picture(entry: os.DirEntry[str]) -> bool:
    if has_suffix(entry.name):
        return entry.is_symlink() or entry.is_file()  # a link that leads nowhere is named as a failure
    return os.path.isfile(entry.path) and is_picture_file(entry.path)  # noqa: PTH113 - as above


def _passed_over(name: str, num_others: int, num_links: int = 0) -> Iterator[Source]:
    counts = ((num_others, "file(s) that are no pictures"), (num_links, "link(s) to folders"))
    if found := [f"{count:,} {what}" for count, what in counts if count]:
        yield name, PassedOver(f"{name}: {' and '.join(found)} skipped")


def _read_standard_input() -> bytes | PictureError:
    if sys.stdin is None:
        return PictureError("standard input: it is closed")
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)[:MAX_FILE_BYTES]


def _read_archive(name: str) -> Iterator[Source]:
    """Yield the pictures in a ZIP archive, read into memory; nothing is written to disk."""
    num_others = 0
    try:
        with zipfile.ZipFile(name) as archive:
            for member in archive.infolist():
                if member.is_dir() or any(part.startswith((".", "__")) for part in Path(member.filename).parts):
                    continue
                if has_suffix(member.filename) or _is_picture_member(archive, member):
                    yield _read_member(archive, member, f"{name}/{member.filename}")
                else:
                    num_others += 1
    except ARCHIVE_ERRORS as error:
        yield _failure(name, f"not a ZIP archive that can be read ({error})")
    yield from _passed_over(name, num_others)


def _is_picture_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Tell whether a file in an archive is a picture under another suffix; one that cannot be read is none."""
    try:
        with archive.open(member) as file:
            return is_picture_content(member.filename, file.read(NUM_START_BYTES))
    except ARCHIVE_ERRORS:
        return False


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Source:
    try:
        with archive.open(member) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except ARCHIVE_ERRORS as error:
        return _failure(name, f"cannot be read from the archive ({error})")
    if len(content) > MAX_FILE_BYTES:
        return _failure(name, f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
    return name, content
