"""The server: response headers, limits on request headers, signals."""

import importlib
import signal
import socket
import threading
import time
from importlib.metadata import version

import httpx
import pytest
from services import raw_status, running

from tinysight.serving.server import _network


def test_every_response_has_the_security_headers(service, client, pictures):
    answers = [client.get("/"), client.get("/nothing"), client.post("/predict", content=pictures[0])]
    answers += [client.get("/", headers={"Host": "elsewhere.example"})]
    raw = service.send_raw(b"nonsense\r\n\r\n")
    assert raw_status(raw) == 400
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


def test_endless_headers_close_the_connection(service):
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(200))
    for head, statuses in (
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 2_000_000, (0, 431)),
        (b"GET /" + b"a" * 2_000_000, (0, 431)),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n", (400,)),
    ):
        assert raw_status(service.send_raw(head, end=False)) in statuses


@pytest.mark.slow
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
def test_requests_before_a_stop_are_answered(model_path, tmp_path, pictures):
    """Each of sixteen clients gets a response to its last request; no connection is closed after a request was sent."""
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
                answered.append(raw_status(answer))
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
    assert len([line for line in service.log_lines() if line.get("status") == 200]) == len(answered)


OVERRIDDEN = "connection_made on_message_begin on_header on_headers_complete on_body data_received send_400_response"
UVICORN_INTERNALS = {
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol": f"{OVERRIDDEN} _unsupported_upgrade_warning shutdown "
    "connections headers cycle transport loop server_state",
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle": "response_complete keep_alive",
    "uvicorn.server.ServerState": "connections default_headers",
    "uvicorn.server.Server": "capture_signals handle_exit server_state should_exit",
    "uvicorn.config.Config": "callback_notify timeout_notify",
}


@pytest.mark.parametrize("class_path", UVICORN_INTERNALS)
def test_uvicorn_has_the_internals_that_the_server_uses(class_path):
    module, _, name = class_path.rpartition(".")
    message = f"uvicorn {version('uvicorn')} lacks {{}}: adapt serving/server.py, or lower the bound in pyproject.toml"
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        pytest.fail(message.format(class_path))
    # Methods are attributes of the class; its constructor sets the rest.
    names = {*dir(found), *found.__init__.__code__.co_names}
    missing = set(UVICORN_INTERNALS[class_path].split()) - names
    assert not missing, message.format(f"{class_path}.{min(missing)}")


CHUNKED = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "chunk", [b"zz\r\nabc", b"-5\r\nabc", b"3\r\nabcdefg", b"f" * 17 + b"\r\n", b"3;\0\r\nabc\r\n"]
)
def test_broken_chunks_are_answered(service, chunk):
    answer = service.send_raw(CHUNKED + chunk)
    assert raw_status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"the request is not valid HTTP/1.1" in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /predict HTTP/1.1\r\nTransfer-Encoding: gzip, chunked", 501),
        (b"POST /predict HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
    ],
)
def test_other_encodings_and_versions_are_refused(service, head, status):
    answer = service.send_raw(head + b"\r\nHost: localhost\r\n\r\n0\r\n\r\n")
    assert raw_status(answer) == status
    assert answer.count(b"HTTP/1.1 ") == 1


def test_trailers_are_no_headers(service):
    """A proxy that filters headers may let them through."""
    body = b"0\r\nHost: elsewhere.example\r\nOrigin: https://elsewhere.example\r\n\r\n"
    answer = service.send_raw(CHUNKED + body, end=False)
    assert raw_status(answer) == 422, answer
    get = b"GET /classifier HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    assert raw_status(service.send_raw(get + b"\r\n" + body, end=False)) == 200
    foreign = get + b"Origin: https://a.example\r\n\r\n0\r\nOrigin: http://localhost\r\n\r\n"
    assert raw_status(service.send_raw(foreign, end=False)) == 403


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_addresses_of_one_client_are_known_as_such(one, other, are_same):
    assert (_network((one, 1)) == _network((other, 2))) == are_same
    assert _network((one, 1)) is not None


@pytest.mark.parametrize("client", [None, ("", 0), ("127.0.0.1", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])
def test_connections_from_this_machine_are_not_counted(client):
    assert _network(client) is None


@pytest.mark.slow
def test_one_address_does_not_hold_all_connections(model_path, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but the loopback one")
        own = probe.getsockname()[0]
    held = []
    with running(tmp_path, model_path, "--host", "0.0.0.0", "--no-api-key") as service:
        try:
            for _ in range(130):
                held.append(socket.create_connection((own, service.port), timeout=10))
            assert raw_status(held[-1].recv(1_000)) == 429
            with service.client() as client:
                assert client.get("/v2/health/ready").status_code == 200
        finally:
            for connection in held:
                connection.close()
