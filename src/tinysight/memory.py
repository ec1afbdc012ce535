"""Limits the memory of a process, so that a hostile picture cannot take all of the machine's."""

from contextlib import suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]


def limit_memory(num_bytes: int) -> None:
    """Let this process allocate so many bytes more than it has; beyond, there is a `MemoryError`.

    Works on Linux only; elsewhere this does nothing. A lower limit that exists already is kept.

    Args:
        num_bytes: How many.
    """
    with suppress(OSError, ValueError, AttributeError):
        num_pages = int(Path("/proc/self/statm").read_text().split()[0])
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = num_pages * resource.getpagesize() + num_bytes
        if soft == resource.RLIM_INFINITY or wanted < soft:
            resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
