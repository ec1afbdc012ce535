"""HTTP errors as JSON: ``{"error": "one line"}``, and how the OpenAPI document describes each status."""

import json
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

JSON = "application/json"
CLOSE = {"Connection": "close"}  # of an error that leaves the request's body unread: no request can follow it
STATUS_DESCRIPTIONS = {
    400: "The request is malformed.",
    401: "The API key is missing or wrong.",
    403: "The request comes from a web page of another site.",
    404: "There is nothing at this path, or no model of this name.",
    405: "This path does not take this method.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or holds too many pictures.",
    415: "The body has a media type or an encoding that is not supported.",
    421: "The Host header names another host.",
    422: "A picture or a parameter cannot be used; the whole request failed.",
    429: "The service is busy; try again.",
    503: "Pictures cannot be predicted at present; try again.",
}


class Error(BaseModel):
    """Why a request failed, in one line."""

    error: str


def error_response(error: HTTPException) -> Response:
    """Return an HTTP error as a JSON response."""
    return Response(error_bytes(error.detail), error.status_code, error.headers, JSON)


def error_bytes(message: str) -> bytes:
    """Return the JSON of an error, with the message brought to one line."""
    return json.dumps({"error": " ".join(message.split())}, ensure_ascii=False).encode("utf-8", "backslashreplace")


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return these error statuses as a route's `responses`, for the OpenAPI document."""
    return {status: {"model": Error, "description": STATUS_DESCRIPTIONS[status]} for status in statuses}
