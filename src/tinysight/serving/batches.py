"""Answers all that waits at once, in a thread of its own; does not know HTTP.

The network's weights are read from memory once a batch, not once a picture, which is most of what one picture costs.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier, Prediction
from ..errors import PictureError
from ..pixels import Framed
from .limits import Limits
from .refusals import Refusal

MAX_BATCH = 64  # pictures; more at once are no faster, and later

Named = list[tuple[Prediction, Framed]]


@dataclass
class _Job:
    """Pictures to be framed and named, or images to be given their probabilities, and who waits for them."""

    work: "list[bytes] | NDArray[np.uint8]"
    top: int
    done: "asyncio.Future[Any]"
    give_up: float
    framed: list[Framed]
    answer: Any = None

    @property
    def size(self) -> int:
        return len(self.work) if isinstance(self.work, list) else 1


class Batches:
    """Runs a classifier in one thread, on all that waits for it.

    Attributes:
        num_waiting: Pictures that wait for the network or are in it.
    """

    def __init__(self, classifier: Classifier, limits: Limits, observe: Callable[[int, Named], None]) -> None:
        """Start the thread.

        Args:
            classifier: What names pictures.
            limits: How many pictures may wait, how large and for how long.
            observe: Told, in that thread, how many images each batch had and what was named in it.
        """
        self._classifier, self._limits, self._observe = classifier, limits, observe
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.num_waiting = 0
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread when all that waits is answered."""
        self._jobs.put(None)
        self._thread.join()

    async def name(self, pictures: list[bytes], top: int) -> Named:
        """Name what is in pictures, each as a prediction and the picture as the network sees it.

        Raises:
            Refusal: 422 a picture cannot be read, 429 too many wait.
        """
        named: Named = await self._wait(pictures, top)
        return named

    async def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each class for framed images.

        Raises:
            Refusal: 429 too many wait.
        """
        rows: NDArray[np.float32] = await self._wait(images, 1)
        return rows

    async def _wait(self, work: "list[bytes] | NDArray[np.uint8]", top: int) -> Any:
        future = asyncio.get_running_loop().create_future()
        job = _Job(work, top, future, time.monotonic() + self._limits.answer_seconds, [])
        if self.num_waiting and self.num_waiting + job.size > self._limits.max_waiting:
            raise _busy()
        self.num_waiting += job.size
        try:
            self._jobs.put(job)
            return await future
        finally:
            self.num_waiting -= job.size

    def _run(self) -> None:
        while True:
            jobs = self._next_jobs()
            if not jobs:
                return
            self._answer(jobs)
            jobs[0].done.get_loop().call_soon_threadsafe(_deliver, jobs)

    def _next_jobs(self) -> list[_Job]:
        """Wait for a job, and take those behind it as far as a batch goes; none are left when the service ends."""
        job, jobs, size = self._jobs.get(), [], 0
        while job is not None:
            jobs.append(job)
            size += job.size
            if size >= MAX_BATCH:
                break
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
        if job is None and jobs:
            self._jobs.put(None)  # what came before the end is answered first
        return jobs

    def _answer(self, jobs: list[_Job]) -> None:
        """Give each job its answer, or the refusal that is one."""
        try:
            pictures = [job for job in jobs if isinstance(job.work, list) and self._frame(job)]
            named = self._name(pictures) if pictures else []
            arrays = [job for job in jobs if isinstance(job.work, np.ndarray)]
            if arrays:
                self._score(arrays)
            self._observe(len(named) + sum(len(job.work) for job in arrays), named)
        except Exception as error:  # a thread that ended would leave everybody waiting
            for job in jobs:
                job.answer = error

    def _frame(self, job: _Job) -> bool:
        """Frame a job's pictures; tell whether all of them could be read."""
        if time.monotonic() > job.give_up:
            job.answer = _busy()
            return False
        try:
            for number, picture in enumerate(job.work, 1):
                name = f"picture {number} of {len(job.work)}" if len(job.work) > 1 else "the picture"
                job.framed.append(self._classifier.frame(picture, name, self._limits.max_pixels))
        except PictureError as error:
            job.answer = Refusal(422, str(error))
            return False
        except MemoryError:
            job.answer = Refusal(413, "there is not enough memory for this picture; make it smaller")
            return False
        return True

    def _name(self, jobs: list[_Job]) -> Named:
        framed = [one for job in jobs for one in job.framed]
        top = max(job.top for job in jobs)
        named = list(zip(self._classifier.predict_framed(["bytes"] * len(framed), framed, top), framed, strict=True))
        start = 0
        for job in jobs:
            job.answer = named[start : start + len(job.framed)]
            start += len(job.framed)
        return named

    def _score(self, jobs: list[_Job]) -> None:
        rows = self._classifier.probabilities(np.concatenate([job.work for job in jobs]))
        for job, part in zip(jobs, np.split(rows, np.cumsum([len(job.work) for job in jobs])[:-1]), strict=True):
            job.answer = part


def _busy() -> Refusal:
    return Refusal(429, "too many pictures wait; try again in a second", {"Retry-After": "1"})


def _deliver(jobs: list[_Job]) -> None:
    """Wake those who wait; runs in the event loop."""
    for job in jobs:
        if job.done.done():  # whoever waited is gone
            continue
        if isinstance(job.answer, Exception):
            job.done.set_exception(job.answer)
        else:
            job.done.set_result(job.answer)
