"""What the service says no with: a status and one line, as JSON; does not know why."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

JSON = "application/json"
MEANINGS = {
    400: "The request is malformed.",
    401: "A key is needed, or another one.",
    403: "The request comes from a page of another site.",
    404: "There is nothing of that name.",
    405: "There is something, but not for this method.",
    408: "The body did not come in time.",
    413: "The body is too large, or has too many pictures.",
    415: "The body is of a type that is not read.",
    421: "The Host header names another host.",
    422: "A picture or a parameter cannot be used; nothing was done.",
    429: "Too much is asked for at once; try again.",
    503: "Nothing can be named at present; try again.",
}


class Refusal(Exception):  # noqa: N818 - it is an answer, and no error of ours
    """A request is not done.

    Attributes:
        status: HTTP status, 4xx or 503.
        message: One line: what was received, what was expected, what to do.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Take the status, the line, and headers if there are any."""
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


def refusal_response(refusal: Refusal) -> Response:
    """Return the answer that tells of a refusal."""
    return Response(error_bytes(refusal.message), refusal.status, refusal.headers, JSON)


def error_bytes(message: str) -> bytes:
    """Write one line as every error of the service is written."""
    return json.dumps({"error": " ".join(message.split())}, ensure_ascii=False).encode("utf-8", "backslashreplace")


class Error(BaseModel):
    """Why a request was not done, in one line."""

    error: str


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of statuses that mean no."""
    return {status: {"model": Error, "description": MEANINGS[status]} for status in statuses}
