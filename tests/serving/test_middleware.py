"""The access log."""

import pytest
from services import running


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
