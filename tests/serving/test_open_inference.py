"""The Open Inference Protocol, with Triton's client and with requests made by hand."""

import json

import numpy as np
import pytest
from services import assert_error, running

from tinysight.classifier import Classifier
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.preprocessing.framing import Framing

INFER = "/v2/models/digits/infer"


@pytest.fixture(scope="module")
def images(trained):
    return np.ascontiguousarray(trained.images.images[:5])


@pytest.fixture
def triton(service):
    http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed; see the extra dev")
    client = http.InferenceServerClient(f"127.0.0.1:{service.port}")
    yield client
    client.close()


def infer_body(images, **changes):
    tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.tolist(), **changes}
    return {"inputs": [tensor]}


def test_a_client_of_the_protocol_finds_the_model(triton, service, classifier):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("digits")
    assert triton.is_model_ready("digits", "1")
    assert not triton.is_model_ready("letters")
    assert not triton.is_model_ready("digits", "2")
    assert triton.get_server_metadata()["name"] == "tinysight"
    for version in ("", "1"):
        assert triton.get_model_metadata("digits", version) == {
            "name": "digits",
            "versions": ["1"],
            "platform": "onnx_onnxv1",
            "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 28, 28]}],
            "outputs": [
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(classifier.class_names)]},
            ],
        }


@pytest.mark.parametrize("sends_bytes", [True, False])
@pytest.mark.parametrize("takes_bytes", [True, False, None])
def test_a_client_of_the_protocol_gets_probabilities(triton, classifier, images, sends_bytes, takes_bytes):
    from tritonclient.http import InferInput, InferRequestedOutput

    put = InferInput("images", list(images.shape), "UINT8")
    put.set_data_from_numpy(images, binary_data=sends_bytes)
    wanted = None if takes_bytes is None else [InferRequestedOutput("probabilities", binary_data=takes_bytes)]
    result = triton.infer("digits", [put], outputs=wanted, request_id="seven", model_version="1")
    answer = result.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("seven", "digits", "1")
    probabilities = result.as_numpy("probabilities")
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, classifier.probabilities(images), atol=1e-6)


def test_a_client_of_the_protocol_gets_errors_that_say_what_is_wrong(triton, images):
    from tritonclient.http import InferInput, InferRequestedOutput
    from tritonclient.utils import InferenceServerException

    def ask(name="images", shape=images.shape, datatype="UINT8", output="probabilities", model="digits"):
        put = InferInput(name, list(shape), datatype)
        put.set_data_from_numpy(np.zeros(shape, np.uint8 if datatype == "UINT8" else np.float32))
        return triton.infer(model, [put], outputs=[InferRequestedOutput(output)])

    for changes, status, words in (
        ({"name": "pixels"}, "400", "expected 'images'"),
        ({"shape": (5, 28, 27)}, "400", "[number of images, 28, 28]"),
        ({"shape": (28, 28)}, "400", "is [28, 28]; expected [number of images, 28, 28]"),
        ({"shape": (3, 28, 28, 1)}, "400", "is [3, 28, 28, 1]; expected [number of images, 28, 28]"),
        ({"datatype": "FP32"}, "400", "expected UINT8"),
        ({"output": "labels"}, "400", "expected 'probabilities'"),
        ({"shape": (1025, 28, 28)}, "413", "1,024"),
        ({"model": "letters"}, "404", "'digits'"),
    ):
        with pytest.raises(InferenceServerException) as error:
            ask(**changes)
        assert error.value.status() == status
        assert words in error.value.message()


def test_the_datatype_is_checked_before_the_shape(client):
    files = {"name": "images", "shape": [1], "datatype": "BYTES", "data": ["QUJD"]}
    assert_error(client.post(INFER, json={"inputs": [files]}), 400, '"BYTES"; expected UINT8', "/predict")


def test_a_long_shape_is_shown_shortened(client, images):
    for shape, words in (([1] * 50_000, "[1, 1, 1, 1, 1, 1, 1, 1, …];"), ([[[28]]], "list;"), ({"a": 1}, "dict;")):
        assert_error(client.post(INFER, json=infer_body(images, shape=shape)), 400, f"the shape of 'images' is {words}")


def test_data_may_be_flat_or_nested(client, classifier, images):
    for data in (images.tolist(), images.ravel().tolist()):
        answer = client.post(INFER, json=infer_body(images, data=data)).json()
        (output,) = answer["outputs"]
        assert output["shape"] == [5, len(classifier.class_names)]
        found = np.array(output["data"], np.float32).reshape(output["shape"])
        np.testing.assert_allclose(found, classifier.probabilities(images), atol=1e-6)
        assert "id" not in answer


def test_an_outputs_own_parameter_overrides_the_requests(client, images):
    for own, is_binary in ((None, True), (True, True), (False, False)):
        outputs = [{"name": "probabilities", **({} if own is None else {"parameters": {"binary_data": own}})}]
        body = {**infer_body(images), "outputs": outputs, "parameters": {"binary_data_output": True}}
        response = client.post(INFER, json=body)
        assert ("inference-header-content-length" in response.headers) == is_binary


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"inputs": 7}',
        b'{"inputs": []}',
        b'{"inputs": [7]}',
        b'{"inputs": [{}]}',
    ],
)
def test_bodies_that_are_not_a_request_get_400(client, body):
    assert_error(client.post(INFER, content=body), 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [5, 28]},
        {"shape": [-1, 28, 28]},
        {"shape": [5.0, 28, 28]},
        {"shape": [True, 28, 28]},
        {"shape": None},
        {"datatype": "uint8"},
        {"datatype": ["UINT8"]},
        {"data": None},
        {"data": "AAAA"},
        {"data": []},
        {"data": [[1, 2], [3]]},
        {"data": [0] * 783},
        {"data": [256] * 5 * 784},
        {"data": [-1] * 5 * 784},
        {"data": [0.5] * 5 * 784},
        {"data": [True] * 5 * 784},
        {"data": [True, *[1] * (5 * 784 - 1)]},
        {"data": [[[0] * 28] * 28] * 4 + [[[0] * 28] * 27 + [[0] * 27 + [False]]]},
        {"data": [10**30] * 5 * 784},
        {"data": ["7"] * 5 * 784},
        {"data": [[[]]]},
        {"parameters": 7},
        {"parameters": {"binary_data_size": 3920}},
        {"parameters": {"binary_data_size": "3920"}},
    ],
)
def test_tensors_that_do_not_fit_get_400(client, images, changes):
    assert_error(client.post(INFER, json=infer_body(images, **changes)), 400)


@pytest.mark.parametrize("length", ["-1", "x", "999999", "9" * 30, "10", "²"])
def test_wrong_lengths_of_the_json_get_400(client, images, length):
    text = json.dumps(infer_body(images, data=None, parameters={"binary_data_size": images.nbytes})).encode()
    headers = {"Inference-Header-Content-Length": length.encode()}
    assert_error(client.post(INFER, content=text + images.tobytes(), headers=headers), 400)


def test_tensors_that_are_too_long_or_too_short_get_400(client, images):
    for size, tensor in ((3920, bytes(3919)), (3919, bytes(3919)), (3920, bytes(3921)), (0, b""), (-1, bytes(3920))):
        text = json.dumps(infer_body(images, data=None, parameters={"binary_data_size": size})).encode()
        headers = {"Inference-Header-Content-Length": str(len(text))}
        assert_error(client.post(INFER, content=text + tensor, headers=headers), 400, "3920")


def test_unknown_models_versions_and_paths_get_404(client):
    for path in ("/v2/models/digits/config", "/v2/models/letters", "/v2/models/digits/versions/2", "/v2/repository"):
        assert_error(client.get(path), 404)


@pytest.mark.slow
def test_images_in_colour_go_the_same_way(colourful_path, tmp_path):
    classifier = Classifier.load(colourful_path)
    images = np.random.default_rng(0).integers(0, 256, (3, *classifier.framing.image_shape), dtype=np.uint8)
    with running(tmp_path, colourful_path, "--name", "digits") as service, service.client() as client:
        shape = client.get("/v2/models/digits").json()["inputs"][0]["shape"]
        (output,) = client.post(INFER, json=infer_body(images)).json()["outputs"]
    assert shape == [-1, *images.shape[1:]]
    found = np.array(output["data"], np.float32).reshape(output["shape"])
    np.testing.assert_allclose(found, classifier.probabilities(images), atol=1e-6)


@pytest.fixture
def colourful_path(tmp_path):
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(8 * 6 * 3, 4)).astype(np.float32), np.zeros(4, np.float32))]
    path = tmp_path / "colourful.onnx"
    path.write_bytes(build_model(layers, ModelMetadata(tuple("abcd"), Framing("whole", 8, 6, 3))))
    return path
