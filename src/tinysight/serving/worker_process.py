"""Starts the worker process, exchanges batches with it, and ends it if one takes too long."""

import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO, cast

from ..classifier import Classifier
from .worker import BatchReply, WorkerRequest, WorkerSettings

START_SECONDS = 120.0  # in which a worker has to be ready; usually less than one
SECRETS = ("TINYSIGHT_API_KEY",)  # variables of the environment that the worker does not need


class WorkerStartError(Exception):
    """No worker can be started: the system allows no further process, or it ends at once."""


class WorkerEndedError(Exception):
    """The worker ended while it processed a batch.

    Attributes:
        is_overdue: Whether it was ended because the batch took too long.
        is_killed: Whether somebody else killed it, such as the system when memory ran out.
    """

    def __init__(self, is_overdue: bool, is_killed: bool) -> None:
        """Take why it ended."""
        super().__init__("the worker ended")
        self.is_overdue, self.is_killed = is_overdue, is_killed


class WorkerProcess:
    """A worker process, which is started when it is needed.

    All methods are for one thread, but for `is_alive`, `seconds_busy` and `end_if_overdue`.
    """

    def __init__(self, classifier: Classifier, settings: WorkerSettings) -> None:
        """Take what the worker needs; nothing is started."""
        self._init_message = classifier.file_bytes, settings
        self._process: subprocess.Popen[bytes] | None = None
        self._is_initialized = self._was_overdue = False
        self._busy_since: float | None = None
        self._starting_since: float | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def seconds_busy(self) -> float:
        """For how long the worker has been processing its batch; 0 if it has none."""
        return _seconds_since(self._busy_since)

    def end_if_overdue(self, seconds: float) -> None:
        """End the process if its batch takes longer than this; `exchange` then raises. Also if it does not start."""
        process, is_overdue = self._process, self.seconds_busy > seconds
        if process is not None and (is_overdue or _seconds_since(self._starting_since) > START_SECONDS):
            self._was_overdue = is_overdue
            process.kill()

    def start(self) -> None:
        """Start the process; one that runs is ended before.

        Raises:
            WorkerStartError: The system allows no further process, or it ended at once.
        """
        self.end()
        # The same `sys.path`, so that the worker imports this very Tinysight from whatever folder it is started in.
        code = f"import sys; sys.path[:] = {sys.path!r}; from tinysight.serving.worker import main; main()"
        command = [sys.executable, "-c", code]
        pipe, discard = subprocess.PIPE, subprocess.DEVNULL  # C libraries print about damaged pictures
        environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}  # `Classifier.frame` uses one; more need not start
        for name in SECRETS:
            environment.pop(name, None)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own code
                command, stdin=pipe, stdout=pipe, stderr=discard, env=environment
            )
            self._stdin, self._stdout = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
            pickle.dump(self._init_message, self._stdin)
            self._stdin.flush()
        except OSError:
            self.end()
            raise WorkerStartError from None

    def exchange(self, requests: list[WorkerRequest]) -> BatchReply:
        """Send a batch and wait for the reply; a worker that has ended before is started again.

        Raises:
            WorkerStartError: None can be started.
            WorkerEndedError: It ended while it processed the batch.
        """
        if not self._send(requests):
            self.start()
            if not self._send(requests):
                self.end()
                raise WorkerStartError
        try:
            reply: BatchReply = pickle.load(self._stdout)  # noqa: S301 - from the worker, over a pipe that only it has
        except (OSError, EOFError, pickle.UnpicklingError):
            is_overdue, process = self._was_overdue, self._process
            self.end()
            is_killed = process is not None and process.returncode == -signal.SIGKILL
            raise WorkerEndedError(is_overdue, is_killed and not is_overdue) from None
        finally:
            self._busy_since, self._was_overdue = None, False
        return reply

    def _send(self, requests: list[WorkerRequest]) -> bool:
        """Write a batch to the worker; return whether it was alive to take it."""
        if self._process is None:
            return False
        try:
            if not self._is_initialized:  # how long that takes is not the batch's fault
                self._starting_since = time.monotonic()
                pickle.load(self._stdout)  # noqa: S301 - as above
                self._is_initialized, self._starting_since = True, None
            self._busy_since = time.monotonic()
            pickle.dump(requests, self._stdin)
            self._stdin.flush()
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):  # ValueError: our end of the pipe is closed
            self._busy_since = self._starting_since = None
            return False
        return True

    def end(self) -> None:
        """Close the worker's pipes, upon which it ends, and wait for that."""
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # bytes that the worker never read cannot be flushed
                cast("IO[bytes]", pipe).close()
        self._process.wait()
        self._process, self._is_initialized = None, False


def _seconds_since(moment: float | None) -> float:
    return 0.0 if moment is None else time.monotonic() - moment
