"""Attacks on the service: requests that were made to stall it, beside clients that want an answer."""

import json
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from picture_bombs import chunk, png, saved, scans
from PIL import Image
from samples import as_png
from services import running

pytestmark = pytest.mark.slow

MIB = 2**20
NUM_GOOD, NUM_GUILTY = 300, 6  # requests a round; guilty ones of each kind
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service(model_path, tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), model_path, "--name", "digits") as started:
        with started.client() as client:
            client.post("/predict", content=as_png(Image.new("L", (28, 28))))  # the worker is ready
        yield started


@pytest.fixture(scope="module")
def pictures(trained):
    return [as_png(np.asarray(image)) for image in trained.images.images[:20]]


def hostile_tensor(size):
    """Return a tensor of one long string among numbers, to which NumPy would give the string's width each."""
    start = b'{"inputs":[{"name":"images","shape":[1,28,28],"datatype":"UINT8","data":["'
    return start + b"x" * (size // 2) + b'"' + b",1" * (size // 4) + b"]}]}"


def several(picture, number):
    return json.dumps({"images": [b64encode(picture).decode()] * number}).encode()


def large_webp():
    return saved(Image.new("RGB", (4_000, 4_000)), "WEBP", lossless=True)


def png_of_chunks(num_bytes):
    """Return a small picture with very many empty chunks before its pixels."""
    return png((1, 1), 8, 0, chunk(b"abCd", b"") * (num_bytes // 12))


def jpeg_of_scans():
    """Return a JPEG file of four megapixels with 5,000 scans, each of a few bytes."""
    return scans(saved(Image.new("L", (2_000, 2_000)), "JPEG", progressive=True), 5_000)


def fat_dash():
    """Return a fat dash with a thin bar beside it, which once raised an IndexError."""
    picture = np.full((200, 200), 255, np.uint8)
    picture[90:125, 40:140] = picture[60:140, 144:147] = 0
    return as_png(picture)


def seconds_of(client, path, content, headers=None):
    start = time.monotonic()
    response = client.post(path, content=content, headers=headers)
    return response, time.monotonic() - start


@pytest.mark.parametrize("size", [100_000, 16 * MIB - 200])
def test_hostile_json_is_refused_at_once(service, size):
    before = service.resident_mib()
    with service.client() as client:
        response, seconds = seconds_of(client, "/v2/models/digits/infer", hostile_tensor(size))
    assert response.status_code == 400
    assert seconds < 2  # 0.02 and 0.2 where nothing else runs
    assert service.resident_mib() < before + 100


def test_requests_of_too_many_pixels_are_refused_while_others_are_answered(service):
    body, results = several(large_webp(), 64), []

    def ask():
        with service.client() as own:
            results.append(seconds_of(own, "/predict", body, JSON))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    with service.client() as client:
        for thread in threads:
            thread.start()
        response, seconds = seconds_of(client, "/predict", as_png(Image.new("L", (28, 28))))
        for thread in threads:
            thread.join()
    assert response.status_code == 200
    assert seconds < 2
    assert {response.status_code for response, _ in results} == {413}
    assert max(seconds for _, seconds in results) < 2


@pytest.mark.parametrize("make", [lambda: png_of_chunks(16 * MIB - 1_000), jpeg_of_scans, large_webp])
def test_while_a_picture_takes_long_others_are_answered(service, make):
    picture, longest = make(), 0.0
    with ThreadPoolExecutor(1) as pool, service.client() as client, service.client() as other:
        asked = pool.submit(client.post, "/predict", content=picture)
        while not asked.done():
            response, seconds = seconds_of(other, "/predict", as_png(Image.new("L", (28, 28))))
            assert response.status_code == 200
            longest = max(longest, seconds)
        assert asked.result().status_code in (200, 422)
    assert longest < 3  # 0.2 where nothing else runs


def test_good_requests_beside_each_guilty_kind_are_answered_right(service, classifier, pictures, attack_rounds):
    guilty = {
        "tensor": ("/v2/models/digits/infer", hostile_tensor(100_000), None, {400}),
        "pixels": ("/predict", several(large_webp(), 64), JSON, {413}),
        "tall": ("/predict", png((1, 16_000_000), 16, 6), None, {422}),
        "scans": ("/predict", jpeg_of_scans(), None, {422}),
        "chunks": ("/predict", png_of_chunks(MIB), None, {200, 429}),
        "dash": ("/predict", fat_dash(), None, {200}),
        "bad": ("/predict", pictures[0][:-30], None, {422}),
        "lists": ("/predict", b"[" + b"[]," * 300_000 + b"0]", JSON, {400}),
    }
    expected = [prediction.class_name for prediction in classifier.predict(pictures)]
    wrong, statuses = [], {kind: set() for kind in guilty}

    def ask_guilty(kind):
        path, body, headers, _ = guilty[kind]
        with service.client() as own:
            statuses[kind] = {
                own.post(path, content=body, headers=headers).status_code for _ in range(attack_rounds * NUM_GUILTY)
            }

    def ask_good(first):
        with service.client() as own:
            for number in range(first, attack_rounds * NUM_GOOD, 4):
                response = own.post("/predict", content=pictures[number % len(pictures)])
                names = [member["class_name"] for member in response.json().get("predictions", [])]
                if names != [expected[number % len(pictures)]]:
                    wrong.append((response.status_code, response.text[:200]))

    with ThreadPoolExecutor(len(guilty) + 4) as pool:
        done = [*(pool.submit(ask_guilty, kind) for kind in guilty), *(pool.submit(ask_good, n) for n in range(4))]
        for one in done:
            one.result()
    assert not wrong
    assert {kind: found - guilty[kind][3] for kind, found in statuses.items()} == {kind: set() for kind in guilty}
    with service.client() as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
