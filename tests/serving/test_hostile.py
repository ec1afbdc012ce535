"""Five thousand hostile requests: each gets an error or is dropped; none stops the service or makes its memory grow."""

import json
import random
import socket
import struct
import time
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from samples import as_png
from services import assert_error, raw_status, running

pytestmark = pytest.mark.slow

NUM_REQUESTS = 5_000
PATHS = ("/predict", "/v2/models/digits/infer", "/", "/classifier", "/metrics", "/v2", "/page/page.js", "/nothing")
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def service(model_path, tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), model_path, "--name", "digits", "--max-body", "1") as started:
        yield started


def post(path, body, *headers):
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: localhost", *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def bombs():
    """Return small files that unpack to large pictures or text, or claim to."""
    large = as_png(Image.new("1", (30_000, 20_000)))
    liar = bytearray(as_png(Image.new("L", (28, 28))))
    liar[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    liar[29:33] = struct.pack(">I", zlib.crc32(bytes(liar[12:29])))
    text = as_png(Image.new("L", (28, 28)))
    chunk = b"zTXtComment\0\0" + zlib.compress(bytes(50_000_000))
    packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    gif = b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0"
    return [large, bytes(liar), text[:33] + packed + text[33:], gif + struct.pack("<HH", 65_535, 65_535) + b"\0\2\1\0;"]


def hostile_json():
    deep = [b"[" * 50_000, b'{"images":' * 20_000, b'{"inputs":[{"data":' + b"[" * 900 + b"]" * 900 + b"}]}"]
    long = [b'{"images": ["' + b"A" * 1_000_000 + b'"]}', b"[" + b"1," * 400_000 + b"1]", b"9" * 1_000_000]
    odd = [b'{"images": ["\xff"]}', b"\xef\xbb\xbf{}", b"NaN", b'{"images": {"a": 1}}', b"\0" * 100, b'"\\ud800"']
    tensor = {"name": "images", "shape": [2**62, 28, 28], "datatype": "UINT8", "data": [1]}
    return [*deep, *long, *odd, json.dumps({"inputs": [tensor]}).encode()]


def hostile_bytes():
    """Yield raw requests, each malformed in a different way."""
    yield from (post("/predict", bomb) for bomb in bombs())
    one = {"images": [b64encode(bomb).decode() for bomb in bombs()] * 4}
    yield post("/predict", json.dumps(one).encode()[:1_000_000], b"Content-Type: application/json")
    for body in hostile_json():
        for path in PATHS[:2]:
            yield post(path, body, b"Content-Type: application/json")
    for length in (b"-1", b"abc", b"+5", b"0x10", b"1e3", b"5, 6", b"", b"9" * 40):
        yield b"POST /predict HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\nabcde"
    both = b"POST /predict HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield both + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    for chunk in (
        b"zz\r\nabc",
        b"ffffffffffffffff\r\n",
        b"-5\r\nabc",
        b"5\r\nab",
        b"5;" + b"x" * 100_000,
        b"3\r\nabcdefg",
    ):
        yield b"POST /predict HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
    for line in (b"", b"GET", b"GET /", b"GET / HTTP/9.9", b"GET  HTTP/1.1", b"\x16\x03\x01\x02", b"PRI * HTTP/2.0"):
        yield line + b"\r\n" + HOST + b"\r\n"
    for path in (
        b"*",
        b"http://",
        b"//",
        b"/\xff",
        b"/%",
        b"/%zz",
        b"/%00",
        b"/a?b=%",
        b"?",
        b"localhost:80",
        b"/" * 9_000,
    ):
        for method in (b"GET", b"CONNECT", b"OPTIONS"):
            yield method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    for header in (b"Host: \xff", b"X", b": x", b"X : y", b"X: \0", b"X: " + b"y" * 40_000, b"Upgrade: websocket"):
        yield b"GET / HTTP/1.1\r\n" + HOST + header + b"\r\nConnection: upgrade\r\n\r\n"
    for length in (b"0", b"-1", b"99999", b"x"):
        yield post("/v2/models/digits/infer", b"{}", b"Inference-Header-Content-Length: " + length)
    yield (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 200


def random_requests(rng, broken):
    """Yield random requests without end."""
    methods = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "BREW")
    while True:
        body = rng.choice(
            [
                rng.randbytes(rng.choice([0, 1, 30, 3_000])),
                rng.choice(broken),
                b'{"images": ["' + rng.randbytes(9) + b'"]}',
            ]
        )
        if rng.random() < 0.3:  # cut or changed
            body = bytearray(body[: rng.randrange(len(body) + 1)])
            for _ in range(rng.randrange(4) if body else 0):
                body[rng.randrange(len(body))] = rng.randrange(256)
        length = len(body) + rng.choice([0, 0, 0, 0, -1, 1, 1_000_000])
        headers = [
            rng.choice(["Host: localhost"] * 4 + ["Host: elsewhere.example", "X-No: host"]),
            f"Content-Length: {length}",
            f"Content-Type: {rng.choice(['image/png', 'application/json', 'multipart/form-data', 'x', ''])}",
            rng.choice(
                ["Connection: close", "Origin: https://elsewhere.example", "Authorization: Bearer x", "Accept: */*"]
            ),
            rng.choice(
                ["Inference-Header-Content-Length: 2", "Content-Encoding: gzip", "Expect: 100-continue", "A: b"]
            ),
        ]
        query = rng.choice(
            ["", "?top=3", "?top=-1", "?top=99999999999999999999", "?pixels=true&attribution=1", "?%ff=%00"]
        )
        head = f"{rng.choice(methods)} {rng.choice(PATHS)}{query} HTTP/{rng.choice(['1.1', '1.1', '1.0'])}"
        yield "\r\n".join([head, *headers]).encode() + b"\r\n\r\n" + bytes(body)


def test_five_thousand_hostile_requests(service, broken_pictures):
    rng = random.Random(0)
    broken = [data[:1_000_000] for data in broken_pictures.values()]
    requests = [*hostile_bytes(), *(post("/predict", content) for content in broken)]
    generated = random_requests(rng, broken)
    requests += [next(generated) for _ in range(NUM_REQUESTS - len(requests))]
    rng.shuffle(requests)
    resident = []
    with ThreadPoolExecutor(8) as pool:
        for start in range(0, len(requests), 500):
            statuses = list(pool.map(service.send_raw, requests[start : start + 500]))
            # 501 and 505 refuse a transfer encoding and a version of HTTP: the requests' faults, whatever their number.
            faults = [
                answer[:200]
                for answer in statuses
                if raw_status(answer) >= 500 and raw_status(answer) not in (501, 505)
            ]
            assert not faults
            resident.append(service.resident_mib())
    # Threads' stacks, caches and the memory for the largest picture are allocated in the first half.
    assert resident[-1] < 1.1 * max(resident[:5]) + 8, resident
    assert_alive(service)
    assert not [line for line in service.log_lines() if line.get("level") == "error"]


def test_every_broken_picture_is_predicted_or_gets_422(service, broken_pictures):
    with service.client() as client:
        for name, data in broken_pictures.items():
            response = client.post("/predict", content=data[:1_000_000])
            assert response.status_code in (200, 422), name
            if response.status_code == 422:
                assert_error(response, 422)
    assert_alive(service)


def test_slow_bodies_slow_headers_and_idle_connections_are_closed(service):
    """All are held open together, for half a minute, while other requests are answered."""
    heads = {
        "body": b"POST /predict HTTP/1.1\r\n" + HOST + b"Content-Length: 50\r\n\r\n",
        "chunks": b"POST /predict HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        "head": b"GET / HTTP/1.1\r\n" + HOST,
        "idle": b"",
    }
    drips = {"body": b"x", "chunks": b"1\r\nx\r\n", "head": b"X: y\r\n", "idle": b""}
    started = time.monotonic()
    held = {name: socket.create_connection(("127.0.0.1", service.port), timeout=0.2) for name in heads}
    answers = dict.fromkeys(heads, b"")
    ended = {}
    for name, head in heads.items():
        held[name].sendall(head)
    while len(ended) < len(heads) and time.monotonic() - started < 40:
        for name in set(heads) - set(ended):
            try:
                held[name].sendall(drips[name])
                piece = held[name].recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                piece = b""
            answers[name] += piece
            if not piece:
                ended[name] = time.monotonic() - started
        assert_alive(service)
    for connection in held.values():
        connection.close()
    assert set(ended) == set(heads)
    assert max(ended.values()) < 30
    assert raw_status(answers["body"]) == raw_status(answers["chunks"]) == 408
    assert answers["head"] == answers["idle"] == b""


def test_connections_beyond_the_limit_get_429(service):
    held = []
    try:
        for _ in range(520):
            held.append(socket.create_connection(("127.0.0.1", service.port), timeout=10))
        assert raw_status(held[-1].recv(1000)) == 429
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.5)
    assert_alive(service)


def assert_alive(service):
    with service.client() as client:
        response = client.post("/predict", content=as_png(Image.new("L", (28, 28))))
        assert response.status_code == 200, response.text
