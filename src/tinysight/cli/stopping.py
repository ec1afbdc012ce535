"""Lets signals end a training early without losing it: Ctrl-C, SIGTERM, and SIGHUP from a closed terminal."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from . import console

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopRequest:
    """Tells whether a signal has asked to stop, and which was the first.

    Attributes:
        signal: Its number; None if there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Tell whether to stop."""
        return self.signal is not None

    @property
    def status(self) -> int:
        """The exit status: 0 after Ctrl-C, since stopping was the user's choice; otherwise 128 and the signal."""
        return 0 if self.signal in (None, signal.SIGINT) else 128 + self.signal

    def receive(self, number: int) -> None:
        """Note a signal. The first asks to stop after the epoch; the next ends the process."""
        if number == getattr(signal, "SIGHUP", None):
            console.out.quiet = console.err.quiet = True  # the terminal is gone
        if self.signal is not None:
            console.print_error("interrupted")
            os._exit(128 + number)  # an exception within TensorFlow's calls sometimes aborts it
        self.signal = number
        again = "press Ctrl-C again" if number == signal.SIGINT else "send it again"
        console.print_warning(f"stopping after this epoch; {again} to stop at once, without a result")


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Receive signals while the body of ``with`` runs, also while it is in a call that runs no Python code.

    Python runs the handler of a signal only between its own instructions, and an epoch may be one call that takes
    minutes. So a thread waits for the signals' numbers, which Python writes to a pipe at once.
    """
    request = StopRequest()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wait() -> None:
        while number := os.read(reading, 1):
            request.receive(number[0])

    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    woken_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(woken_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        thread.join()
        os.close(reading)
