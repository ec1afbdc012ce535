"""Draws a report's plots in a process of its own, which imports matplotlib while this one loads TensorFlow and trains.

The import takes 0.7 s. In a thread it would delay the training by as much, for the global interpreter lock (GIL).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from .plots import import_matplotlib
from .process_pool import BackgroundProcess, ProcessKilledError, num_cores

Plots = Sequence[partial[str]]  # of functions of `plots`
Draw = Callable[[Plots], Callable[[], list[str]]]  # begins to draw; what it returns waits for the drawings


def draw_here(plots: Plots) -> Callable[[], list[str]]:
    """Draw plots in this process, when their drawings are asked for."""
    return lambda: [plot() for plot in plots]


@contextmanager
def plotting_process(is_needed: bool = True) -> Iterator[Draw]:
    """Start a process that draws plots; give the function to draw them with.

    Args:
        is_needed: Whether there will be plots. Without, or with one core, no process is started.
    """
    if not is_needed or num_cores() == 1:
        yield draw_here
        return
    with closing(BackgroundProcess(_prepare)) as process:
        process.send([])  # so that it imports matplotlib now
        yield partial(_draw_there, process)


def _prepare() -> Callable[[Plots], list[str]]:
    import_matplotlib()
    return lambda plots: [plot() for plot in plots]


def _draw_there(process: BackgroundProcess, plots: Plots) -> Callable[[], list[str]]:
    """Draw plots in another process; in this one if that was killed."""
    try:
        process.send(plots)
    except ProcessKilledError:
        return draw_here(plots)

    def drawings() -> list[str]:
        try:
            while len(texts := process.receive()) < len(plots):
                pass  # the result of the first, empty task
        except ProcessKilledError:
            return draw_here(plots)()
        return list(texts)

    return drawings
