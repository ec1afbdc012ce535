"""The routes of the Open Inference Protocol, version 2, below ``/v2``.

Source: the REST part of the protocol, https://github.com/kserve/open-inference-protocol.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from ..classifier import Classifier
from .batching import BatchQueue
from .errors import JSON, STATUS_DESCRIPTIONS, error_responses
from .limits import Limits
from .request_body import RequestBodies
from .tensors import FP32, INPUT, OUTPUT, UINT8, parse_inference_request, write_inference_response

VERSION = "1"
HEADER_LENGTH = "Inference-Header-Content-Length"

# The models below describe the routes in the OpenAPI document, under the protocol's own names. The JSON of a request
# is read by `tensors`; tests validate requests and responses against the models.


class ServerMetadata(BaseModel):
    """The server's name, version and extensions of the protocol."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the server runs."""

    live: bool


class Ready(BaseModel):
    """Whether the server can answer inference requests."""

    ready: bool


class ModelReady(Ready):
    """Whether the model can answer inference requests."""

    name: str


class TensorMetadata(BaseModel):
    """Name, datatype and shape of an input or output."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The classifier as a model with an input and an output."""

    model_config = ConfigDict(protected_namespaces=())
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class RequestInput(BaseModel):
    """Images of the network's input size, in `data` or as bytes that follow the JSON."""

    name: Literal["images"]
    datatype: Literal["UINT8"]
    shape: list[int] = Field(description="[number of images, height, width], and 3 if in colour.", min_length=3)
    data: list[Any] | None = Field(None, description="Whole numbers from 0 to 255, flat or nested in the shape.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="binary_data_size: length of the bytes.")


class RequestOutput(BaseModel):
    """The output that is wanted."""

    name: Literal["probabilities"]
    parameters: dict[str, Any] = Field(default_factory=dict, description="binary_data: whether as bytes.")


class InferenceRequest(BaseModel):
    """Images whose probabilities are wanted."""

    id: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict, description="binary_data_output: whether as bytes.")
    inputs: list[RequestInput] = Field(min_length=1, max_length=1)
    outputs: list[RequestOutput] = Field(default_factory=list, max_length=1)


class ResponseOutput(TensorMetadata):
    """Probabilities, in `data` or as bytes that follow the JSON."""

    data: list[float] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferenceResponse(BaseModel):
    """The probability of each class for each image."""

    model_config = ConfigDict(protected_namespaces=())
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[ResponseOutput]


def _only(value: str) -> WithJsonSchema:
    """Have the OpenAPI document say that a parameter has this value only; any other gets 404."""
    return WithJsonSchema({"type": "string", "enum": [value]})


Version = Annotated[str, _only(VERSION)]
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/InferenceRequest"}}, **BINARY},
    }
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": InferenceResponse, "content": BINARY},
    **error_responses(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 503),
}


def inference_routes(
    classifier: Classifier, name: str, queue: BatchQueue, bodies: RequestBodies, limits: Limits
) -> APIRouter:
    """Return all routes below `/v2`."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    _add_server_routes(router, queue)
    _add_model_routes(router, classifier, name, queue)

    @router.post("/models/{model}/infer", response_class=Response, responses=RESPONSES, openapi_extra=REQUEST_BODY)
    @router.post(
        "/models/{model}/versions/{version}/infer",
        response_class=Response,
        responses=RESPONSES,
        openapi_extra=REQUEST_BODY,
        operation_id="infer_version",
    )
    async def infer(request: Request, model: Annotated[str, _only(name)], version: Version = VERSION) -> Response:
        """Return the probability of each class for images of the network's input size."""
        _check_model(name, model, version)
        with await bodies.read(request) as body:
            header_length = request.headers.get(HEADER_LENGTH)
            parsed = parse_inference_request(body, header_length, classifier.framing.image_shape, limits)
            rows = await queue.probabilities(parsed.images)
        content, length = write_inference_response(parsed, rows, name, VERSION)
        if length is None:
            return Response(content, media_type=JSON)
        return Response(content, headers={HEADER_LENGTH: str(length)}, media_type="application/octet-stream")

    return router


def _add_server_routes(router: APIRouter, queue: BatchQueue) -> None:
    errors = error_responses(400, 403, 421)

    @router.get("", responses={200: {"model": ServerMetadata}, **errors, **error_responses(401)})
    async def show_server() -> JSONResponse:
        """Return the server's name and version."""
        return JSONResponse({"name": "tinysight", "version": __version__, "extensions": ["binary_tensor_data"]})

    @router.get("/health/live", responses={200: {"model": Live}, **errors})
    async def show_whether_live() -> JSONResponse:
        """Return whether the server runs."""
        return JSONResponse({"live": True})

    @router.get("/health/ready", responses={**_readiness(Ready), **errors})
    async def show_whether_ready() -> JSONResponse:
        """Return whether the server can answer inference requests."""
        return _readiness_response({}, queue.is_ready)


def _add_model_routes(router: APIRouter, classifier: Classifier, name: str, queue: BatchQueue) -> None:
    # The model's description does not change while it is served
    shape = [-1, *classifier.framing.image_shape]
    metadata = {
        "name": name,
        "versions": [VERSION],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": INPUT, "datatype": UINT8, "shape": shape}],
        "outputs": [{"name": OUTPUT, "datatype": FP32, "shape": [-1, len(classifier.class_names)]}],
    }
    errors = error_responses(400, 401, 403, 404, 421, 422)

    # Each route exists with and without a version
    @router.get("/models/{model}", responses={200: {"model": ModelMetadata}, **errors})
    @router.get(
        "/models/{model}/versions/{version}",
        responses={200: {"model": ModelMetadata}, **errors},
        operation_id="show_model_version",
    )
    async def show_model(model: Annotated[str, _only(name)], version: Version = VERSION) -> JSONResponse:
        """Return the model's input and output."""
        _check_model(name, model, version)
        return JSONResponse(metadata)

    @router.get("/models/{model}/ready", responses={**_readiness(ModelReady), **errors})
    @router.get(
        "/models/{model}/versions/{version}/ready",
        responses={**_readiness(ModelReady), **errors},
        operation_id="show_whether_model_version_is_ready",
    )
    async def show_whether_model_is_ready(
        model: Annotated[str, _only(name)], version: Version = VERSION
    ) -> JSONResponse:
        """Return whether the model can answer inference requests."""
        _check_model(name, model, version)
        return _readiness_response({"name": name}, queue.is_ready)


def _readiness(model: type[Ready]) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a readiness route, whose 503 has the same body as its 200."""
    return {200: {"model": model}, 503: {"model": model, "description": STATUS_DESCRIPTIONS[503]}}


def _readiness_response(members: dict[str, str], is_ready: bool) -> JSONResponse:
    return JSONResponse({**members, "ready": is_ready}, 200 if is_ready else 503)


def _check_model(name: str, model: str, version: str) -> None:
    if model != name:
        raise HTTPException(404, f"there is no model of this name; the model served here is '{name}'")
    if version != VERSION:
        raise HTTPException(404, f"'{name}' has no such version; its only version is {VERSION}")
