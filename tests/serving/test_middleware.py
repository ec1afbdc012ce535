"""Access control by host, origin and API key; the access log."""

import re

import pytest
from services import assert_error, raw_status, running


def test_only_its_own_names_reach_the_service(service, client):
    for host in ("localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:8000"):
        assert client.get("/classifier", headers={"Host": host}).status_code == 200
    for host in ("elsewhere.example", "localhost.elsewhere.example", "", "127.0.0.1.nip.io:8000"):
        assert_error(client.get("/classifier", headers={"Host": host}), 421, "--allow-host")
    for hosts in (b"", b"Host: localhost\r\nHost: other\r\n"):
        assert raw_status(service.send_raw(b"GET /classifier HTTP/1.1\r\n" + hosts + b"\r\n")) == 400


def test_pages_of_other_sites_are_not_answered(client, pictures):
    for origin in ("https://elsewhere.example", "null", "http://[", "http://localhost.elsewhere.example"):
        assert_error(client.post("/predict", content=pictures[0], headers={"Origin": origin}), 403)
    own = client.post("/predict", content=pictures[0], headers={"Origin": str(client.base_url)})
    assert own.status_code == 200
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


@pytest.mark.slow
def test_each_request_is_one_log_line_without_anything_from_the_request(model_path, tmp_path, pictures):
    with running(tmp_path, model_path) as service, service.client() as client:
        response = client.post("/predict?top=2&secret=%0a%7bquery", content=pictures[0], headers={"X-Mine": "secret"})
        client.get("/secret%0aline", headers={"Authorization": "Bearer secret"})
        service.stop()
    first, second = service.log_lines()
    assert first.pop("time").endswith("+00:00")
    assert first.pop("milliseconds") > 0
    size = len(response.content)
    assert first == {"method": "POST", "route": "/predict", "status": 200, "bytes": size}
    assert (second["route"], second["status"]) == ("none", 404)
    assert "secret" not in service.log.read_text()


@pytest.mark.slow
def test_no_log_logs_nothing(model_path, tmp_path):
    with running(tmp_path, model_path, "--no-log") as service, service.client() as client:
        client.get("/")
        service.stop()
    assert service.log_lines() == []
