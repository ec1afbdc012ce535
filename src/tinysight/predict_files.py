"""Predicts the pictures that names mean, in order, on all cores; does not know the terminal.

A few pictures for each core are in memory at a time, however many there are.
"""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

from PIL.Image import Image

from .classifier import Classifier, Prediction
from .errors import PictureError
from .preprocessing.decode import Framed, frame_pictures, read_file, read_picture, without_warnings
from .process_pool import map_in_processes
from .sources import Source, find_sources

PICTURES_AT_A_TIME = 128
BYTES_AT_A_TIME = 2**24  # of pictures' files, or a single larger one

Finish = Callable[[Sequence[Prediction], Sequence[Framed]], Any]


class Outcome(NamedTuple):
    """What became of some pictures.

    Attributes:
        num_predicted: How many could be read.
        finished: What `finish` made of these; None where there are none.
        failures: A line for each other.
    """

    num_predicted: int
    finished: Any
    failures: list[str]


def predict_sources(
    load: Callable[[], Classifier], names: list[str], top: int, finish: Finish, num_processes: int | None = None
) -> Generator[Outcome]:
    """Predict every picture that `names` mean, some at a time; close it to break off.

    Pictures that fit one batch are predicted by this process, more by several.

    Args:
        load: Loads the classifier; called in each process, as `finish` is.
        names: As `find_sources` takes them.
        top: How many classes to rank.
        finish: Called with some predictions, and the pictures as the classifier sees them.
        num_processes: How many processes at most; by default one for each core.

    Yields:
        What became of the next pictures.
    """
    if num_processes is None:
        num_processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    batches = _batches(find_sources(names))
    first = list(islice(batches, num_processes))
    prepare = partial(_prepare, load, top, finish)
    if len(first) == 1:
        yield from map(prepare(), chain(first, batches))
    else:
        yield from map_in_processes(prepare, chain(first, batches), len(first))


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


def _predict_batch(classifier: Classifier, top: int, finish: Finish, batch: list[Source]) -> Outcome:
    sources: list[str] = []
    failures: list[str] = []

    def read() -> Iterator[Image]:
        for name, content in _read_ahead(batch):
            try:
                if isinstance(content, PictureError):
                    raise content
                picture = read_picture(content, name)
            except PictureError as error:
                failures.append(str(error))
            else:
                sources.append(name)
                yield picture
                del picture  # before the next is read

    with without_warnings():
        framed = frame_pictures(read(), classifier.framing)
    predictions = classifier.predict_framed(sources, framed, top)
    return Outcome(len(predictions), finish(predictions, framed) if predictions else None, failures)


def _read_ahead(batch: list[Source]) -> Iterator[tuple[str, bytes | PictureError]]:
    """Read files, small ones many at a time: then the processor finds the code of each step still at hand."""
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
