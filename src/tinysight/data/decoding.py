"""Decodes and frames labelled pictures into the rows of an array, on all cores.

What is done is noted in a journal beside the array, so that after a kill the next run goes on from there.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PictureError
from ..preprocessing.blas_threads import one_blas_thread
from ..preprocessing.decode import read_picture, without_warnings
from ..preprocessing.framing import Framed, Framing, frame_picture, frame_pictures
from ..preprocessing.inputs import read_file
from ..preprocessing.reading import (
    BYTES_AT_A_TIME,
    PICTURE_SECONDS,
    PICTURES_AT_A_TIME,
    ended_reason,
    failure_reason,
    read_ahead,
)
from ..preprocessing.turns import LARGE_PICTURES
from ..process_pool import limit_time, map_in_processes, num_cores
from .cache import release_pages
from .journal import Journal
from .listing import Content, Contents

MIN_FOR_PROCESSES = 64  # pictures; fewer are read sooner than processes start
SECONDS_BETWEEN_ENTRIES = 2.0  # of the journal: flushing the array takes time


class Task(NamedTuple):
    """Some pictures, the first of them with its row, the others with the rows behind it."""

    first_row: int
    contents: list[Content]


@dataclass
class Decoded:
    """What decoding pictures gave, by their rows.

    Attributes:
        problems: Why a picture could not be read.
        faults: What is wrong with what one shows, such as a blank picture.
        has_colour: Whether decoding was stopped at a picture with colour, where grey ones were wanted.
    """

    problems: dict[int, str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    has_colour: bool = False

    def add(self, other: "Decoded") -> None:
        """Take over what other pictures gave."""
        self.problems |= other.problems
        self.faults |= other.faults
        self.has_colour |= other.has_colour


@dataclass(frozen=True)
class Decoder:
    """Decodes tasks into the rows of an array.

    Attributes:
        images: uint8 ``(num_pictures, *framing.image_shape)``.
        framing: How each picture is framed.
        stops_at_colour: Whether pictures with colour are reported instead of made grey.
        name_of: Returns what messages call the picture of a row.
        whole: uint8 ``(num_pictures, height, width)``, filled with the pictures whole and in grey; None: they are not
            wanted.
    """

    images: NDArray[np.uint8]
    framing: Framing
    stops_at_colour: bool
    name_of: Callable[[int], str]
    whole: NDArray[np.uint8] | None = None

    @one_blas_thread()
    def run(self, task: Task) -> Decoded:
        """Decode some pictures."""
        try:
            decoded = self._together(task)
        except Exception:  # a fault of ours, or no memory: that of one picture shall not be that of the others
            decoded = self._each(task)
        for images in self.arrays:
            release_pages(images)
        return decoded

    @property
    def arrays(self) -> list[NDArray[np.uint8]]:
        """The arrays that are filled."""
        return [self.images] if self.whole is None else [self.images, self.whole]

    def _together(self, task: Task) -> Decoded:
        decoded, rows = Decoded(), []
        coloured: dict[int, Framed] = {}
        whole, fitting = Framing("whole", self.framing.height, self.framing.width), {}

        def pictures() -> Iterator[Image.Image]:
            for row, content in read_ahead(enumerate(map(_content, task.contents), task.first_row)):
                try:
                    picture = _picture(content, self.name_of(row))
                except PictureError as error:
                    decoded.problems[row] = str(error)
                    continue
                if self.whole is not None and picture.size == (whole.width, whole.height):
                    fitting[row] = picture
                elif self.whole is not None:
                    self.whole[row] = frame_picture(picture, whole).pixels
                if picture.mode == "RGB" and self.stops_at_colour:
                    coloured[row] = frame_picture(picture, replace(self.framing, channels=3))
                else:
                    rows.append(row)
                    yield picture
                del picture  # before the next is read

        with without_warnings():
            framed = frame_pictures(pictures(), self.framing)
            framed_whole = frame_pictures(fitting.values(), whole)
        _fill(self.images, rows, framed)
        if self.whole is not None:
            _fill(self.whole, fitting, framed_whole)
        decoded.faults |= {row: one.fault for row, one in zip(rows, framed, strict=True) if one.fault}
        for row, one in coloured.items():
            self.images[row] = one.pixels[..., 0]
            decoded.has_colour |= bool((one.pixels[..., :1] != one.pixels[..., 1:]).any())
        return decoded

    def _each(self, task: Task) -> Decoded:
        decoded = Decoded()
        for row, content in enumerate(task.contents, task.first_row):
            try:
                decoded.add(self._together(Task(row, [content])))
            except Exception as error:
                decoded.problems[row] = f"{self.name_of(row)}: {failure_reason(error)}"
        return decoded


def _fill(images: NDArray[np.uint8], rows: Iterable[int], framed: Sequence[Framed]) -> None:
    """Write framed pictures to rows of an array."""
    plain = np.asarray(images)  # a row of NumPy's class for mapped arrays takes five times as long to reach
    for row, one in zip(rows, framed, strict=True):
        plain[row] = one.pixels


def decode_pictures(
    contents: Contents, num_pictures: int, decoder: Decoder, journal: Journal, progress: Callable[[int], None]
) -> Decoded:
    """Decode each picture into its row of the decoder's array.

    Args:
        contents: Yields what the pictures hold.
        num_pictures: Number of pictures.
        decoder: What is done with each.
        journal: What an earlier run has done, and where this one notes what it does.
        progress: Called with the number of pictures done.
    """
    decoded = Decoded(journal.problems, journal.faults)
    last_entry, done = time.monotonic(), journal.num_done
    with closing(_results(contents, num_pictures, decoder, journal)) as results:
        for task_end, result in results:
            decoded.add(result)
            if decoded.has_colour and decoder.stops_at_colour:
                return decoded
            done = task_end
            progress(done)
            if time.monotonic() > last_entry + SECONDS_BETWEEN_ENTRIES:
                for images in decoder.arrays:
                    images.flush()  # type: ignore[attr-defined]
                journal.add(done, decoded.problems, decoded.faults)
                last_entry = time.monotonic()
    return decoded


def _results(
    contents: Contents, num_pictures: int, decoder: Decoder, journal: Journal
) -> Generator[tuple[int, Decoded]]:
    """Yield the row behind each task's last picture, and what the task gave."""
    ends: deque[int] = deque()

    def tasks() -> Iterator[Task]:
        for task in _tasks(contents, journal.num_done, num_pictures):
            ends.append(task.first_row + len(task.contents))
            yield task

    num_processes = _num_processes(num_pictures - journal.num_done)
    if num_processes:
        prepare = partial(_prepare, decoder, str(journal.path))
        results = map_in_processes(
            partial(_in_process, prepare), tasks(), num_processes, if_killed=partial(_one_by_one, prepare, decoder)
        )
    else:
        results = _map_in_threads(decoder.run, tasks())
    with closing(results):
        for result in results:
            yield ends.popleft(), result


def _tasks(contents: Contents, start: int, end: int) -> Iterator[Task]:
    some: list[Content] = []
    num_bytes, first_row = 0, start
    for content in contents(range(start, end)):
        some.append(content)
        num_bytes += len(content) if isinstance(content, bytes) else 0
        if len(some) == PICTURES_AT_A_TIME or num_bytes >= BYTES_AT_A_TIME:
            yield Task(first_row, some)
            first_row += len(some)
            some, num_bytes = [], 0
    if some:
        yield Task(first_row, some)


def _num_processes(num_pictures: int) -> int:
    """Return how many processes decode pictures; 0 for threads of this one.

    Processes are forked, so that they need no ``if __name__ == "__main__"`` in a user's script; on Linux only, and
    not beside TensorFlow's threads.
    """
    if sys.platform != "linux" or "tensorflow" in sys.modules or num_pictures < MIN_FOR_PROCESSES:
        return 0
    return min(num_cores(), -(-num_pictures // PICTURES_AT_A_TIME))


def _prepare(decoder: Decoder, turns: str) -> Callable[[Task], Decoded]:
    LARGE_PICTURES.share(turns)
    return decoder.run


def _in_process(prepare: Callable[[], Callable[[Task], Decoded]]) -> Callable[[Task], Decoded]:
    run = prepare()

    def run_within_time(task: Task) -> Decoded:
        limit_time(PICTURE_SECONDS + len(task.contents))
        decoded = run(task)
        limit_time(0)
        return decoded

    return run_within_time


def _one_by_one(prepare: Callable[[], Callable[[Task], Decoded]], decoder: Decoder, task: Task) -> Decoded:
    """Decode each picture of a task whose process was ended, so that only the one at fault fails."""

    def ended(single: Task) -> Decoded:
        return Decoded({single.first_row: f"{decoder.name_of(single.first_row)}: {ended_reason(PICTURE_SECONDS)}"})

    decoded = Decoded()
    singles = (Task(row, [content]) for row, content in enumerate(task.contents, task.first_row))
    for one in map_in_processes(partial(_in_process, prepare), singles, 1, if_killed=ended):
        decoded.add(one)
    return decoded


def _map_in_threads(run: Callable[[Task], Decoded], tasks: Iterator[Task]) -> Generator[Decoded]:
    """Run tasks in threads, a few ahead of the one whose result is yielded next."""
    num_threads = num_cores()
    waiting: deque[Future[Decoded]] = deque()
    with without_warnings(), ThreadPoolExecutor(num_threads) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(run, task))
                if len(waiting) > 2 * num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _picture(content: Content, name: str) -> Image.Image:
    if isinstance(content, PictureError):
        raise content
    return read_picture(content, name)


def _content(content: Content) -> bytes | PictureError:
    """Return a picture's content, read if it is still a path."""
    try:
        return read_file(content) if isinstance(content, str) else content
    except PictureError as error:
        return error
