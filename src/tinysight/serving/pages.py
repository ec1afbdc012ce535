"""The drawing page's files, read once and served from memory; no part of a request becomes a path."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from .answers import refusals
from .refusals import Refusal

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


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
