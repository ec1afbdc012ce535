"""Lets requests in by their host, origin and key; does not know what they ask for."""

import contextlib
import hmac
import json
import logging
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import Refusal, refusal_response
from .metrics import Metrics

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = frozenset({"/", "/v2/health/live", "/v2/health/ready"})
OPEN_BELOW = "/page/"
CLOSE = {"Connection": "close"}  # the body is not read
NO_ROUTE = "none"


class Door:
    """Stands before an application and refuses who must not come in.

    A page of another site cannot use a service on this machine: its own name in the Host header is none of ours, even
    if that name leads here, and its Origin header says where it is from.
    """

    def __init__(self, application: ASGIApp, hosts: Iterable[str], key: str = "") -> None:
        """Stand before an application.

        Args:
            application: What is behind the door.
            hosts: Names and addresses by which the service may be called, beside the loopback's.
            key: What requests must know; empty if nothing.
        """
        self._application = application
        self._hosts = frozenset(host.lower().strip("[]").encode() for host in (*LOOPBACK_HOSTS, *hosts))
        self._authorization = f"Bearer {key}".encode() if key else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)):
            await refusal_response(refusal)(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        host, authorization, origin, num_hosts = b"", b"", b"", 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, num_hosts = value, num_hosts + 1
            elif name == b"authorization":
                authorization = value
            elif name == b"origin":
                origin = value
        if num_hosts != 1:
            return Refusal(400, f"the request has {num_hosts} Host headers; expected one", CLOSE)
        if _name_of(host) not in self._hosts:
            message = "the Host header names another host; call the service by its own address or start it with"
            return Refusal(421, f"{message} --allow-host and that name", CLOSE)
        if origin and _host_of(origin) not in self._hosts:
            return Refusal(403, "the request comes from a page of another site; such pages are not answered", CLOSE)
        return self._refusal_by_key(scope["path"], authorization)

    def _refusal_by_key(self, path: str, authorization: bytes) -> Refusal | None:
        if not self._authorization or path in OPEN_PATHS or path.startswith(OPEN_BELOW):
            return None
        if hmac.compare_digest(authorization, self._authorization):
            return None
        message = "this is not the service's key; another is needed" if authorization else "a key is needed"
        return Refusal(401, message, {"WWW-Authenticate": "Bearer", **CLOSE})


def _name_of(host: bytes) -> bytes:
    """Return a Host header's name or address, without port and brackets."""
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0].lower()
    return host.partition(b":")[0].lower()


def _host_of(origin: bytes) -> bytes:
    try:
        return (urlsplit(origin.decode("latin-1")).hostname or "").encode("latin-1")
    except ValueError:
        return b""


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
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
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
