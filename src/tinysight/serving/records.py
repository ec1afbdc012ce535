"""Writes one line of JSON about each request, and about what goes wrong; does not know what was sent or answered.

Nothing that a request says gets into a line but its method, which the parser has recognised.
"""

import contextlib
import json
import logging
import sys
import time
from datetime import datetime, timezone

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics

NO_ROUTE = "none"


class Records:
    """Stands around an application, measures each request, counts it and writes its line."""

    def __init__(self, application: ASGIApp, metrics: Metrics, has_lines: bool = True) -> None:
        """Stand around an application.

        Args:
            application: What answers.
            metrics: Where requests are counted.
            has_lines: Whether a line is written about each.
        """
        self._application, self._metrics, self._has_lines = application, metrics, has_lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, and record it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        start = time.perf_counter()
        status, num_bytes = 500, 0

        async def observed(message: Message) -> None:
            nonlocal status, num_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                num_bytes += len(message.get("body", b""))
            await send(message)

        self._metrics.num_in_flight += 1
        try:
            await self._application(scope, receive, observed)
        finally:
            self._metrics.num_in_flight -= 1
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            self._metrics.count_request(route, status, seconds)
            if self._has_lines:
                _write_line(
                    f'"method":"{scope["method"]}","route":"{route}","status":{status},'
                    f'"milliseconds":{1000 * seconds:.2f},"bytes":{num_bytes}'
                )


def _write_line(members: str) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    with contextlib.suppress(OSError, ValueError):  # where nobody reads any more, answering goes on
        sys.stderr.write(f'{{"time":"{now}",{members}}}\n')


class _LineHandler(logging.Handler):
    """Writes what the server logs."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message = f"{message.strip()}: {_where(record.exc_info[1])}"
        _write_line(f'"level":"{record.levelname.lower()}","message":{json.dumps(message)}')


def _where(error: BaseException) -> str:
    """Tell an error's type and place, not its text, which may hold what a user sent."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"


def write_warnings_as_lines() -> None:
    """Have the server's own warnings and errors written in the same way."""
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = [_LineHandler(logging.WARNING)]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
