"""ASGI middleware: access control by host, origin and API key; and the access log."""

import contextlib
import hmac
import json
import logging
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import CLOSE, error_response
from .metrics import Metrics

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = frozenset({"/", "/v2/health/live", "/v2/health/ready"})  # need no API key
OPEN_PREFIX = "/page/"
NO_ROUTE = "none"


class AccessControl:
    """Answers only requests with a known host, a known origin and the API key.

    The checks of host and origin keep web pages of other sites away from a service on this machine. Their requests
    have an Origin header that names the other site. A site whose name resolves to this machine (DNS rebinding) has its
    own name in the Host header.
    """

    def __init__(self, application: ASGIApp, allowed_hosts: Iterable[str], api_key: str = "") -> None:
        """Wrap an application.

        Args:
            application: Answers the requests that are let through.
            allowed_hosts: Names and addresses of the service, beside the loopback ones.
            api_key: Key that requests must have; empty if they need none.
        """
        self._application = application
        self._hosts = frozenset(host.lower().strip("[]").encode() for host in (*LOOPBACK_HOSTS, *allowed_hosts))
        self._authorization = f"Bearer {api_key}".encode() if api_key else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "http" and (error := self._error(scope)):
            await error_response(error)(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _error(self, scope: Scope) -> HTTPException | None:
        host, authorization, origin, num_hosts = b"", b"", b"", 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, num_hosts = value, num_hosts + 1
            elif name == b"authorization":
                authorization = value
            elif name == b"origin":
                origin = value
        if num_hosts != 1:
            return HTTPException(400, f"the request has {num_hosts} Host headers; expected one", CLOSE)
        if _host_name(host) not in self._hosts:
            message = "the Host header names another host; call the service by its address, or start it with"
            return HTTPException(421, f"{message} --allow-host and that name", CLOSE)
        if origin and _origin_host(origin) not in self._hosts:
            message = "the request comes from a web page of another site; open the service's own page instead"
            return HTTPException(403, message, CLOSE)
        return self._api_key_error(scope["path"], authorization)

    def _api_key_error(self, path: str, authorization: bytes) -> HTTPException | None:
        if not self._authorization or path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return None
        if hmac.compare_digest(authorization, self._authorization):
            return None
        problem = "this is not the service's API key" if authorization else "an API key is needed"
        message = f"{problem}; programs send it in the header Authorization: Bearer KEY"
        return HTTPException(401, message, {"WWW-Authenticate": "Bearer", **CLOSE})


def _host_name(host: bytes) -> bytes:
    """Return a Host header's name or address, without port and brackets."""
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0].lower()
    return host.partition(b":")[0].lower()


def _origin_host(origin: bytes) -> bytes:
    try:
        return (urlsplit(origin.decode("latin-1")).hostname or "").encode("latin-1")
    except ValueError:
        return b""


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
