"""Puts the service together from its routes, its door and its records; does not know sockets or signals."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as PROMETHEUS_TEXT
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import __version__
from ..classifier import Classifier
from .batching import Batches
from .errors import JSON, Refusal, refusal_response, refusals
from .limits import Limits
from .metrics import Metrics
from .middleware import Door, Records
from .open_inference import inference_routes
from .predict_routes import add_prediction_routes
from .request_body import Bodies


async def _refuse(_: Request, refusal: Any) -> Response:
    return refusal_response(refusal)


async def _explain(_: Request, error: Any) -> Response:
    """Answer what the framework itself refuses: unknown paths and methods."""
    known = {404: "there is nothing at this path; /openapi.json lists all there is"}
    allowed = (error.headers or {}).get("Allow", "")
    known[405] = f"this path does not take that method; it takes {allowed}"
    return refusal_response(Refusal(error.status_code, known.get(error.status_code, error.detail), error.headers))


async def _explain_parameters(_: Request, error: Any) -> Response:
    told = "; ".join(f"parameter {found['loc'][-1]}: {found['msg']}" for found in error.errors()[:3])
    return refusal_response(Refusal(422, told))


async def _apologise(_: Request, error: Exception) -> Response:
    return refusal_response(Refusal(500, f"unexpected {type(error).__name__}; please report it"))


TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


class Service:
    """A classifier as an ASGI application.

    Attributes:
        application: What a server runs.
        api: The FastAPI application inside, which knows its OpenAPI document.
    """

    def __init__(
        self,
        classifier: Classifier,
        name: str,
        *,
        limits: Limits | None = None,
        key: str = "",
        hosts: Iterable[str] = (),
        has_lines: bool = True,
    ) -> None:
        """Put a service together.

        Args:
            classifier: What is served.
            name: What it is called.
            limits: What is taken on at most.
            key: What requests must know; empty if nothing.
            hosts: Names by which the service may be called, beside the loopback's.
            has_lines: Whether a line is written about each request.
        """
        limits = limits or Limits()
        metrics, bodies = Metrics(), Bodies(limits)
        self._batches = Batches(classifier, limits, metrics.count_batch)
        self.api = _api()
        add_prediction_routes(self.api, classifier, name, self._batches, bodies, limits)
        self.api.include_router(inference_routes(classifier, name, self._batches, bodies, limits))
        self.api.include_router(page_routes())
        _add_what_tells_of_the_service(self.api, metrics)
        self.application: ASGIApp = Records(Door(_with_head(self.api), hosts, key), metrics, has_lines)

    def close(self) -> None:
        """End what runs beside the server; what waits is answered first."""
        self._batches.close()


def _api() -> FastAPI:
    return FastAPI(
        title="Tinysight",
        version=__version__,
        description="A small image classifier as a service.",
        openapi_url=None,  # it is a route like others; see below
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            Refusal: _refuse,
            HTTPException: _explain,
            RequestValidationError: _explain_parameters,
            Exception: _apologise,
        },
    )


def _add_what_tells_of_the_service(api: FastAPI, metrics: Metrics) -> None:
    no = refusals(400, 401, 403, 421)
    text = {"description": "The counts.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    document = {"description": "This document.", "content": {JSON: {"schema": {"type": "object"}}}}

    @api.get("/metrics", response_class=Response, responses={200: text, **no}, tags=["service"])
    async def show_metrics() -> Response:
        """Counts for Prometheus."""
        return Response(metrics.as_text(), media_type=PROMETHEUS_TEXT)

    @api.get("/openapi.json", responses={200: document, **no}, tags=["service"])
    async def show_document() -> JSONResponse:
        """What can be asked, and what is answered."""
        return JSONResponse(api.openapi())


def _with_head(api: FastAPI) -> ASGIApp:
    """Have HEAD answered as GET is; the server leaves the body out."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "HEAD":
            await api(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            await api(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for the records

    return answer


def page_routes() -> APIRouter:
    """Return the routes of the page's files."""
    folder = files("tinysight") / "page"
    contents = {file.name: (file.read_bytes(), _type_of(file.name)) for file in folder.iterdir() if _type_of(file.name)}
    router = APIRouter(tags=["page"])

    @router.get("/", response_class=Response, responses={200: _described("text/html"), **refusals(400, 403, 421)})
    async def show_page(request: Request) -> Response:
        """The drawing page."""
        return _response("index.html")

    @router.get(
        "/page/{file}", response_class=Response, responses={200: _described("*/*"), **refusals(400, 403, 404, 421)}
    )
    async def show_file(file: str) -> Response:
        """A file of the drawing page."""
        if file not in contents:
            raise Refusal(404, "the page has no such file")
        return _response(file)

    def _response(name: str) -> Response:
        content, kind = contents[name]
        return Response(content, media_type=kind)

    return router


def _type_of(name: str) -> str:
    return TYPES.get(name[name.rfind(".") :], "")


def _described(kind: str) -> dict[str, object]:
    return {"description": "The file.", "content": {kind: {"schema": {"type": "string"}}}}
