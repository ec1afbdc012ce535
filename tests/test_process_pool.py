"""Tasks in processes; their functions are at this module's top, so that they can be pickled by name."""

import os
import signal
import time
from functools import partial
from itertools import count, islice

import pytest

from tinysight.errors import PictureError, TinysightError
from tinysight.process_pool import AHEAD, map_in_processes


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def tenfold(number):
    time.sleep(0.02 * (number % 3))
    return 10 * number


def own_process(_):
    return os.getpid()


def fail_at_three(number):
    if number == 3:
        raise PictureError("three is no picture")
    return number


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def prepare(run):
    return run


def fail_to_prepare():
    raise TinysightError("not today")


def test_results_come_in_the_order_of_the_tasks():
    assert list(map_in_processes(partial(prepare, tenfold), iter(range(20)), 3)) == list(range(0, 200, 10))
    assert list(map_in_processes(partial(prepare, tenfold), iter(()), 3)) == []


def test_few_tasks_are_read_ahead():
    numbers = count()
    results = map_in_processes(partial(prepare, tenfold), numbers, 2)
    assert list(islice(results, 30)) == list(range(0, 300, 10))
    assert next(numbers) <= 30 + 2 * AHEAD + 1
    results.close()


def test_processes_end_with_the_tasks_or_when_the_generator_is_closed():
    results = map_in_processes(partial(prepare, own_process), count(), 2)
    process_ids = set(islice(results, 20))
    assert os.getpid() not in process_ids
    results.close()
    assert not any(map(is_alive, process_ids))
    assert not any(map(is_alive, set(map_in_processes(partial(prepare, own_process), iter(range(9)), 2))))


def test_an_error_in_a_process_is_raised_by_the_generator():
    results = map_in_processes(partial(prepare, fail_at_three), iter(range(9)), 2)
    with pytest.raises(PictureError, match="three is no picture"):
        list(results)
    with pytest.raises(TinysightError, match="not today"):
        list(map_in_processes(fail_to_prepare, iter(range(9)), 2))


def test_a_process_that_is_killed_is_an_error():
    with pytest.raises(TinysightError, match="has been killed"):
        list(map_in_processes(partial(prepare, die), iter(range(9)), 2))


def die_at_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_task_that_kills_its_process_may_have_another_result():
    results = map_in_processes(
        partial(prepare, die_at_three), iter(range(9)), 2, if_killed=lambda task: f"killed {task}"
    )
    assert list(results) == [0, 1, 2, "killed 3", 4, 5, 6, 7, 8]
