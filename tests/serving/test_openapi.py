"""The OpenAPI document: it names every route, its references resolve, and requests and responses fit its schemas."""

import contextlib
import json
import re
import warnings
from collections import Counter

import numpy as np
import pytest

from tinysight.classifier import Classifier
from tinysight.serving.app import Service


def test_the_document_names_every_route_and_its_errors(service, model_path):
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


def count_of_live_checks(client):
    found = re.search(
        r'tinysight_requests_total\{route="/v2/health/live",status="200"\} (\S+)', client.get("/metrics").text
    )
    return float(found.group(1)) if found else 0


def test_head_is_answered_where_get_is_but_not_in_the_document(service):
    with service.client() as client:
        before = count_of_live_checks(client)
        for path in ("/", "/page/page.js", "/classifier", "/v2/health/live", "/v2/health/ready", "/v2/models/digits"):
            response, whole = client.head(path), client.get(path)
            assert (response.status_code, response.content) == (200, b""), path
            assert response.headers["content-length"] == whole.headers["content-length"]
        assert client.head("/predict").status_code == 405
        assert count_of_live_checks(client) == before + 2
        operations = [one for path in client.get("/openapi.json").json()["paths"].values() for one in path.items()]
    assert {method for method, _ in operations} == {"get", "post"}
    assert len({operation["operationId"] for _, operation in operations}) == len(operations)


def test_pages_that_load_scripts_from_elsewhere_are_not_there(service):
    with service.client() as client:
        assert [client.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


def nodes(value):
    """Yield a JSON value and all values inside it."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def test_every_reference_resolves(document):
    references = {node["$ref"] for node in nodes(document) if isinstance(node, dict) and "$ref" in node}
    assert {"#/components/schemas/InferenceRequest", "#/components/schemas/PredictRequest"} <= references
    for reference in references:
        root, *path = reference.split("/")
        assert root == "#"
        target = document
        for key in path:
            assert key in target, reference
            target = target[key]


def test_every_error_has_the_same_schema(document):
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status >= "400" and not (status == "503" and path.endswith("/ready")):
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}, (path, status)


def violations(document, schema, value):
    """Return what in a value does not fit a schema of the document."""
    jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="jsonschema-rs is not installed; see the extra dev")
    whole = {**schema, "components": document["components"]}
    return [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]


def infer_body(images):
    tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.tolist()}
    return {"id": "seven", "inputs": [tensor], "outputs": [{"name": "probabilities", "parameters": {}}]}


def test_a_response_of_every_route_fits_its_schema(client, document, pictures):
    infer = json.dumps(infer_body(np.zeros((2, 28, 28), np.uint8))).encode()
    contents = {"/predict": pictures[0], "/v2/models/{model}/infer": infer}
    contents["/v2/models/{model}/versions/{version}/infer"] = infer
    num_checked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            address = path.format(model="digits", version="1", file="page.js") + "?pixels=true&attribution=true&top=3"
            for wanted, content in ((200, contents.get(path)), (404, b""), (405, b""), (422, b""), (400, b"")):
                if wanted == 404:
                    address = address.replace("digits", "letters").replace("page.js", "nothing.js")
                response = client.request(method, address, content=content)
                media_type = response.headers["content-type"].partition(";")[0]
                described = operation["responses"][str(response.status_code)]["content"]
                assert wanted != 200 or response.status_code == 200, path
                assert media_type in described or "*/*" in described, path
                if media_type == "application/json":
                    assert violations(document, described[media_type]["schema"], response.json()) == []
                    num_checked += 1
    assert num_checked > 40


def test_models_hold_every_member_of_a_response(client, document, pictures):
    """A schema allows members that it does not name, so their names are compared too."""
    schemas = document["components"]["schemas"]
    (prediction,) = client.post("/predict?pixels=true&attribution=true", content=pictures[0]).json()["predictions"]
    assert set(prediction) == set(schemas["PicturePrediction"]["properties"])
    assert set(prediction["ranking"][0]) == set(schemas["RankedClass"]["properties"])
    assert set(prediction["attribution"]) == set(schemas["PixelAttribution"]["properties"])
    description = client.get("/classifier").json()
    assert set(description) == set(schemas["ClassifierDescription"]["properties"])
    assert set(description["framing"]) == set(schemas["Framing"]["properties"])
    inferred = client.post("/v2/models/digits/infer", json=infer_body(np.zeros((1, 28, 28), np.uint8))).json()
    assert set(inferred) == set(schemas["InferenceResponse"]["properties"])
    assert set(inferred["outputs"][0]) | {"parameters"} == set(schemas["ResponseOutput"]["properties"])


def test_requests_that_are_answered_fit_their_schema(client, document):
    body = infer_body(np.zeros((1, 28, 28), np.uint8))
    assert client.post("/v2/models/digits/infer", json=body).status_code == 200
    schema = {"$ref": "#/components/schemas/InferenceRequest"}
    assert violations(document, schema, body) == []
    body["inputs"][0]["datatype"] = "FP32"
    assert violations(document, schema, body)
    assert client.post("/v2/models/digits/infer", json=body).status_code == 400


@pytest.mark.slow
def test_generated_requests_are_answered_as_the_document_says(service):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed; see the extra dev")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable

    document = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    answered = Counter()  # requests by path, media type and status
    # No schema can say what bytes are a picture, or how long a tensor must be for its shape.
    unfit = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
    for result in document.get_all_operations():
        operation = result.ok()
        for mode in schemathesis.GenerationMode:

            @settings(
                max_examples=30,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    response = case.call_and_validate(excluded_checks=unfit)
                answered[case.path, response.request.headers.get("Content-Type"), response.status_code] += 1

            with contextlib.suppress(Unsatisfiable):  # a route without parameters has no wrong requests
                ask()
    assert answered.total() > 100
    # JSON got as far as the code that reads it. A body that is not JSON at all, or not an object, gets 400 as well.
    for path in ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"):
        assert answered[path, "application/json", 400] >= 10, answered
    assert answered["/predict", "application/json", 422] >= 10, answered
