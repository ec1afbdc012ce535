"""Limits of size and time of request bodies."""

import asyncio

import pytest
from services import assert_error, raw_status, running
from starlette.exceptions import HTTPException
from starlette.requests import Request

from tinysight.serving.limits import Limits
from tinysight.serving.request_body import RequestBodies


@pytest.mark.slow
def test_too_large_bodies_are_rejected_announced_or_not(model_path, tmp_path):
    with running(tmp_path, model_path, "--max-body", "0.1") as service, service.client() as client:
        assert_error(client.post("/predict", content=bytes(200_000)), 413, "0.1 MiB")
        assert_error(client.post("/predict", content=(bytes(10_000) for _ in range(20))), 413, "0.1 MiB")
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        for length in (b"100000000", b"9" * 18):
            assert raw_status(service.send_raw(head + length + b"\r\n\r\nabc", end=False)) == 413
        answer = service.send_raw(head + b"200000\r\nExpect: 100-continue\r\n\r\n", end=False)
        assert raw_status(answer) == 413
        assert client.post("/predict", content=bytes(50_000)).status_code == 422


def read_slowly(bodies, chunks, seconds):
    """Have a body read whose chunks arrive at intervals; return its content."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        await asyncio.sleep(seconds)
        return messages.pop(0)

    async def read():
        with await bodies.read(Request({"type": "http", "headers": []}, receive)) as content:
            assert bodies.num_bytes == len(content)
            return content

    return asyncio.run(read())


def test_a_body_in_chunks_is_joined_and_its_memory_released():
    bodies = RequestBodies(Limits())
    assert read_slowly(bodies, [b"one ", b"two"], 0) == b"one two"
    assert bodies.num_bytes == 0


def test_a_slow_body_gets_408_and_its_memory_is_released():
    bodies = RequestBodies(Limits(body_seconds=0.1))
    with pytest.raises(HTTPException, match="within 0.1 seconds") as error:
        read_slowly(bodies, [b"x"] * 100, 0.02)
    assert error.value.status_code == 408
    assert bodies.num_bytes == 0


def test_bodies_that_are_too_large_together_get_429():
    bodies = RequestBodies(Limits(max_bytes_at_once=10))
    with pytest.raises(HTTPException, match="try again") as error:
        read_slowly(bodies, [b"x" * 11], 0)
    assert error.value.status_code == 429
    assert error.value.headers["Retry-After"] == "1"
    assert bodies.num_bytes == 0


def test_a_closed_connection_ends_the_reading():
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(HTTPException, match="connection was closed") as error:
        asyncio.run(RequestBodies(Limits()).read(Request({"type": "http", "headers": []}, receive)))
    assert error.value.status_code == 400
