"""Hands all that waits to the namer at once; does not know HTTP or how pictures are named.

The network's weights are read from memory once a batch, not once a picture, which is most of what one picture costs.
"""

import asyncio
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from .errors import Refusal
from .limits import Limits
from .worker import Answers, No, Question

MAX_BATCH = 64  # pictures; more at once are no faster, and later
IDLE_SECONDS = 1.0  # a namer that has ended while nothing is asked is noticed as soon


@dataclass
class _Job:
    """A question, and who waits for the answer."""

    question: Question
    done: "asyncio.Future[Any]"
    give_up: float
    answer: Any = None

    @property
    def size(self) -> int:
        return len(self.question.pictures) or 1


class Batches:
    """Asks the namer, in a thread that does nothing but wait for it, and starts another when it has ended.

    Attributes:
        num_waiting: Pictures that wait or are being named.
    """

    def __init__(self, classifier: Classifier, limits: Limits, observe: Callable[[Answers], None]) -> None:
        """Start the namer and the thread.

        Args:
            classifier: What names pictures.
            limits: How many pictures may wait, how large and for how long.
            observe: Told, in that thread, of each batch.
        """
        self._first_words = classifier.file_bytes, limits.max_pixels
        self._limits, self._observe = limits, observe
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.num_waiting = 0
        self._start_namer()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End thread and namer when all that waits is answered."""
        self._jobs.put(None)
        self._thread.join()
        self._end_namer()

    @property
    def is_ready(self) -> bool:
        """Whether thread and namer run."""
        return self._thread.is_alive() and self._is_running()

    async def name(self, pictures: list[bytes], top: int, has_pixels: bool) -> bytes:
        """Name what is in pictures; return it as JSON.

        Raises:
            Refusal: 422 a picture cannot be read, 429 too many wait, 503 no namer can be started.
        """
        named: bytes = await self._wait(Question(tuple(pictures), None, top, has_pixels))
        return named

    async def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each class for framed images.

        Raises:
            Refusal: 429 too many wait, 503 no namer can be started.
        """
        rows: NDArray[np.float32] = await self._wait(Question(images=images))
        return rows

    async def _wait(self, question: Question) -> Any:
        future = asyncio.get_running_loop().create_future()
        job = _Job(question, future, time.monotonic() + self._limits.answer_seconds)
        if self.num_waiting and self.num_waiting + job.size > self._limits.max_waiting:
            raise _busy()
        self.num_waiting += job.size
        try:
            self._jobs.put(job)
            answer = await future
        finally:
            self.num_waiting -= job.size
        if isinstance(answer, No):
            raise _busy() if answer.status == 429 else Refusal(answer.status, answer.message)
        return answer

    def _run(self) -> None:
        while jobs := self._next_jobs():
            self._answer(jobs)
            jobs[0].done.get_loop().call_soon_threadsafe(_deliver, jobs)

    def _next_jobs(self) -> list[_Job]:
        """Wait for a job, and take those behind it as far as a batch goes; none are left when the service ends."""
        job, jobs, size = self._next_job(), [], 0
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

    def _next_job(self) -> _Job | None:
        """Wait for a job, and meanwhile see to it that there is a namer."""
        while True:
            try:
                return self._jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                if not self._is_running():
                    self._restart_namer()

    def _answer(self, jobs: list[_Job]) -> None:
        """Give each job its answer, and those that have waited too long theirs."""
        now = time.monotonic()
        in_time = [job for job in jobs if job.give_up > now]
        found = self._ask([job.question for job in in_time])
        for job in jobs:
            job.answer = No(429, "it has waited too long")
        for job, answer in zip(in_time, found.answers, strict=True):
            job.answer = answer
        self._observe(found)

    def _ask(self, questions: list[Question]) -> Answers:
        if not self._send(questions) and not (self._restart_namer() and self._send(questions)):
            return Answers([No(503, "pictures cannot be named now; try again later")] * len(questions))
        try:
            found: Answers = pickle.load(self._told)  # noqa: S301 - from the namer, on a pipe that nobody else has
        except (OSError, EOFError, pickle.UnpicklingError):  # it has ended amid these pictures
            self._restart_namer()
            is_guilty = len(questions) == 1
            broken = No(422, "the picture broke the decoder") if is_guilty else No(429, "another picture did")
            found = Answers([broken] * len(questions))
        return found

    def _send(self, questions: list[Question]) -> bool:
        """Tell whether the namer was there to take questions; else they are not what ended it."""
        try:
            pickle.dump(questions, self._asked)
            self._asked.flush()
        except (OSError, ValueError):  # the pipe is closed at its other end, or at ours
            return False
        return True

    def _is_running(self) -> bool:
        return self._namer.poll() is None

    def _restart_namer(self) -> bool:
        """End the namer and start another, if that can be; tell whether it could."""
        self._end_namer()
        try:
            self._start_namer()
        except OSError:  # there is no room for a process, or it has ended before it was told anything
            self._end_namer()
            return False
        return True

    def _start_namer(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from tinysight.serving.worker import main; main()"
        command = [sys.executable, "-c", code]  # whatever folder it is started in, the same Tinysight
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL  # C libraries print about damaged pictures
        self._namer = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)  # noqa: S603 - our own
        self._asked, self._told = self._pipes()
        pickle.dump(self._first_words, self._asked)
        self._asked.flush()

    def _pipes(self) -> tuple[Any, Any]:
        return self._namer.stdin, self._namer.stdout

    def _end_namer(self) -> None:
        for pipe in (self._asked, self._told):
            try:
                pipe.close()
            except OSError:  # what it never read cannot be flushed
                continue
        self._namer.wait()


def _busy() -> Refusal:
    return Refusal(429, "too many pictures wait; try again in a second", {"Retry-After": "1"})


def _deliver(jobs: list[_Job]) -> None:
    """Wake those who wait; runs in the event loop."""
    for job in jobs:
        if not job.done.done():  # else whoever waited is gone
            job.done.set_result(job.answer)
