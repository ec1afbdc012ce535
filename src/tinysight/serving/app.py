"""The ASGI application: routes, middleware, error handlers, and the files of the drawing page."""

from http import HTTPStatus
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as PROMETHEUS_TEXT
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import __version__
from ..classifier import Classifier
from .access_control import AccessRules, with_access_control
from .batching import MAX_BATCH, BatchQueue
from .errors import JSON, error_response, error_responses
from .limits import Limits
from .metrics import Metrics
from .middleware import AccessLog
from .open_inference import InferenceRequest, inference_routes
from .predict_routes import PredictRequest, add_predict_routes
from .request_body import RequestBodies

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


class Service:
    """A classifier as an ASGI application.

    Attributes:
        application: The ASGI application, with its middleware.
        api: The FastAPI application inside it, which has the routes and their OpenAPI document.
        takes_photographs: Whether its page may ask for the camera.
    """

    def __init__(
        self,
        classifier: Classifier,
        name: str,
        *,
        limits: Limits | None = None,
        access: AccessRules | None = None,
        is_logging: bool = True,
    ) -> None:
        """Start the worker process, and build the application.

        Args:
            classifier: The classifier that is served.
            name: The classifier's name in responses and paths.
            limits: Upper bounds; by default `Limits()`.
            access: Who may use the service; by default every program on this machine.
            is_logging: Whether a line is logged for each request.
        """
        limits = limits or Limits()
        self.takes_photographs = classifier.framing.takes_photographs
        metrics, bodies = Metrics(MAX_BATCH), RequestBodies(limits)
        self._queue = BatchQueue(classifier, limits, metrics.count_batch)
        # The routes.
        self.api = _create_api()
        add_predict_routes(self.api, classifier, name, self._queue, bodies, limits)
        self.api.include_router(inference_routes(classifier, name, self._queue, bodies, limits))
        self.api.include_router(page_routes())
        _add_metrics_and_document(self.api, metrics)
        # The middleware, from the inside out.
        controlled = with_access_control(_answer_head_as_get(self.api), access or AccessRules())
        self.application: ASGIApp = AccessLog(controlled, metrics, is_logging)

    def close(self) -> None:
        """Finish the requests that wait, and end the worker process."""
        self._queue.close()


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the schemas of the bodies that routes read themselves."""
        document = super().openapi()
        read_by_routes: Any = [(PredictRequest, "validation"), (InferenceRequest, "validation")]
        _, schemas = models_json_schema(read_by_routes, ref_template="#/components/schemas/{model}")
        document["components"]["schemas"].update(schemas["$defs"])
        return document


def _create_api() -> FastAPI:
    return _Api(
        title="Tinysight",
        version=__version__,
        description="A small image classifier as a service.",
        openapi_url=None,  # `_add_metrics_and_document` adds it as a route that the document itself lists
        docs_url=None,  # FastAPI's pages load their scripts from other sites
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            HTTPException: _http_error,
            RequestValidationError: _parameter_error,
            Exception: _unexpected_error,
        },
    )


async def _http_error(request: Request, error: Any) -> Response:
    """Answer with an error's status and detail; routing errors of the framework get a detail that helps."""
    if error.detail == HTTPStatus(error.status_code).phrase:  # as the framework raises it, without a detail
        if error.status_code == 404:
            error.detail = "there is nothing at this path; /openapi.json lists all paths"
        elif error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "").replace("GET", "GET, HEAD")
            error.headers = {"Allow": allowed}
            error.detail = f"this path does not take {request.method}; use {allowed}"
    return error_response(error)


async def _parameter_error(_: Request, error: Any) -> Response:
    problems = "; ".join(f"parameter {problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()[:3])
    return error_response(HTTPException(422, problems))


async def _unexpected_error(_: Request, error: Exception) -> Response:
    return error_response(HTTPException(500, f"unexpected {type(error).__name__}; please report it"))


def _add_metrics_and_document(api: FastAPI, metrics: Metrics) -> None:
    errors = error_responses(400, 401, 403, 421)
    text = {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    document = {"description": "This document.", "content": {JSON: {"schema": {"type": "object"}}}}

    @api.get("/metrics", response_class=Response, responses={200: text, **errors}, tags=["service"])
    async def show_metrics() -> Response:
        """Return metrics for Prometheus."""
        return Response(metrics.as_text(), media_type=PROMETHEUS_TEXT)

    @api.get("/openapi.json", responses={200: document, **errors}, tags=["service"])
    async def show_document() -> JSONResponse:
        """Return the OpenAPI document: all routes, their parameters and their responses."""
        return JSONResponse(api.openapi())


def _answer_head_as_get(application: ASGIApp) -> ASGIApp:
    """Return an application that answers HEAD as GET; the server leaves the body out."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "HEAD":
            await application(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            await application(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for the access log

    return answer


def page_routes() -> APIRouter:
    """Return the routes of the page's files, which are read once."""
    # Read all files once
    folder = files("tinysight") / "page"
    contents = {
        file.name: (file.read_bytes(), media_type)
        for file in folder.iterdir()
        if (media_type := _media_type(file.name))
    }
    # The routes look names up among them
    router = APIRouter(tags=["page"])

    @router.get(
        "/", response_class=Response, responses={200: _file_response("text/html"), **error_responses(400, 403, 421)}
    )
    async def show_page(request: Request) -> Response:
        """Return the drawing page."""
        return _response("index.html")

    @router.get(
        "/page/{file}",
        response_class=Response,
        responses={200: _file_response("*/*"), **error_responses(400, 403, 404, 421, 422)},
    )
    async def show_file(file: str) -> Response:
        """Return a file of the drawing page."""
        if file not in contents:
            raise HTTPException(404, "the page has no such file")
        return _response(file)

    def _response(name: str) -> Response:
        content, media_type = contents[name]
        return Response(content, media_type=media_type)

    return router


def _media_type(file_name: str) -> str:
    return MEDIA_TYPES.get(file_name[file_name.rfind(".") :], "")


def _file_response(media_type: str) -> dict[str, object]:
    return {"description": "The file.", "content": {media_type: {"schema": {"type": "string"}}}}
