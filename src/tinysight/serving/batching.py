"""Dynamic batching: collects the requests that wait, and sends them to the worker process together.

The network's weights are read from memory once for each batch instead of once for each picture, which is most of what
one picture costs. Requests that would keep a batch waiting go to a second worker, one at a time: those with large
pictures, and those of a batch that failed as a whole, to find the one at fault.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from queue import Empty, PriorityQueue, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from ..classifier import Classifier
from .limits import Limits
from .worker import Failure, Postponed, WorkerRequest, WorkerSettings
from .worker_process import WorkerEndedError, WorkerProcess, WorkerStartError

MAX_BATCH = 64  # pictures; larger batches are no faster, and their first picture waits longer
LARGE_COST, MAX_BATCH_COST = 2**20, 2**22  # in pixels: of a request that a batch does not wait for; of a batch
HEALTH_CHECK_SECONDS = 1.0  # how often an idle queue checks that the worker is alive
OVERDUE_CHECK_SECONDS = 0.2  # how often it is checked whether a batch takes too long
IDLE_SECONDS = 60.0  # without large pictures, after which the second worker is ended
NO_WORKER = Failure(503, "pictures cannot be predicted now; try again later")
CLOSING = float("inf")  # sorts the closing mark behind every cost


@dataclass
class _Job:
    """A request in the queue, and the future that its caller awaits."""

    request: WorkerRequest
    future: "asyncio.Future[Any]"
    deadline: float
    result: Any = None

    @property
    def size(self) -> int:
        return len(self.request.pictures) or 1


class BatchQueue:
    """Queue of requests for the worker processes.

    A thread takes what waits as one batch, sends it to the worker and waits for the reply. Another does the same with
    the requests that are processed one at a time, those that cost least first; its worker is started when it is needed.
    A third one ends workers whose batch takes too long.

    Attributes:
        num_waiting: Pictures that wait or are being predicted.
    """

    def __init__(
        self, classifier: Classifier, limits: Limits, observe: Callable[[int, dict[str, int], int], None]
    ) -> None:
        """Start the worker and the threads.

        Args:
            classifier: Predicts the pictures.
            limits: How many pictures may wait, how large they may be, and for how long they may wait.
            observe: Called in a thread after each batch, with the number of images, the number of pictures of each
                class, and the number of pictures rejected.
        """
        self._limits, self._observe = limits, observe
        self.num_waiting = 0
        # The jobs: those that wait, those to be taken first, and those that are processed one at a time
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._postponed: deque[_Job] = deque()
        self._single_jobs: PriorityQueue[tuple[float, int, _Job | None]] = PriorityQueue()
        self._numbers = count()
        # The workers
        sizes = limits.max_pixels, limits.max_request_pixels
        self._worker = WorkerProcess(classifier, WorkerSettings(*sizes, LARGE_COST, MAX_BATCH_COST))
        self._single_worker = WorkerProcess(classifier, WorkerSettings(*sizes))
        self._worker.start()
        # The threads
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._single_thread = threading.Thread(target=self._run_singly, name="single requests", daemon=True)
        self._watchdog = threading.Thread(target=self._end_overdue, name="watchdog", daemon=True)
        for thread in (self._thread, self._single_thread, self._watchdog):
            thread.start()

    def close(self) -> None:
        """Finish all requests that wait, then end the threads and the workers."""
        self._jobs.put(None)
        self._thread.join()
        self._single_jobs.put((CLOSING, next(self._numbers), None))
        self._single_thread.join()
        self._is_closed.set()
        self._watchdog.join()
        self._worker.end()
        self._single_worker.end()

    @property
    def is_ready(self) -> bool:
        """Whether the thread and the worker run, and no batch is overdue."""
        is_overdue = self._worker.seconds_busy > self._limits.overdue_seconds
        return self._thread.is_alive() and self._worker.is_alive and not is_overdue

    async def predict(
        self, pictures: list[bytes], top: int, has_pixels: bool = False, has_attribution: bool = False
    ) -> bytes:
        """Predict picture files.

        Args:
            pictures: The files' contents.
            top: How many classes to rank.
            has_pixels: Whether the network's input is returned too.
            has_attribution: Whether it is returned which pixels decided.

        Returns:
            The predictions as JSON.

        Raises:
            HTTPException: 413 or 422 if a picture cannot be read, 429 if too many wait, 503 if no worker can start.
        """
        body: bytes = await self._submit(WorkerRequest(tuple(pictures), None, top, has_pixels, has_attribution))
        return body

    async def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each class for framed images.

        Args:
            images: uint8 ``(num_images, *image_shape)``.

        Returns:
            float32 ``(num_images, num_classes)``.

        Raises:
            HTTPException: 429 if too many wait, 503 if no worker can start.
        """
        rows: NDArray[np.float32] = await self._submit(WorkerRequest(images=images))
        return rows

    async def _submit(self, request: WorkerRequest) -> Any:
        """Put a request into the queue and await its result."""
        future = asyncio.get_running_loop().create_future()
        job = _Job(request, future, time.monotonic() + self._limits.answer_seconds)
        # An empty queue takes a request of any size.
        if self.num_waiting and self.num_waiting + job.size > self._limits.max_waiting:
            raise _as_http_error(Failure(429, "too many pictures are waiting; try again in a second"))
        self.num_waiting += job.size
        try:
            self._jobs.put(job)
            result = await future
        finally:
            self.num_waiting -= job.size
        if isinstance(result, Failure):
            raise _as_http_error(result)
        return result

    def _run(self) -> None:
        """Process batches until the queue is closed; runs in a thread."""
        while jobs := self._next_jobs():
            self._process(jobs)

    def _run_singly(self) -> None:
        """Process large requests, and those of failed batches, until the queue is closed; runs in a thread."""
        while True:
            try:
                _, _, job = self._single_jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                self._single_worker.end()
                continue
            if job is None:
                break
            self._process_single(job)

    def _end_overdue(self) -> None:
        """End workers whose batch takes too long; runs in a thread."""
        while not self._is_closed.wait(OVERDUE_CHECK_SECONDS):
            for worker in (self._worker, self._single_worker):
                worker.end_if_overdue(self._limits.batch_seconds)

    def _next_jobs(self) -> list[_Job]:
        """Wait for a job, and take those behind it up to a full batch; an empty list means that the queue is closed."""
        job, jobs, size = self._next_job(), [], 0
        while job is not None:
            jobs.append(job)
            size += job.size
            if size >= MAX_BATCH:
                break
            try:
                job = self._postponed.popleft() if self._postponed else self._jobs.get_nowait()
            except Empty:
                break
        if job is None and jobs:
            self._jobs.put(None)  # the jobs before the closing mark are done first
        return jobs

    def _next_job(self) -> _Job | None:
        """Wait for a job; restart the worker if it ends meanwhile."""
        while True:
            if self._postponed:
                return self._postponed.popleft()
            try:
                return self._jobs.get(timeout=HEALTH_CHECK_SECONDS)
            except Empty:
                if not self._worker.is_alive:
                    self._restart_worker()

    def _process(self, jobs: list[_Job]) -> None:
        """Process a batch; hand on what has to be processed alone."""
        jobs = self._without_late(jobs)
        try:
            reply = self._worker.exchange([job.request for job in jobs])
        except WorkerStartError:
            _resolve(jobs, [NO_WORKER] * len(jobs))
            return
        except WorkerEndedError:
            for job in jobs:
                self._single_jobs.put((0, next(self._numbers), job))
            self._restart_worker()
            return
        # Give each caller its result, but postpone what the worker has not processed
        done: list[_Job] = []
        results: list[Any] = []
        for job, result in zip(jobs, reply.results, strict=True):
            if not isinstance(result, Postponed):
                done.append(job)
                results.append(result)
            elif result.is_large:
                self._single_jobs.put((result.cost, next(self._numbers), job))
            else:
                self._postponed.append(job)
        _resolve(done, results)
        self._observe(reply.num_images, reply.class_counts, reply.num_rejected)

    def _process_single(self, job: _Job) -> None:
        """Process one job; if the worker ends meanwhile, there is no doubt which request did it."""
        if not self._without_late([job]):
            return
        try:
            reply = self._single_worker.exchange([job.request])
        except WorkerStartError:
            _resolve([job], [NO_WORKER])
        except WorkerEndedError as error:
            _resolve([job], [_blame(error, self._limits.batch_seconds)])
        else:
            _resolve([job], reply.results)
            self._observe(reply.num_images, reply.class_counts, reply.num_rejected)

    def _without_late(self, jobs: list[_Job]) -> list[_Job]:
        """Return the jobs within their deadline; the others fail."""
        now = time.monotonic()
        late = [job for job in jobs if job.deadline <= now]
        message = f"the picture waited longer than {self._limits.answer_seconds:g} seconds; try again"
        _resolve(late, [Failure(429, message)] * len(late))
        return [job for job in jobs if job.deadline > now] if late else jobs

    def _restart_worker(self) -> None:
        try:
            self._worker.start()
        except WorkerStartError:  # it is tried again with the next batch
            return


def _blame(error: WorkerEndedError, batch_seconds: float) -> Failure:
    """Return why a request that was processed alone has failed."""
    if error.is_overdue:
        return Failure(422, f"reading the picture takes longer than {batch_seconds:g} seconds; make it smaller")
    if error.is_killed:
        return Failure(
            503, "the worker process was killed; try again, and with a smaller picture if that happens again"
        )
    return Failure(422, "the picture crashed the decoder; save it anew in another format")


def _as_http_error(failure: Failure) -> HTTPException:
    headers = {"Retry-After": "1"} if failure.status == 429 else None
    return HTTPException(failure.status, failure.message, headers)


def _resolve(jobs: list[_Job], results: list[Any]) -> None:
    """Have the event loop give each caller its result."""
    if not jobs:
        return
    for job, result in zip(jobs, results, strict=True):
        job.result = result
    jobs[0].future.get_loop().call_soon_threadsafe(_set_results, jobs)


def _set_results(jobs: list[_Job]) -> None:
    """Give each caller its result; runs in the event loop."""
    for job in jobs:
        if not job.future.done():  # it is done if its caller was cancelled
            job.future.set_result(job.result)
