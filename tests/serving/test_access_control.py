"""Access control by host, origin and API key; CORS for pages of other sites."""

import asyncio
import re
import socket
import threading
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pages import chromium
from services import assert_error, raw_status, running

from tinysight.errors import SettingsError
from tinysight.serving.access_control import AccessRules, parse_origin, rules_for, with_access_control

FRIEND, STRANGER = "https://friend.example", "https://stranger.example"


def test_only_its_own_names_reach_the_service(service, client):
    for host in ("localhost", "LOCALHOST:9", "localhost.", "127.0.0.1", "[::1]:8000"):
        assert client.get("/classifier", headers={"Host": host}).status_code == 200
    for host in ("elsewhere.example", "localhost.elsewhere.example", "", ".", "127.0.0.1.nip.io:8000", "10.1.2.3:80"):
        assert_error(client.get("/classifier", headers={"Host": host}), 421, "--allow-host")
    for hosts in (b"", b"Host: localhost\r\nHost: other\r\n"):
        assert raw_status(service.send_raw(b"GET /classifier HTTP/1.1\r\n" + hosts + b"\r\n")) == 400
    both = b"GET /classifier HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n"
    assert raw_status(service.send_raw(both)) == 400


def test_pages_of_other_sites_are_not_answered(client, pictures):
    for origin in ("https://elsewhere.example", "null", "http://[", "http://localhost.elsewhere.example"):
        assert_error(client.post("/predict", content=pictures[0], headers={"Origin": origin}), 403)
    own = client.post("/predict", content=pictures[0], headers={"Origin": str(client.base_url)})
    assert own.status_code == 200
    other_port = {"Host": "localhost:8000", "Origin": "http://localhost:3000"}
    assert_error(client.post("/predict", content=pictures[0], headers=other_port), 403)
    for origin in ("http://localhost:8000", "https://localhost", "http://[::1]:8000"):
        headers = {"Host": "localhost:8000", "Origin": origin}
        assert client.post("/predict", content=pictures[0], headers=headers).status_code == 200
    assert client.options("/predict", headers={"Origin": "http://localhost"}).status_code == 405


@pytest.mark.slow
def test_a_host_that_was_allowed_is_answered(model_path, tmp_path):
    with running(tmp_path, model_path, "--allow-host", "Digits.example") as service, service.client() as client:
        assert client.get("/", headers={"Host": "digits.example:443"}).status_code == 200


def test_a_key_protects_all_but_the_page_and_health(model_path, tmp_path, pictures):
    with running(tmp_path, model_path, TINYSIGHT_API_KEY="sesame-open") as service, service.client() as client:
        for path in ("/", "/page/page.js", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/classifier", "/metrics", "/openapi.json", "/v2", "/v2/models/digits", "/nothing"):
            response = client.get(path)
            assert_error(response, 401, "an API key is needed", "Authorization: Bearer KEY")
            assert response.headers["www-authenticate"] == "Bearer"
        for given in ("Bearer wrong", "Basic sesame-open", "sesame-open", "Bearer sesame-open2", "Bearer ü"):
            headers = {"Authorization": given.encode("latin-1")}
            assert client.post("/predict", content=pictures[0], headers=headers).status_code == 401
        headers = {"Authorization": "bearer  sesame-open"}
        assert client.get("/classifier", headers=headers).status_code == 200
        headers = {"Authorization": "Bearer sesame-open"}
        assert client.post("/predict", content=pictures[0], headers=headers).status_code == 200
    assert "sesame" not in service.announced + service.log.read_text()


@pytest.mark.slow
def test_on_an_open_address_a_key_is_generated_unless_switched_off(model_path, tmp_path):
    with running(tmp_path, model_path, "--host", "0.0.0.0") as service, service.client() as client:
        made = service.process.stdout.readline()
        key = re.search(r"key.*: (\S{20,})$", made).group(1)
        assert client.get("/classifier").status_code == 401
        assert client.get("/classifier", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with running(tmp_path, model_path, "--host", "0.0.0.0", "--no-api-key") as service, service.client() as client:
        assert client.get("/classifier").status_code == 200


def status_of(rules, path="/classifier", method="GET", http_version="1.1", **headers):
    """Return the status and the headers of the response to a request under these rules; 200 if it is let through."""
    messages = []

    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def send(message):
        messages.append(message)

    pairs = [(name.lower().replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "http_version": http_version, "headers": pairs}
    asyncio.run(with_access_control(answer, rules)(scope, None, send))
    return messages[0]["status"], {name.decode(): value.decode() for name, value in messages[0]["headers"]}


def is_answered(rules, **request):
    status, _ = status_of(rules, **request)
    return status == 200


@pytest.mark.parametrize(("host", "address"), [("0.0.0.0", "0.0.0.0"), ("::", "::")])
def test_on_all_addresses_any_address_is_its_own_and_a_foreign_name_is_not(host, address):
    rules = rules_for(host, address, [], [], "")
    name = socket.gethostname()
    for own in ("10.1.2.3", "10.1.2.3:8000", "[fe80::1]:8000", "0.0.0.0:80", "localhost.", name, f"{name.upper()}.:80"):
        assert is_answered(rules, host=own), own
    for foreign in (
        "rebound.example",
        "10.1.2.3.nip.io",
        "10.1.2.3.4",
        "1.2.3",
        "0x7f.1",
        "a:b",
        "[x]",
        "::1",
        "",
        "[]",
    ):
        assert status_of(rules, host=foreign)[0] == 421, foreign
        assert status_of(rules, host="10.1.2.3", origin=f"http://{foreign}")[0] == 403, foreign
    assert is_answered(rules, host="10.1.2.3:8000", origin="http://10.1.2.3:8000")


def test_on_one_address_only_that_one_and_the_machines_names_are_its_own():
    rules = rules_for("digits", "10.1.2.3", ["digits.example."], [], "")
    for own in ("10.1.2.3", "digits", "digits.example", "127.0.0.1", socket.gethostname()):
        assert is_answered(rules, host=own), own
    assert status_of(rules, host="10.1.2.4")[0] == 421
    on_loopback = rules_for("127.0.0.1", "127.0.0.1", [], [], "")
    assert status_of(on_loopback, host="10.1.2.3")[0] == 421


def test_health_is_told_under_any_host_and_nothing_else_is():
    rules = AccessRules(api_key="sesame-open")
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert is_answered(rules, path=path, host="pod.cluster.example:8000")
        assert status_of(rules, path=path, host="localhost", origin=STRANGER)[0] == 403
    for path in ("/", "/classifier", "/v2/health/live/", "/v2/models/digits/ready"):
        assert status_of(rules, path=path, host="pod.cluster.example")[0] == 421


def test_http_1_0_needs_no_host(service):
    assert raw_status(service.send_raw(b"GET /classifier HTTP/1.0\r\n\r\n")) == 200
    assert raw_status(service.send_raw(b"GET /classifier HTTP/1.0\r\nHost: rebound.example\r\n\r\n")) == 421


PREFLIGHT = {"method": "OPTIONS", "access_control_request_method": "POST"}


def test_a_site_that_is_allowed_may_ask_first_and_read_every_answer():
    rules = AccessRules(origins=(FRIEND,), api_key="sesame-open")
    status, headers = status_of(
        rules, host="localhost", origin=FRIEND, access_control_request_headers="authorization,content-type", **PREFLIGHT
    )
    assert status == 200
    assert headers["access-control-allow-origin"] == FRIEND
    assert headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in headers["access-control-allow-methods"]
    for authorization, expected in (("Bearer sesame-open", 200), ("bearer sesame-open", 200), ("Bearer wrong", 401)):
        status, headers = status_of(rules, host="localhost", origin=FRIEND, authorization=authorization)
        assert (status, headers["access-control-allow-origin"]) == (expected, FRIEND)
        assert "Inference-Header-Content-Length" in headers["access-control-expose-headers"]
        assert "Origin" in headers["vary"]
        assert "access-control-allow-credentials" not in headers


def test_a_site_that_is_not_allowed_is_refused_beside_one_that_is():
    rules = AccessRules(origins=(FRIEND,))
    for origin in (STRANGER, "http://friend.example", "https://friend.example:8443", f"{FRIEND}.evil.example", "null"):
        assert status_of(rules, host="localhost", origin=origin)[0] == 403, origin
        status, headers = status_of(rules, host="localhost", origin=origin, **PREFLIGHT)
        assert (status, "access-control-allow-origin" in headers) == (403, False), origin
    assert status_of(rules, host="friend.example")[0] == 421
    status, headers = status_of(rules, host="localhost")
    assert (status, headers["vary"]) == (200, "Origin")


def test_every_site_may_be_allowed_but_not_every_host():
    rules = AccessRules(origins=("*",))
    for origin in (STRANGER, "null"):
        status, headers = status_of(rules, host="localhost", origin=origin)
        assert (status, headers["access-control-allow-origin"]) == (200, "*")
    assert status_of(rules, host="rebound.example", origin=STRANGER)[0] == 421


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Friend.example/", "https://friend.example"),
        ("https://friend.example:443", "https://friend.example"),
        ("http://friend.example:443", "http://friend.example:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "*"),
        ("null", "null"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(text, origin):
    assert parse_origin(text) == origin


@pytest.mark.parametrize("text", ["", "friend.example", "https://", "https://a/b", "https://*.example", "//a", "a b"])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(SettingsError, match="expected scheme and host"):
        parse_origin(text)


class BlankPage(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def other_site():
    """Serve a blank page on another port, which makes it another site; gives its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BlankPage) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


SEND_AS_FORM = """async ([url, picture]) => {
    const headers = {Authorization: "Bearer sesame-open"};
    const body = new FormData();
    body.append("file", await (await fetch(picture)).blob());
    const response = await fetch(`${url}/predict`, {method: "POST", headers, body}).catch((error) => error);
    return response.ok ? (await response.json()).predictions.length : String(response);
}"""


@pytest.mark.slow
def test_a_page_of_an_allowed_site_uses_the_service_in_a_browser(model_path, tmp_path, pictures):
    answers = []
    with other_site() as allowed, other_site() as stranger, chromium() as browser:
        options = ("--api-key", "sesame-open", "--allow-origin", allowed)
        with running(tmp_path, model_path, *options) as service:
            for site in (allowed, stranger):
                page = browser.new_page()
                page.goto(site)
                answers.append(page.evaluate(SEND_AS_FORM, [service.url, as_data_url(pictures[0])]))
    assert answers == [1, "TypeError: Failed to fetch"]


def as_data_url(picture):
    return f"data:image/png;base64,{b64encode(picture).decode()}"
