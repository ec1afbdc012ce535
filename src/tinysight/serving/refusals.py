"""What the service says no with: a status and one line, as JSON; does not know why."""

import json
from collections.abc import Mapping

from starlette.responses import Response

JSON = "application/json"


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
