"""Prediction of files, folders, patterns and archives, in order, on all cores.

At most four batches of 128 pictures for each process are under way at a time, however many pictures there are.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from PIL.Image import Image

from .classifier import Classifier, Prediction, check_top
from .errors import PictureError
from .picture_sources import ArchiveMember, PassedOver, Source, find_sources, read_member
from .preprocessing.blas_threads import one_blas_thread
from .preprocessing.decode import read_picture, without_warnings
from .preprocessing.framing import Framed, frame_pictures
from .preprocessing.inputs import read_file
from .preprocessing.reading import PICTURE_SECONDS, PICTURES_AT_A_TIME, ended_reason, failure_reason, read_ahead
from .preprocessing.turns import LARGE_PICTURES
from .process_pool import limit_time, map_in_processes

QUICK_BYTES = 2**22  # of files that are certain to take seconds only, whatever is in them
PICTURES_A_TIMER = 8  # pictures that share this time: setting it takes a hundredth of reading a small picture
Finish = Callable[[Sequence[Prediction], Sequence[Framed]], Any]


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

    Pictures that fit one batch are predicted by this process, more by several. So are large files, unless there is a
    `start_method`: processes that hang or crash are ended, and only the picture at fault fails.

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
    if len(first) == 1 and (start_method or not _is_large(first[0])):
        yield from map(_prepare(load, top, finish), chain(first, batches))
        return
    with _shared_file() as turns:
        prepare = partial(_prepare_process, load, top, finish, turns)
        results = map_in_processes(
            partial(_in_list, prepare),
            chain(first, batches),
            len(first),
            start_method,
            partial(_one_by_one, prepare, start_method),
        )
        with closing(results):
            for outcomes in results:
                yield from outcomes


@contextmanager
def _shared_file() -> Iterator[str]:
    """Yield the path of an empty file for `Turns.share`; an empty text where there can be none."""
    try:
        file = tempfile.NamedTemporaryFile(prefix="tinysight-")  # noqa: SIM115 - below
    except OSError:  # no folder for temporary files can be written
        yield ""
        return
    with file:
        yield file.name


def _is_large(batch: list[Source]) -> bool:
    """Tell whether files are so large that they may take long: they are read in a process, which can be ended."""
    num_bytes = 0
    for _, content in batch:
        if isinstance(content, bytes):
            num_bytes += len(content)
        elif isinstance(content, ArchiveMember):
            num_bytes += content.num_bytes
        elif isinstance(content, str) and not isinstance(content, PassedOver):
            with suppress(OSError, ValueError):
                num_bytes += os.stat(content).st_size  # noqa: PTH116
    return num_bytes > QUICK_BYTES


def _prepare(load: Callable[[], Classifier], top: int, finish: Finish) -> Callable[[list[Source]], Outcome]:
    return partial(_predict_batch, load(), top, finish)


def _prepare_process(
    load: Callable[[], Classifier], top: int, finish: Finish, turns: str
) -> Callable[[list[Source]], Outcome]:
    LARGE_PICTURES.share(turns)
    return partial(_predict_batch, load(), top, finish, has_time_limit=True)


def _in_list(prepare: Callable[[], Callable[[list[Source]], Outcome]]) -> Callable[[list[Source]], list[Outcome]]:
    run = prepare()
    return lambda batch: [run(batch)]


def _one_by_one(
    prepare: Callable[[], Callable[[list[Source]], Outcome]], start_method: str | None, batch: list[Source]
) -> list[Outcome]:
    """Predict each picture of a batch whose process was ended, so that only the one at fault fails."""
    tasks = ([source] for source in batch)
    return list(map_in_processes(prepare, tasks, 1, start_method, _ended))


def _ended(batch: list[Source]) -> Outcome:
    """Return the outcome for a single picture that has ended its process."""
    return Outcome(0, None, [(0, f"{batch[0][0]}: {ended_reason(PICTURE_SECONDS)}")], [])


def _batches(sources: Iterator[Source]) -> Iterator[list[Source]]:
    while batch := list(islice(sources, PICTURES_AT_A_TIME)):
        yield batch


@one_blas_thread()
def _predict_batch(
    classifier: Classifier, top: int, finish: Finish, batch: list[Source], has_time_limit: bool = False
) -> Outcome:
    pictures = [source for source in batch if not isinstance(source[1], PassedOver)]
    notes = [str(note) for _, note in batch if isinstance(note, PassedOver)]
    try:
        sources, framed, failures = _frame_together(classifier, pictures, has_time_limit)
    except Exception:  # a fault of ours, or no memory: that of one picture shall not be that of the others
        sources, framed, failures = _frame_each(classifier, pictures, has_time_limit)
    predictions = classifier.predict_framed(sources, framed, top)
    return Outcome(len(predictions), finish(predictions, framed) if predictions else None, failures, notes)


# The names and the inputs of the pictures that could be read; the positions of the others, and why
Readable = tuple[list[str], list[Framed], list[tuple[int, str]]]


def _frame_together(classifier: Classifier, pictures: list[Source], has_time_limit: bool) -> Readable:
    """Read and frame pictures, those that need no change all at once."""
    sources: list[str] = []
    failures: list[tuple[int, str]] = []

    def read() -> Iterator[Image]:
        for position, (name, content) in enumerate(read_ahead(_contents(pictures))):
            if has_time_limit and position % PICTURES_A_TIMER == 0:
                limit_time(PICTURE_SECONDS)
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
    if has_time_limit:
        limit_time(0)
    return sources, framed, failures


def _frame_each(classifier: Classifier, pictures: list[Source], has_time_limit: bool) -> Readable:
    """Read and frame each picture alone; whatever that raises is this picture's failure."""
    sources: list[str] = []
    framed: list[Framed] = []
    failures: list[tuple[int, str]] = []
    for position, source in enumerate(pictures):
        try:
            one = _frame_together(classifier, [source], has_time_limit)
        except Exception as error:
            failures.append((position, f"{source[0]}: {failure_reason(error)}"))
        else:
            sources += one[0]
            framed += one[1]
            failures += [(position, message) for _, message in one[2]]
    return sources, framed, failures


def _contents(pictures: list[Source]) -> Iterator[tuple[str, bytes | PictureError]]:
    return ((name, _content(name, source)) for name, source in pictures)


def _content(name: str, source: str | ArchiveMember | bytes | PictureError) -> bytes | PictureError:
    try:
        if isinstance(source, ArchiveMember):
            return read_member(source)
        return read_file(source) if isinstance(source, str) else source
    except PictureError as error:
        return error
    except OSError as error:
        return PictureError(f"{name}: {error}")
