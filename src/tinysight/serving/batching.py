"""Dynamic batching: collects the requests that wait, and sends them to the worker process together.

The network's weights are read from memory once for each batch instead of once for each picture, which is most of what
one picture costs.
"""

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from ..classifier import Classifier
from .limits import Limits
from .worker import BatchReply, Failure, WorkerRequest

MAX_BATCH = 64  # pictures; larger batches are no faster, and their first picture waits longer
HEALTH_CHECK_SECONDS = 1.0  # how often an idle queue checks that the worker is alive


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
    """Queue of requests for the worker process.

    A thread takes what waits as one batch, sends it to the worker and waits for the reply. It starts another worker if
    one has ended.

    Attributes:
        num_waiting: Pictures that wait or are being predicted.
    """

    def __init__(
        self, classifier: Classifier, limits: Limits, observe: Callable[[int, dict[str, int], int], None]
    ) -> None:
        """Start the worker and the thread.

        Args:
            classifier: Predicts the pictures.
            limits: How many pictures may wait, how large they may be, and for how long they may wait.
            observe: Called in the thread after each batch, with the number of images, the number of pictures of each
                class, and the number of pictures rejected.
        """
        self._init_message = classifier.file_bytes, limits.max_pixels
        self._limits, self._observe = limits, observe
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.num_waiting = 0
        self._start_worker()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish all requests that wait, then end the thread and the worker."""
        self._jobs.put(None)
        self._thread.join()
        self._end_worker()

    @property
    def is_ready(self) -> bool:
        """Whether the thread and the worker run."""
        return self._thread.is_alive() and self._is_worker_alive()

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
        """Process batches until the queue is closed; runs in the thread."""
        while jobs := self._next_jobs():
            self._process(jobs)
            jobs[0].future.get_loop().call_soon_threadsafe(_resolve, jobs)

    def _next_jobs(self) -> list[_Job]:
        """Wait for a job, and take those behind it up to a full batch; an empty list means that the queue is closed."""
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
            self._jobs.put(None)  # the jobs before the closing mark are done first
        return jobs

    def _next_job(self) -> _Job | None:
        """Wait for a job; restart the worker if it ends meanwhile."""
        while True:
            try:
                return self._jobs.get(timeout=HEALTH_CHECK_SECONDS)
            except Empty:
                if not self._is_worker_alive():
                    self._restart_worker()

    def _process(self, jobs: list[_Job]) -> None:
        """Set the result of each job; those past their deadline fail without being processed."""
        now = time.monotonic()
        in_time = [job for job in jobs if job.deadline > now]
        reply = self._exchange([job.request for job in in_time])
        late = Failure(429, f"the picture waited longer than {self._limits.answer_seconds:g} seconds; try again")
        for job in jobs:
            job.result = late
        for job, result in zip(in_time, reply.results, strict=True):
            job.result = result
        self._observe(reply.num_images, reply.class_counts, reply.num_rejected)

    def _exchange(self, requests: list[WorkerRequest]) -> BatchReply:
        """Send a batch to the worker and wait for its reply."""
        if not self._send(requests) and not (self._restart_worker() and self._send(requests)):
            return BatchReply([Failure(503, "pictures cannot be predicted now; try again later")] * len(requests))
        try:
            reply: BatchReply = pickle.load(self._stdout)  # noqa: S301 - from the worker, over a pipe that only it has
        except (OSError, EOFError, pickle.UnpicklingError):  # the worker ended while it processed this batch
            self._restart_worker()
            failure = Failure(429, "another picture stopped the worker process; try again in a second")
            if len(requests) == 1:  # then there is no doubt which request did it
                failure = Failure(422, "the picture crashed the decoder; save it anew in another format")
            reply = BatchReply([failure] * len(requests))
        return reply

    def _send(self, requests: list[WorkerRequest]) -> bool:
        """Write a batch to the worker; return whether the worker was alive to take it."""
        try:
            pickle.dump(requests, self._stdin)
            self._stdin.flush()
        except (OSError, ValueError):  # the pipe is closed at its other end (OSError) or at ours (ValueError)
            return False
        return True

    def _is_worker_alive(self) -> bool:
        return self._worker.poll() is None

    def _restart_worker(self) -> bool:
        """End the worker and start another; return whether that worked."""
        self._end_worker()
        try:
            self._start_worker()
        except OSError:  # the system allows no further process, or the worker ended before it read its first message
            self._end_worker()
            return False
        return True

    def _start_worker(self) -> None:
        # The same `sys.path`, so that the worker imports this very Tinysight from whatever folder it is started in.
        code = f"import sys; sys.path[:] = {sys.path!r}; from tinysight.serving.worker import main; main()"
        command = [sys.executable, "-c", code]
        pipe, discard = subprocess.PIPE, subprocess.DEVNULL  # C libraries print about damaged pictures
        environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}  # `Classifier.frame` uses one; more need not start
        self._worker = subprocess.Popen(  # noqa: S603 - our own code
            command, stdin=pipe, stdout=pipe, stderr=discard, env=environment
        )
        self._stdin, self._stdout = cast("IO[bytes]", self._worker.stdin), cast("IO[bytes]", self._worker.stdout)
        pickle.dump(self._init_message, self._stdin)
        self._stdin.flush()

    def _end_worker(self) -> None:
        """Close the worker's pipes, upon which it ends, and wait for that."""
        for pipe in (self._stdin, self._stdout):
            try:
                pipe.close()
            except OSError:  # bytes that the worker never read cannot be flushed
                continue
        self._worker.wait()


def _as_http_error(failure: Failure) -> HTTPException:
    headers = {"Retry-After": "1"} if failure.status == 429 else None
    return HTTPException(failure.status, failure.message, headers)


def _resolve(jobs: list[_Job]) -> None:
    """Give each caller its result; runs in the event loop."""
    for job in jobs:
        if not job.future.done():  # it is done if its caller was cancelled
            job.future.set_result(job.result)
