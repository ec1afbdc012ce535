"""The queue before the worker process: batches, its limit, and restarts of the worker."""

import asyncio
import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image
from samples import as_png
from services import running

from tinysight.serving.app import Service
from tinysight.serving.batching import BatchQueue
from tinysight.serving.limits import Limits


def test_each_of_many_clients_gets_its_own_prediction(service, classifier, pictures):
    expected = [prediction.class_name for prediction in classifier.predict(pictures)]
    found = {}

    def ask(number):
        with service.client() as own:
            for turn in range(8):
                index = (number * 7 + turn) % len(pictures)
                (answer,) = own.post("/predict?top=2", content=pictures[index]).json()["predictions"]
                found[number, turn] = answer["class_name"] == expected[index] and len(answer["ranking"]) == 2

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 128
    assert all(found.values())


@pytest.mark.slow
def test_when_too_many_pictures_wait_the_next_one_gets_429(model_path, tmp_path):
    """Slow pictures fill a queue of two."""
    file = io.BytesIO()
    Image.effect_noise((3_500, 3_500), 60).save(file, "JPEG", quality=30)
    statuses, retry = [], []

    def ask():
        with service.client() as own:
            response = own.post("/predict", content=file.getvalue())
            statuses.append(response.status_code)
            retry.append(response.headers.get("retry-after"))

    with running(tmp_path, model_path, "--max-waiting", "2") as service:
        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200, 429}
    assert all((status == 429) == (seconds is not None) for status, seconds in zip(statuses, retry, strict=True))


def has_threads(child):
    """Tell whether a process still runs; one that is killed ends thread by thread, the first being kept to the last."""
    try:
        is_zombie = "State:\tZ" in Path(f"/proc/{child}/status").read_text()
        return not is_zombie or len(list(Path(f"/proc/{child}/task").iterdir())) > 1
    except OSError:  # somebody has waited for it
        return False


@pytest.mark.slow
def test_a_worker_that_ends_is_started_again(model_path, tmp_path, pictures):
    with running(tmp_path, model_path) as service, service.client() as client:
        for _ in range(3):
            assert client.post("/predict", content=pictures[0]).status_code == 200
            (child,) = service.children()
            os.kill(int(child), signal.SIGKILL)
            while has_threads(child):
                time.sleep(0.001)
            assert client.post("/predict", content=pictures[0]).status_code == 200  # it is not to blame
        service.stop()
        assert not Path(f"/proc/{child}").exists()


@pytest.mark.slow
def test_a_worker_that_ends_while_idle_is_started_again(model_path, tmp_path):
    with running(tmp_path, model_path) as service:
        (child,) = service.children()
        os.kill(int(child), signal.SIGKILL)
        end = time.monotonic() + 20
        while service.children() in ([], [child]):
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("ends_at_once", [False, True])
def test_while_no_worker_can_be_started_the_status_is_503(classifier, pictures, monkeypatch, ends_at_once):
    """Instead of a process there is an error, or one that ends before it has read anything."""
    popen, workers, is_broken = subprocess.Popen, [], False

    def start(command, **options):
        if is_broken and not ends_at_once:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        workers.append(popen([sys.executable, "-c", ""] if is_broken else command, **options))
        return workers[-1]

    async def ask():
        nonlocal is_broken
        transport = httpx.ASGITransport(service.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

            async def status(path, **content):
                asked = client.post(path, **content) if content else client.get(path)
                return (await asyncio.wait_for(asked, 30)).status_code

            is_broken = True
            workers[-1].kill()
            workers[-1].wait()
            for _ in range(2):
                assert await status("/predict", content=pictures[0]) == 503
                ready = await client.get("/v2/health/ready")
                assert (ready.status_code, ready.json()) == (503, {"ready": False})
                assert await status("/v2/models/digits/ready") == 503
                assert await status("/v2/health/live") == 200
            is_broken = False
            assert await status("/predict", content=pictures[0]) == 200
            assert await status("/v2/health/ready") == await status("/v2/models/digits/ready") == 200

    monkeypatch.setattr(subprocess, "Popen", start)
    service = Service(classifier, "digits", is_logging=False)
    try:
        asyncio.run(ask())
    finally:
        service.close()
    assert all(worker.poll() is not None for worker in workers)


def results_of(classifier, pictures, **limits):
    """Return what the queue answers to requests of one picture each that are made together."""

    async def ask():
        requests = [queue.predict([picture], 1, False) for picture in pictures]
        return await asyncio.gather(*requests, return_exceptions=True)

    queue = BatchQueue(classifier, Limits(**limits), lambda *_: None)
    try:
        return asyncio.run(ask())
    finally:
        queue.close()


def test_what_waits_too_long_gets_429(classifier, pictures):
    (error,) = results_of(classifier, pictures[:1], answer_seconds=-1)
    assert (error.status_code, error.headers) == (429, {"Retry-After": "1"})
    assert "waited longer" in error.detail


# A worker that says that it is ready, and at its first batch ends, is killed, or does nothing any more
READY = """
import os, pickle, sys, time
pickle.load(sys.stdin.buffer)
pickle.dump(None, sys.stdout.buffer)
sys.stdout.flush()
pickle.load(sys.stdin.buffer)
"""
ENDS = {"exits": "os._exit(1)", "is killed": "os.kill(os.getpid(), 9)", "hangs": "time.sleep(60)"}


def failing_workers(monkeypatch, end, num_failing):
    """Have the first workers fail in the way that `end` names; return the list of those started."""
    popen, workers = subprocess.Popen, []
    code = READY + ENDS[end]

    def start(command, **options):
        is_failing = len(workers) < num_failing
        workers.append(popen([sys.executable, "-c", code] if is_failing else command, **options))
        return workers[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return workers


@pytest.mark.parametrize(
    ("end", "status", "words"),
    [("exits", 422, "crashed the decoder"), ("is killed", 503, "killed"), ("hangs", 422, "longer than 0.3 seconds")],
)
def test_a_picture_that_ends_each_worker_gets_an_error(classifier, pictures, monkeypatch, end, status, words):
    workers = failing_workers(monkeypatch, end, 99)
    (error,) = results_of(classifier, pictures[:1], batch_seconds=0.3)
    assert (error.status_code, words in error.detail) == (status, True)
    assert all(worker.poll() is not None for worker in workers)


@pytest.mark.parametrize("end", ENDS)
def test_if_a_batch_fails_each_of_its_requests_is_processed_alone(classifier, pictures, monkeypatch, end):
    failing_workers(monkeypatch, end, 1)
    results = results_of(classifier, pictures, batch_seconds=4 if end == "hangs" else 30)
    expected = [prediction.class_name for prediction in classifier.predict(pictures)]
    assert [json.loads(result)["predictions"][0]["class_name"] for result in results] == expected


def test_large_requests_keep_nobody_waiting(classifier, pictures):
    """Large pictures come first and are answered last, each request alone."""
    large = as_png(Image.effect_noise((1_100, 1_000), 60))
    order = []

    async def ask():
        async def asked(picture):
            result = await queue.predict([picture], 1, False)
            order.append(picture is large)
            return json.loads(result)["predictions"][0]["class_name"]

        return await asyncio.gather(*map(asked, [large, large, *pictures]))

    queue = BatchQueue(classifier, Limits(), lambda *_: None)
    try:
        names = asyncio.run(ask())
    finally:
        queue.close()
    assert names == [prediction.class_name for prediction in classifier.predict([large, large, *pictures])]
    assert order == [*[False] * len(pictures), True, True]


def test_a_request_of_too_many_pixels_gets_413(classifier, pictures):
    large = as_png(Image.new("L", (1_000, 999)))

    async def ask():
        requests = [queue.predict([large] * number, 1, False) for number in (4, 5)]
        return await asyncio.gather(*requests, return_exceptions=True)

    queue = BatchQueue(classifier, Limits(max_pixels=1_000_000), lambda *_: None)
    try:
        answer, error = asyncio.run(ask())
    finally:
        queue.close()
    assert len(json.loads(answer)["predictions"]) == 4
    assert (error.status_code, "4,995,000 pixels" in error.detail) == (413, True)


def test_while_a_batch_is_overdue_the_service_is_not_ready(classifier, pictures, monkeypatch):
    failing_workers(monkeypatch, "hangs", 1)

    async def ask():
        asked = asyncio.create_task(queue.predict(pictures[:1], 1, False))
        while not asked.done():
            seen.append(queue.is_ready)
            await asyncio.sleep(0.01)
        return await asked

    queue, seen = BatchQueue(classifier, Limits(batch_seconds=1, overdue_seconds=0.3), lambda *_: None), []
    try:
        assert b"class_name" in asyncio.run(ask())
        assert seen[0]
        assert False in seen
        assert queue.is_ready
    finally:
        queue.close()


def test_the_worker_does_not_know_the_key(classifier, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_API_KEY", "secret-key")
    queue = BatchQueue(classifier, Limits(), lambda *_: None)
    try:
        environment = Path(f"/proc/{queue._worker._process.pid}/environ").read_bytes()
    finally:
        queue.close()
    assert b"PATH=" in environment
    assert b"secret-key" not in environment
