"""Has large pictures decoded one at a time, in all threads and processes together: each takes up to 700 MB."""

import threading
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: each process has its own turns
    fcntl = None  # type: ignore[assignment]


class Turns:
    """A lock for threads; for processes too, once they share a file. A process that dies gives its turn back."""

    def __init__(self) -> None:
        """Start with the threads of this process alone."""
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def share(self, path: str) -> None:
        """Take turns with all processes that share a file.

        Args:
            path: The file, which exists; empty if there is none.
        """
        if path and fcntl:
            self._file = open(path, "rb+")  # noqa: PTH123, SIM115 - open as long as the process lives

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._file:
            fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._file:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._lock.release()


LARGE_PICTURES = Turns()
