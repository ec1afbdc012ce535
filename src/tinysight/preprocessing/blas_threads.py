"""Keeps NumPy's linear algebra (BLAS) on one thread where several are slower."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_limiting = threading.Lock()  # held by the one block that has set the limit


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run a ``with`` block, or a decorated function, with one BLAS thread; afterwards there are as many as before.

    Framing multiplies matrices that are just large enough for BLAS to use all cores. On cores that are busy, waiting
    for the other threads takes longer than the product does (measured in docs/experiments.md).

    The number of threads belongs to the whole process. So of blocks that overlap in time, in several Python threads,
    only the first sets and restores it: if each restored what it had found, one thread could be left for ever.
    """
    if not _limiting.acquire(blocking=False):
        yield
        return
    try:
        with _controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        _limiting.release()


@functools.cache
def _controller() -> "ThreadpoolController":
    """Return the control of the BLAS libraries, found once: to look for them takes about a millisecond."""
    import numpy  # noqa: F401 - only libraries that are loaded are found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
