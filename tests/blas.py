"""The number of threads that BLAS libraries use; in a module of its own, so that spawned processes can import it."""

from tinysight.blas_threads import _controller


def num_threads():
    """Return the number of threads of each BLAS library that is limited."""
    return [library["num_threads"] for library in _controller().info() if library["user_api"] == "blas"]


def counter_of_blas_threads():
    """Return a task that counts the threads of the process that runs it."""
    return lambda _: num_threads()
