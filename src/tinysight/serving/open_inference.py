"""The routes of the Open Inference Protocol, version 2; does not know how tensors are read or images named."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from ..classifier import Classifier
from .batching import Batches
from .errors import JSON, MEANINGS, Refusal, refusals
from .limits import Limits
from .request_body import Bodies
from .tensors import FP32, INPUT, OUTPUT, UINT8, read_infer_request, write_infer_answer

VERSION = "1"
HEADER_LENGTH = "Inference-Header-Content-Length"


class ServerMetadata(BaseModel):
    """What serves."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the service runs."""

    live: bool


class Ready(BaseModel):
    """Whether the service can answer."""

    ready: bool


class ModelReady(Ready):
    """Whether the classifier can answer."""

    name: str


class TensorMetadata(BaseModel):
    """Name, type and shape of an input or output."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The classifier as a model with tensors."""

    model_config = ConfigDict(protected_namespaces=())
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(TensorMetadata):
    """Images, in `data` or as bytes behind the JSON."""

    data: list[Any] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class RequestedOutput(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferRequest(BaseModel):
    """Images whose probabilities are asked for."""

    id: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] = Field(default_factory=list, max_length=1)


class OutputTensor(TensorMetadata):
    """Probabilities, in `data` or as bytes behind the JSON."""

    data: list[float] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferAnswer(BaseModel):
    """The probabilities of each class for each image."""

    model_config = ConfigDict(protected_namespaces=())
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


def inference_routes(classifier: Classifier, name: str, batches: Batches, bodies: Bodies, limits: Limits) -> APIRouter:
    """Return all routes below `/v2`."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    _add_routes_of_the_server(router, batches)
    _add_routes_of_the_model(router, classifier, name, batches)
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    described: dict[int | str, dict[str, Any]] = {
        200: {"model": InferAnswer, "content": binary},
        **refusals(400, 401, 403, 404, 408, 413, 415, 421, 429, 503),
    }
    request_body = {
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/InferRequest"}}, **binary},
        }
    }

    @router.post("/models/{model}/infer", response_class=Response, responses=described, openapi_extra=request_body)
    @router.post(
        "/models/{model}/versions/{version}/infer",
        response_class=Response,
        responses=described,
        openapi_extra=request_body,
        operation_id="infer_version",
    )
    async def infer(request: Request, model: str, version: str = VERSION) -> Response:
        """Return the probabilities of each class for images of the network's own size."""
        _check_name(name, model, version)
        with await bodies.read(request) as body:
            header_length = request.headers.get(HEADER_LENGTH)
            asked = read_infer_request(body, header_length, classifier.framing.image_shape, limits)
            rows = await batches.probabilities(asked.images)
        content, length = write_infer_answer(asked, rows, name, VERSION)
        if length is None:
            return Response(content, media_type=JSON)
        return Response(content, headers={HEADER_LENGTH: str(length)}, media_type="application/octet-stream")

    return router


def _add_routes_of_the_server(router: APIRouter, batches: Batches) -> None:
    no = refusals(400, 403, 421)

    @router.get("", responses={200: {"model": ServerMetadata}, **no, **refusals(401)})
    async def show_server() -> JSONResponse:
        """The service's name and version."""
        return JSONResponse({"name": "tinysight", "version": __version__, "extensions": ["binary_tensor_data"]})

    @router.get("/health/live", responses={200: {"model": Live}, **no})
    async def show_whether_live() -> JSONResponse:
        """Whether the service runs."""
        return JSONResponse({"live": True})

    @router.get("/health/ready", responses={**_readiness(Ready), **no})
    async def show_whether_ready() -> JSONResponse:
        """Whether the service can answer."""
        return _readiness_response({}, batches.is_ready)


def _add_routes_of_the_model(router: APIRouter, classifier: Classifier, name: str, batches: Batches) -> None:
    shape = [-1, *classifier.framing.image_shape]
    metadata = {
        "name": name,
        "versions": [VERSION],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": INPUT, "datatype": UINT8, "shape": shape}],
        "outputs": [{"name": OUTPUT, "datatype": FP32, "shape": [-1, len(classifier.class_names)]}],
    }
    no = refusals(400, 401, 403, 404, 421)

    @router.get("/models/{model}", responses={200: {"model": ModelMetadata}, **no})
    @router.get(
        "/models/{model}/versions/{version}",
        responses={200: {"model": ModelMetadata}, **no},
        operation_id="show_model_version",
    )
    async def show_model(model: str, version: str = VERSION) -> JSONResponse:
        """The classifier's input and output."""
        _check_name(name, model, version)
        return JSONResponse(metadata)

    @router.get("/models/{model}/ready", responses={**_readiness(ModelReady), **no})
    @router.get(
        "/models/{model}/versions/{version}/ready",
        responses={**_readiness(ModelReady), **no},
        operation_id="show_whether_model_version_is_ready",
    )
    async def show_whether_model_is_ready(model: str, version: str = VERSION) -> JSONResponse:
        """Whether the classifier can answer."""
        _check_name(name, model, version)
        return _readiness_response({"name": name}, batches.is_ready)


def _readiness(model: type[Ready]) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of a question for readiness, whose status is an answer too."""
    return {200: {"model": model}, 503: {"model": model, "description": MEANINGS[503]}}


def _readiness_response(members: dict[str, str], is_ready: bool) -> JSONResponse:
    return JSONResponse({**members, "ready": is_ready}, 200 if is_ready else 503)


def _check_name(name: str, model: str, version: str) -> None:
    if model != name:
        raise Refusal(404, f"there is no model of this name; the one that is served is '{name}'")
    if version != VERSION:
        raise Refusal(404, f"there is no such version of '{name}'; there is only {VERSION}")
