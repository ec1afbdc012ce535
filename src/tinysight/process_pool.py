"""Does work in several processes, and gives the results in order; does not know what the work is."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from .errors import TinysightError

Task = TypeVar("Task")
Result = TypeVar("Result")
AHEAD = 4  # tasks a process that may be done or under way before the oldest is given: one slow task stops nobody


def map_in_processes(
    prepare: Callable[[], Callable[[Task], Result]], tasks: Iterator[Task], num_processes: int
) -> Iterator[Result]:
    """Do tasks in processes that end when this generator is closed, ends or fails.

    A process has one task at a time and is waited for, so that what is sent to it never waits on what it sends.

    Args:
        prepare: Called once in each process; gives the function that does a task. It may raise.
        tasks: What to do; read as processes become free.
        num_processes: How many processes.

    Yields:
        The result of each task, in order.

    Raises:
        Exception: What `prepare` or the work raised.
        TinysightError: A process was killed.
    """
    numbered = enumerate(tasks)
    pending = next(numbered, None)
    busy: dict[Connection, int] = {}
    done: dict[int, Result] = {}
    num_given = 0
    with _processes(prepare, num_processes) as idle:
        while pending or busy or done:
            while pending and idle and pending[0] < num_given + AHEAD * num_processes:
                connection = idle.pop()
                number, task = pending
                _send(connection, task)
                busy[connection] = number
                pending = next(numbered, None)
            while num_given in done:
                yield done.pop(num_given)
                num_given += 1
            ready = wait(list(busy)) if busy else []
            for connection in [one for one in busy if one in ready]:
                done[busy.pop(connection)] = _receive(connection)
                idle.append(connection)


@contextmanager
def _processes(prepare: Callable[[], Callable[[Any], Any]], num_processes: int) -> Iterator[list[Connection]]:
    """Start processes, give a connection to each, and end them."""
    # To divide takes milliseconds and is safe as long as no thread runs; elsewhere than on Linux systems' own may.
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    processes, connections = [], []
    try:
        with _interrupts_held():
            for _ in range(num_processes):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(prepare, theirs, ours), daemon=True)  # type: ignore[attr-defined]
                process.start()
                theirs.close()
                processes.append(process)
                connections.append(ours)
        yield list(connections)
    finally:
        for process in processes:
            process.terminate()
        for process, connection in zip(processes, connections, strict=False):
            process.join()
            connection.close()


def _work(prepare: Callable[[], Callable[[Any], Any]], connection: Connection, other_end: Connection) -> None:
    """Do one task after the other, until there is nobody to do it for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    other_end.close()  # else this process would wait for itself
    work = None
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                work = work or prepare()
                answer = work(task)
            except Exception as error:
                answer = error
            connection.send(answer)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait: a process that has only just begun does not yet know what to do about it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(connection: Connection, task: object) -> None:
    try:
        connection.send(task)
    except OSError:
        raise _killed() from None


def _receive(connection: Connection) -> Any:
    try:
        result = connection.recv()
    except (EOFError, OSError):
        raise _killed() from None
    if isinstance(result, Exception):
        raise result
    return result


def _killed() -> TinysightError:
    return TinysightError("a process at work has been killed, perhaps for want of memory; use smaller pictures")
