"""The service over HTTP: the page, predictions, metrics, who is let in, and what is too much."""

import asyncio
import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from services import assert_refused, running, status_of

from tinysight.serving.app import Service


@pytest.fixture(scope="module")
def pictures(trained):
    return [as_png(np.asarray(image)) for image in trained.images.images[:20]]


def as_png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def as_json(*pictures):
    return {"images": [b64encode(picture).decode() for picture in pictures]}


def test_a_picture_is_named_as_predict_names_it(client, classifier, pictures):
    response = client.post("/predict?top=3&pixels=true", content=pictures[0])
    (answer,) = response.json()["predictions"]
    (prediction,) = classifier.predict(pictures[0], top=3)
    assert answer["class_name"] == prediction.class_name
    assert answer["probability"] == pytest.approx(prediction.probability, abs=1e-6)
    assert [(one["class_name"], pytest.approx(one["probability"], abs=1e-6)) for one in answer["ranking"]] == [
        *prediction.ranking
    ]
    assert answer["is_rejected"] == prediction.is_rejected
    assert answer["note"] == prediction.note
    assert answer.keys() == {*prediction.to_dict(), "pixels"}
    assert answer["source"] == "picture 1"
    pixels = np.frombuffer(b64decode(answer["pixels"]), np.uint8)
    assert (pixels == classifier.frame(pictures[0]).pixels.ravel()).all()


def test_a_plain_question_gets_one_class_and_no_pixels(client, pictures):
    (answer,) = client.post("/predict", content=pictures[0]).json()["predictions"]
    assert len(answer["ranking"]) == 1
    assert "pixels" not in answer


def test_several_pictures_are_named_in_order(client, classifier, pictures):
    answers = client.post("/predict", json=as_json(*pictures)).json()["predictions"]
    assert [answer["class_name"] for answer in answers] == [
        prediction.class_name for prediction in classifier.predict(pictures)
    ]


def test_many_at_once_each_get_their_own_answer(service, classifier, pictures):
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


def test_one_bad_picture_among_several_is_named_and_nothing_is_done(client, pictures):
    assert_refused(client.post("/predict", json=as_json(pictures[0], b"no picture")), 422, "picture 2 of 2")
    assert_refused(client.post("/predict", json={"images": [as_json(pictures[0])["images"][0], "%"]}), 422, "2 of 2")


@pytest.mark.parametrize(
    ("content", "content_type", "status", "word"),
    [
        (b"", "image/png", 422, "empty"),
        (b"no picture", "image/png", 422, "PNG"),
        (b"{", "application/json", 400, "JSON"),
        (b"[" * 100_000, "application/json", 400, "JSON"),
        (b"[]", "application/json; charset=utf-8", 422, "images"),
        (b'{"images": []}', "application/json", 422, "images"),
        (b'{"images": [7]}', "application/json", 422, "picture 1 of 1"),
        (b"--x--", "multipart/form-data; boundary=x", 415, "form"),
        (json.dumps({"images": ["QQ=="] * 65}).encode(), "application/json", 413, "64"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(client, content, content_type, status, word):
    headers = {"Content-Type": content_type}
    assert_refused(client.post("/predict", content=content, headers=headers), status, word)


def test_wrong_parameters_are_refused_in_a_line(client, pictures):
    for query in ("top=0", "top=x", "pixels=perhaps"):
        assert_refused(client.post(f"/predict?{query}", content=pictures[0]), 422, query.partition("=")[0])
    assert_refused(client.post("/predict", content=b"x", headers={"Content-Encoding": "gzip"}), 415, "compressed")
    assert_refused(client.get("/nothing"), 404)
    response = client.get("/predict")
    assert_refused(response, 405, "POST")
    assert response.headers["allow"] == "POST"


def test_the_classifier_is_described(client, classifier):
    assert client.get("/classifier").json() == {
        "name": "digits",
        "class_names": list(classifier.class_names),
        "framing": asdict(classifier.framing),
        "reject_below": classifier.reject_below,
    }


def test_the_page_and_its_files_are_served_and_nothing_else(service, client):
    folder = files("tinysight") / "page"
    assert client.get("/").content == (folder / "index.html").read_bytes()
    for file in folder.iterdir():
        assert client.get(f"/page/{file.name}").content == file.read_bytes()
    assert client.get("/page/page.js").headers["content-type"].startswith("text/javascript")
    secret = "src/tinysight/errors.py"
    for path in (
        "/page/", "/page/../index.html", "/page/..%2f__init__.py", "/page/%2e%2e/%2e%2e/errors.py", "/page//etc/passwd",
        "/page/..%5cerrors.py", f"/{secret}", "/page/page.js%00.css", "/page/page.js/", "/../../etc/passwd",
    ):  # fmt: skip
        answer = service.say(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert status_of(answer) in (400, 404), path


def test_every_answer_has_the_headers_of_a_careful_page(service, client, pictures):
    answers = [client.get("/"), client.get("/nothing"), client.post("/predict", content=pictures[0])]
    answers += [client.get("/", headers={"Host": "elsewhere.example"})]
    raw = service.say(b"nonsense\r\n\r\n")
    assert status_of(raw) == 400
    for headers in [*(answer.headers for answer in answers), httpx.Headers(raw_headers(raw))]:
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def raw_headers(answer):
    head = answer.partition(b"\r\n\r\n")[0].decode()
    return [tuple(line.split(": ", 1)) for line in head.split("\r\n")[1:]]


def test_only_its_own_names_reach_the_service(service, client):
    for host in ("localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:8000"):
        assert client.get("/classifier", headers={"Host": host}).status_code == 200
    for host in ("elsewhere.example", "localhost.elsewhere.example", "", "127.0.0.1.nip.io:8000"):
        assert_refused(client.get("/classifier", headers={"Host": host}), 421, "--allow-host")
    for hosts in (b"", b"Host: localhost\r\nHost: other\r\n"):
        assert status_of(service.say(b"GET /classifier HTTP/1.1\r\n" + hosts + b"\r\n")) == 400


def test_pages_of_other_sites_are_not_answered(client, pictures):
    for origin in ("https://elsewhere.example", "null", "http://[", "http://localhost.elsewhere.example"):
        assert_refused(client.post("/predict", content=pictures[0], headers={"Origin": origin}), 403)
    own = client.post("/predict", content=pictures[0], headers={"Origin": str(client.base_url)})
    assert own.status_code == 200
    assert client.options("/predict", headers={"Origin": "http://localhost"}).status_code == 405


def test_a_host_that_was_allowed_is_answered(model_path, tmp_path):
    with running(tmp_path, model_path, "--allow-host", "Digits.example") as service, service.client() as client:
        assert client.get("/", headers={"Host": "digits.example:443"}).status_code == 200


def test_a_key_protects_all_but_the_page_and_health(model_path, tmp_path, pictures):
    with running(tmp_path, model_path, TINYSIGHT_API_KEY="sesame-open") as service, service.client() as client:
        for path in ("/", "/page/page.js", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/classifier", "/metrics", "/openapi.json", "/v2", "/v2/models/digits", "/nothing"):
            response = client.get(path)
            assert_refused(response, 401, "a key is needed")
            assert response.headers["www-authenticate"] == "Bearer"
        for given in ("Bearer wrong", "Basic sesame-open", "sesame-open", "Bearer sesame-open2", "Bearer ü"):
            headers = {"Authorization": given.encode("latin-1")}
            assert client.post("/predict", content=pictures[0], headers=headers).status_code == 401
        headers = {"Authorization": "Bearer sesame-open"}
        assert client.post("/predict", content=pictures[0], headers=headers).status_code == 200
    assert "sesame" not in service.announced + service.log.read_text()


def test_on_every_address_a_key_is_made_unless_refused(model_path, tmp_path):
    with running(tmp_path, model_path, "--host", "0.0.0.0") as service, service.client() as client:
        made = service.process.stdout.readline()
        key = re.search(r"key.*: (\S{20,})$", made).group(1)
        assert client.get("/classifier").status_code == 401
        assert client.get("/classifier", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with running(tmp_path, model_path, "--host", "0.0.0.0", "--no-api-key") as service, service.client() as client:
        assert client.get("/classifier").status_code == 200


def test_too_large_bodies_are_refused_announced_or_not(model_path, tmp_path):
    with running(tmp_path, model_path, "--max-body", "0.1") as service, service.client() as client:
        assert_refused(client.post("/predict", content=bytes(200_000)), 413, "0.1 MiB")
        assert_refused(client.post("/predict", content=(bytes(10_000) for _ in range(20))), 413, "0.1 MiB")
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        for length in (b"100000000", b"9" * 18):
            assert status_of(service.say(head + length + b"\r\n\r\nabc", end=False)) == 413
        answer = service.say(head + b"200000\r\nExpect: 100-continue\r\n\r\n", end=False)
        assert status_of(answer) == 413
        assert client.post("/predict", content=bytes(50_000)).status_code == 422


def test_too_large_pictures_are_refused_before_they_are_decoded(client, service):
    before = service.resident_mib()
    file = io.BytesIO()
    Image.new("1", (8_000, 7_000)).save(file, "PNG")
    start = time.monotonic()
    assert_refused(client.post("/predict", content=file.getvalue()), 422, "16,000,000")
    assert time.monotonic() - start < 5
    assert service.resident_mib() - before < 50


def test_when_too_many_wait_the_next_is_told_to_come_again(model_path, tmp_path):
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


def test_a_namer_that_ends_is_started_again(model_path, tmp_path, pictures):
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


def test_a_namer_that_ends_while_nothing_is_asked_is_started_again(model_path, tmp_path):
    with running(tmp_path, model_path) as service:
        (child,) = service.children()
        os.kill(int(child), signal.SIGKILL)
        end = time.monotonic() + 20
        while service.children() in ([], [child]):
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize("ends_at_once", [False, True])
def test_while_no_namer_can_be_started_that_is_told_and_tried_again(classifier, pictures, monkeypatch, ends_at_once):
    """Instead of a process there is an error, or one that ends before it has read anything."""
    popen, namers, is_broken = subprocess.Popen, [], False

    def start(command, **options):
        if is_broken and not ends_at_once:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        namers.append(popen([sys.executable, "-c", ""] if is_broken else command, **options))
        return namers[-1]

    async def ask():
        nonlocal is_broken
        transport = httpx.ASGITransport(service.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

            async def status(path, **content):
                asked = client.post(path, **content) if content else client.get(path)
                return (await asyncio.wait_for(asked, 30)).status_code

            is_broken = True
            namers[-1].kill()
            namers[-1].wait()
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
    service = Service(classifier, "digits", has_lines=False)
    try:
        asyncio.run(ask())
    finally:
        service.close()
    assert all(namer.poll() is not None for namer in namers)


def test_endless_headers_are_broken_off(service):
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(200))
    for head, statuses in (
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 2_000_000, (0, 431)),
        (b"GET /" + b"a" * 2_000_000, (0, 431)),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n", (400,)),
    ):
        assert status_of(service.say(head, end=False)) in statuses


def test_metrics_count_requests_predictions_and_batches(model_path, tmp_path, pictures):
    with running(tmp_path, model_path) as service, service.client() as client:
        for picture in pictures[:3]:
            client.post("/predict", content=picture)
        client.post("/predict", content=b"no picture")
        client.post("/predict", content=as_png(np.zeros((28, 28), np.uint8)))
        client.get("/nothing")
        text = client.get("/metrics").text
    assert 'tinysight_requests_total{route="/predict",status="200"} 4.0' in text
    assert 'tinysight_requests_total{route="/predict",status="422"} 1.0' in text
    assert 'tinysight_requests_total{route="none",status="404"} 1.0' in text
    assert sum(float(count) for count in re.findall(r"^tinysight_predictions_total{.*} (.*)$", text, re.MULTILINE)) == 4
    assert float(re.search(r"^tinysight_rejected_total (.*)$", text, re.MULTILINE).group(1)) >= 1
    assert "tinysight_batch_images_count 4.0" in text
    assert "tinysight_requests_in_flight 1.0" in text
    assert 'tinysight_request_seconds_count{route="/predict"} 5.0' in text


def test_each_request_is_one_line_that_holds_nothing_of_it(model_path, tmp_path, pictures):
    with running(tmp_path, model_path) as service, service.client() as client:
        response = client.post("/predict?top=2&secret=%0a%7bquery", content=pictures[0], headers={"X-Mine": "secret"})
        client.get("/secret%0aline", headers={"Authorization": "Bearer secret"})
        service.stop()
    first, second = service.lines()
    assert first.pop("time").endswith("+00:00")
    assert first.pop("milliseconds") > 0
    size = len(response.content)
    assert first == {"method": "POST", "route": "/predict", "status": 200, "bytes": size}
    assert (second["route"], second["status"]) == ("none", 404)
    assert "secret" not in service.log.read_text()


def test_nothing_is_logged_where_that_is_not_wanted(model_path, tmp_path):
    with running(tmp_path, model_path, "--no-log") as service, service.client() as client:
        client.get("/")
        service.stop()
    assert service.lines() == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_stop_the_service(model_path, tmp_path, number, status):
    with running(tmp_path, model_path) as service:
        with service.client() as client:
            assert client.get("/v2/health/ready").status_code == 200
            assert service.stop(number) == status
        text = service.log.read_text()
    assert "Traceback" not in text
    assert text.splitlines()[1:] == (["tinysight: interrupted"] if number == signal.SIGINT else [])


@pytest.mark.slow
def test_what_is_asked_before_a_stop_is_answered(model_path, tmp_path, pictures):
    """Each of sixteen clients is answered to its last request; none is cut off after it has asked."""
    answered, lost, is_over = [], [], threading.Event()

    def ask():
        request = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(pictures[0])
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            while not is_over.is_set():
                connection.sendall(request + pictures[0])
                answer = b""
                while b"\r\n\r\n" not in answer or not answer.endswith(b"}]}"):
                    piece = connection.recv(65_536)
                    if not piece:
                        lost.append(answer)
                        return
                    answer += piece
                answered.append(status_of(answer))
                if b"connection: close" in answer.lower():
                    return

    with running(tmp_path, model_path) as service:
        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        assert service.stop() == 0
        is_over.set()
        for thread in threads:
            thread.join()
    assert lost == []
    assert set(answered) == {200}
    assert len([line for line in service.lines() if line.get("status") == 200]) == len(answered)


def test_a_port_in_use_and_wrong_options_are_told_in_a_line(tinysight, service, model_path, monkeypatch):
    status, _, error = tinysight("serve", model_path, "--port", service.port)
    assert (status, error.count("\n")) == (1, 1)
    assert str(service.port) in error
    for options, word in (
        (["--port", "65536"], "port is 65536"),
        (["--api-key", "short"], "8 or more"),
        (["--max-body", "0"], "largest body"),
        (["--max-body", "nan"], "largest body"),
        (["--max-body", "inf"], "largest body"),
        (["--max-body", "1e308"], "largest body"),
        (["--max-pixels", "nan"], "largest picture"),
        (["--max-pixels", "-inf"], "largest picture"),
        (["--name", "a/b"], "'a/b'"),
        (["--api-key", "long-enough", "--no-api-key"], "choose one"),
    ):
        status, _, error = tinysight("serve", model_path, *options)
        assert (status, error.count("\n")) == (2, 1), error
        assert word in error
    assert tinysight("serve", model_path, "--host", "no.such.host.invalid")[0] == 1
    assert tinysight("serve", model_path.parent / "nothing.onnx")[0] == 1


def test_the_command_tells_what_to_install(tinysight, model_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for module in [name for name in sys.modules if name.startswith("tinysight.serving.")]:
        monkeypatch.delitem(sys.modules, module)
    status, _, error = tinysight("serve", model_path)
    assert status == 1
    assert "pip install 'tinysight[serve]'" in error
