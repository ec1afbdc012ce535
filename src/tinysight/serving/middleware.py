"""ASGI middleware for the access log, and uvicorn's own log in the same form."""

import contextlib
import json
import logging
import sys
import time
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics

NO_ROUTE = "none"


class AccessLog:
    """Measures each request, counts it in the metrics, and logs it as one line of JSON."""

    def __init__(self, application: ASGIApp, metrics: Metrics, is_logging: bool = True) -> None:
        """Wrap an application.

        Args:
            application: Answers the requests.
            metrics: Counts the requests.
            is_logging: Whether a line is logged for each request.
        """
        self._application, self._metrics, self._is_logging = application, metrics, is_logging

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, then count and log it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        start = time.perf_counter()
        status, num_bytes = 500, 0

        async def observed_send(message: Message) -> None:
            nonlocal status, num_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                num_bytes += len(message.get("body", b""))
            await send(message)

        self._metrics.num_in_flight += 1
        try:
            await self._application(scope, receive, observed_send)
        finally:
            self._metrics.num_in_flight -= 1
            seconds = time.perf_counter() - start
            # The route's pattern, not the path: a path may hold anything, and there are endlessly many.
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            self._metrics.count_request(route, status, seconds)
            if self._is_logging:
                _log_json(
                    f'"method":"{scope["method"]}","route":"{route}","status":{status},'
                    f'"milliseconds":{1000 * seconds:.2f},"bytes":{num_bytes}'
                )


def _log_json(members: str) -> None:
    """Write a line with the time and these members of a JSON object to standard error."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    with contextlib.suppress(OSError, ValueError):  # a closed standard error must not stop the service
        sys.stderr.write(f'{{"time":"{now}",{members}}}\n')


class _JsonHandler(logging.Handler):
    """Writes log records as lines of JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message = f"{message.strip()}: {_type_and_place(record.exc_info[1])}"
        _log_json(f'"level":"{record.levelname.lower()}","message":{json.dumps(message)}')


def _type_and_place(error: BaseException) -> str:
    """Return an error's type and place; its text may hold what a client sent."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"


def log_uvicorn_warnings_as_json() -> None:
    """Have uvicorn's warnings and errors logged as lines of JSON too."""
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = [_JsonHandler(logging.WARNING)]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
