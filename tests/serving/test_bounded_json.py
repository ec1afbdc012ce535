"""JSON of strangers takes neither time nor memory out of proportion."""

import json
import time
import tracemalloc

import pytest
from starlette.exceptions import HTTPException

from tinysight.serving.bounded_json import parse_json
from tinysight.serving.limits import Limits
from tinysight.serving.request_pictures import decode_base64, pictures_in
from tinysight.serving.tensors import parse_inference_request

MIB = 2**20


def test_json_within_the_limits_is_parsed_as_ever():
    value = {"a": [1, -2.5e300, None, True, 'x,[{\\"é'], "b": {"": []}, "c": int("9" * 300)}
    assert parse_json(json.dumps(value).encode(), 100) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"[" + b"0," * 200 + b"0]", HTTPException),
        (b"[" + b"[]," * 60 + b"0]", HTTPException),
        (b"[" + b'"",' * 5_000 + b"0]", HTTPException),
        (b"{" + b'"":{},' * 5_000 + b"}", HTTPException),
        (b"[" + b"9" * 301 + b"]", ValueError),
        (b"[ -" + b"9" * 10_000 + b"]", ValueError),
        (b'{"a":' * 2_000, ValueError),
        (b"[1", ValueError),
        (b"\xff", ValueError),
    ],
)
def test_json_beyond_the_limits_is_refused(text, error):
    with pytest.raises(error) as raised:
        parse_json(text, 100)
    assert error is ValueError or raised.value.status_code == 400


def tensor_with(data, num_images=1):
    shape = b'{"inputs":[{"name":"images","shape":[%d,28,28],"datatype":"UINT8","data":' % num_images
    return shape + data + b"}]}"


def hostile_tensors(size):
    """Yield bodies of about `size` bytes; the first made NumPy give every number the width of the string."""
    half = size // 2
    yield tensor_with(b'["' + b"x" * half + b'"' + b",1" * (half // 2) + b"]")
    yield tensor_with(b"[" + b"[]," * (size // 3) + b"[]]")
    yield tensor_with(b"[" + b"1," * (size // 2) + b"1]", 1_024)
    yield tensor_with(b"[" + b"1.5," * (size // 4) + b"1]")
    yield tensor_with(b"[" + b"9" * size + b"]")
    yield tensor_with(b"[" + b"[" * (size // 2) + b"]" * (size // 2) + b"]")
    yield tensor_with(b'["' + b"\\u0041" * (size // 6) + b'"]')
    yield b"{" + b",".join(b'"%x":1' % number for number in range(size // 8)) + b"}"
    yield b" " * size
    yield b'{"inputs":[{"name":"' + b"x" * size + b'"}]}'
    yield b'{"inputs":[{"name":"images","datatype":"' + b"x" * size + b'"}]}'


def least_seconds(refuse):
    """Return this thread's processor time for a refusal, the least of three: another one may collect garbage, too."""
    least = float("inf")
    for _ in range(3):
        start = time.thread_time()
        with pytest.raises(HTTPException):
            refuse()
        least = min(least, time.thread_time() - start)
    return least


@pytest.mark.parametrize("size", [100_000, 4 * MIB])
def test_hostile_tensors_are_refused_in_proportion_to_their_size(size):
    for body in hostile_tensors(size):
        tracemalloc.start()
        with pytest.raises(HTTPException) as raised:
            parse_inference_request(body, None, (28, 28), Limits())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert raised.value.status_code == 400
        assert len(raised.value.detail) < 300
        assert peak < 30 * MIB, body[:100]
        seconds = least_seconds(lambda body=body: parse_inference_request(body, None, (28, 28), Limits()))
        assert seconds < 0.5, body[:100]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [(b'{"images":["', b"%"), (b'{"images":["data:image/png;base64,', b"%"), (b'{"images":["data:a;base64,', b"%41")],
)
def test_hostile_base64_is_refused_in_proportion_to_its_size(text, pieces):
    body = text + pieces * (4 * MIB // len(pieces)) + b'"]}'
    with pytest.raises(HTTPException) as raised:
        pictures_in(body, "application/json", 64)
    assert raised.value.status_code == 422
    assert least_seconds(lambda: pictures_in(body, "application/json", 64)) < 0.5


def test_an_escaped_data_url_is_decoded():
    assert decode_base64("data:image/png;base64,-%2B%2b%2F%2f9%0D%0A%20A%3D%3d") == b"\xfb\xef\xbf\xff\xd0"
