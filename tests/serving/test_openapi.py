"""The OpenAPI document: it names every route, and what it says is what happens."""

import contextlib
import warnings

import pytest

from tinysight.classifier import Classifier
from tinysight.serving.app import Service


def test_the_document_names_every_route_and_what_it_refuses(service, model_path):
    with service.client() as client:
        document = client.get("/openapi.json").json()
    inside = Service(Classifier.load(model_path), "digits", is_logging=False)
    inside.close()
    assert document == inside.api.openapi()
    assert set(document["paths"]) >= {"/", "/predict", "/classifier", "/metrics", "/v2", "/v2/models/{model}/infer"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            statuses = set(operation["responses"])
            assert {"200", "400", "403", "421"} <= statuses, path
            is_open = path in ("/", "/page/{file}", "/v2/health/live", "/v2/health/ready")
            assert ("401" in statuses) != is_open, path
    assert {"408", "413", "415", "422", "429"} <= set(document["paths"]["/predict"]["post"]["responses"])


def test_head_is_answered_where_get_is_and_not_in_the_document(service):
    with service.client() as client:
        for path in ("/", "/page/page.js", "/classifier", "/v2/health/live", "/v2/health/ready", "/v2/models/digits"):
            response, whole = client.head(path), client.get(path)
            assert (response.status_code, response.content) == (200, b""), path
            assert response.headers["content-length"] == whole.headers["content-length"]
        assert client.head("/predict").status_code == 405
        assert 'tinysight_requests_total{route="/v2/health/live",status="200"} 2.0' in client.get("/metrics").text
        operations = [one for path in client.get("/openapi.json").json()["paths"].values() for one in path.items()]
    assert {method for method, _ in operations} == {"get", "post"}
    assert len({operation["operationId"] for _, operation in operations}) == len(operations)


def test_pages_that_load_scripts_from_elsewhere_are_not_there(service):
    with service.client() as client:
        assert [client.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]


@pytest.mark.slow
def test_requests_made_from_the_document_are_answered_as_it_says(service):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed; see the extra dev")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable

    document = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    counted = 0
    # No schema can say what bytes are a picture, or how long a tensor must be for its shape.
    unfit = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
    for result in document.get_all_operations():
        operation = result.ok()
        for mode in schemathesis.GenerationMode:

            @settings(
                max_examples=15,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case):
                nonlocal counted
                counted += 1
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    case.call_and_validate(excluded_checks=unfit)

            with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
                ask()
    assert counted > 100
