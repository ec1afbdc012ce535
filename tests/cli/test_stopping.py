import os
import signal
import time

import pytest

from tinysight.cli.stopping import stop_requests


def wait_until(is_true):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if is_true():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 0), ("SIGTERM", 143)])
def test_a_signal_asks_once_and_ends_the_process_the_second_time(capfd, monkeypatch, name, status):
    statuses, number = [], getattr(signal, name)
    monkeypatch.setattr("os._exit", statuses.append)
    before = signal.getsignal(number)
    with stop_requests() as should_stop:
        assert not should_stop()
        assert should_stop.status == 0
        signal.raise_signal(number)
        assert wait_until(should_stop)
        assert should_stop.status == status
        assert statuses == []
        signal.raise_signal(number)
        assert wait_until(lambda: statuses == [128 + number])
    assert signal.getsignal(number) is before
    error = capfd.readouterr().err
    assert "stopping after this epoch" in error
    assert "tinysight: interrupted\n" in error


def test_a_signal_is_heeded_while_no_python_code_runs(capfd):
    """As in an epoch, which may be one call that takes minutes."""
    with stop_requests():
        os.kill(os.getpid(), signal.SIGTERM)
        assert wait_until(lambda: "stopping after this epoch" in capfd.readouterr().err)
