import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tinysight import background_plots
from tinysight.background_plots import draw_here, plotting_process
from tinysight.plots import Curve, plot_curves

PLOTS = [
    partial(plot_curves, [Curve("a", [1, 2, 3], [0.1, 0.5, 0.4])], "epoch", name, f"{name} by epoch")
    for name in ("accuracy", "loss")
]


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(background_plots, "num_cores", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_plots_are_the_same_from_another_process():
    expected = [plot() for plot in PLOTS]
    with plotting_process() as draw:
        assert draw(PLOTS)() == expected
        assert draw(PLOTS[:1])() == expected[:1]
        first, second = draw([partial(os.getpid)])(), draw([partial(os.getpid)])()
    assert first == second != [os.getpid()]
    assert draw_here(PLOTS)() == expected


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("is_asked_before", [False, True])
def test_plots_are_drawn_here_if_the_other_process_is_killed(is_asked_before):
    expected = draw_here(PLOTS)()
    with plotting_process() as draw:
        (other,) = draw([partial(os.getpid)])()
        drawings = draw(PLOTS) if is_asked_before else None
        os.kill(other, signal.SIGKILL)
        time.sleep(0.2)
        assert (drawings or draw(PLOTS))() == expected


def test_no_process_is_started_where_it_is_of_no_use(monkeypatch, two_cores):
    with plotting_process(is_needed=False) as draw:
        assert draw is draw_here
    monkeypatch.setattr(background_plots, "num_cores", lambda: 1)
    with plotting_process() as draw:
        assert draw([partial(os.getpid)])() == [os.getpid()]


@pytest.mark.usefixtures("two_cores")
def test_an_error_in_the_other_process_is_raised_here():
    with plotting_process() as draw, pytest.raises(ZeroDivisionError):
        draw([partial(divmod, 1, 0)])()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_other_process_ends_with_a_killed_one():
    code = """
import os, time
from functools import partial
from tinysight import background_plots
background_plots.num_cores = lambda: 2
with background_plots.plotting_process() as draw:
    print(*draw([partial(os.getpid)])(), flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        other = Path("/proc", parent.stdout.readline().strip())
        assert other.exists()
        parent.kill()
    for _ in range(100):
        if not other.exists() or "\nState:\tZ" in (other / "status").read_text():
            return
        time.sleep(0.05)
    pytest.fail("it is still there")
