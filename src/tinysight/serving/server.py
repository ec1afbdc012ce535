"""Runs the service with uvicorn: socket, signals, and limits on connections and headers.

`Connection` subclasses uvicorn's protocol class, which is not part of its public API. The reason: uvicorn hands a
request to the application only when its headers are complete, so middleware cannot limit what comes before, and uvicorn
itself sets no limit there (measured in docs/design.md, "The service"). Its option `limit_concurrency` acts no earlier.
Tested with uvicorn 0.54.0; `tests/serving/test_server.py` names each internal that is used here, and says which one a
newer uvicorn lacks.
"""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ..errors import ServiceError
from .app import Service
from .errors import JSON, error_bytes
from .limits import Limits
from .middleware import log_uvicorn_warnings_as_json

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]
CAMERA_ALLOWED, CAMERA_REFUSED = (("Permissions-Policy", f"camera={who}, microphone=()") for who in ("(self)", "()"))
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
MAX_HEAD_BYTES = 32_768  # of the request line and all headers together; nginx allows as much
MAX_HEADERS = 100  # as many as Apache allows by default
ADDRESS_SHARE = 4  # one client has at most this part of all connections: a quarter
IPV6_NETWORK_BITS = 64  # all addresses of such a network may be one client's
LAST_REQUEST_SECONDS = 0.5  # when stopping: idle connections stay open so long, for requests already on their way
PHRASES = {
    400: b"Bad Request", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large", 501: b"Not Implemented",
    505: b"HTTP Version Not Supported",
}  # fmt: skip
NOT_HTTP = (400, f"the request is not valid HTTP/1.1, or has more than {MAX_HEADERS} headers")


def listen(host: str, port: int) -> socket.socket:
    """Open the socket on which the service listens.

    Args:
        host: Name or address of this machine.
        port: Port; 0 lets the system choose a free one.

    Raises:
        ServiceError: The address is not this machine's, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        listener = socket.socket(family, kind)
    except (OSError, UnicodeError):
        raise ServiceError(f"{host}: there is no such address on this machine; try --host 127.0.0.1") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        message = f"{host}, port {port}: cannot listen there ({error.strerror}); choose another with --host or --port"
        raise ServiceError(message) from None
    return listener


def run(service: Service, listener: socket.socket, limits: Limits) -> int | None:
    """Serve until a signal stops the service; requests that have arrived by then are answered.

    Returns:
        The signal's number.
    """
    log_uvicorn_warnings_as_json()
    server = Server(service, limits)
    try:
        server.run([listener])
    finally:
        service.close()
    return server.signal


class Server(uvicorn.Server):
    """Uvicorn's server with the service's limits.

    Attributes:
        signal: Number of the signal that stopped it; None while it runs.
    """

    def __init__(self, service: Service, limits: Limits) -> None:
        """Configure uvicorn for a service."""
        timeouts = ConnectionTimeouts(limits.idle_seconds, 2 * limits.answer_seconds)

        async def check_timeouts() -> None:
            timeouts.check(self.server_state)

        config = uvicorn.Config(
            service.application,
            http=type("LimitedConnection", (Connection,), {"max_connections": limits.max_connections}),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=[*HEADERS, CAMERA_ALLOWED if service.takes_photographs else CAMERA_REFUSED],
            timeout_keep_alive=int(limits.idle_seconds),
            timeout_graceful_shutdown=int(limits.stop_seconds),
            callback_notify=check_timeouts,
            timeout_notify=0,  # at each tick of uvicorn's main loop that updates its Date header, about once a second
        )
        super().__init__(config)
        self.signal: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        """Handle stop signals; unlike uvicorn's own method, do not raise them again afterwards.

        Python allows signal handlers in the main thread only; in another one this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C drops the requests that are still being answered."""
        self.signal = self.signal or sig
        super().handle_exit(sig, frame)


class Connection(HttpToolsProtocol):
    """One connection: limits its number of siblings and the size of its headers; its own errors are JSON.

    Attributes:
        max_connections: How many connections may be open.
    """

    max_connections = Limits.max_connections
    _is_in_head = False  # whether what is parsed is request line and headers
    _refusal = NOT_HTTP  # the answer to the request if the parser fails
    _is_last = False  # whether the next request is the last one that is answered
    # Bytes received that are not part of a body. Each byte of a body counts -2, which pays for the framing around it
    # even if it is sent in small chunks.
    _num_excess = 0

    def connection_made(self, transport: Any) -> None:
        """Accept the connection, or answer 429 if too many are open, in all or from one address."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._send_error(429, "too many connections are open; try again")
        elif len(self.connections) > self.max_connections // ADDRESS_SHARE and self._num_siblings > (
            self.max_connections // ADDRESS_SHARE
        ):
            self._send_error(429, "too many connections are open from this address; try again")

    @property
    def _num_siblings(self) -> int:
        """Number of connections from this one's address, itself included; 0 if it is this machine's."""
        own = _network(self.client)
        if own is None:
            return 0
        return sum(_network(getattr(one, "client", None)) == own for one in self.connections)

    def on_message_begin(self) -> None:
        """Begin a request: count the bytes of its headers from zero."""
        self._num_excess = 0
        self._is_in_head, self._refusal = True, NOT_HTTP
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, unless there are too many; trailers, which come after the body, are no headers."""
        if not self._is_in_head:
            return
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers")  # the parser fails with it, and uvicorn calls `send_400_response`

    def on_headers_complete(self) -> None:
        """Start the request, if it can be read; it is the connection's last one if the service is stopping."""
        self._num_excess = 0
        self._is_in_head = False
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            self._refusal = (505, "the service speaks HTTP/1.1")
        encodings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if encodings not in ([], [b"chunked"]):
            self._refusal = (501, "the request has a transfer encoding other than chunked; send it without")
        if self._refusal != NOT_HTTP:
            raise ValueError(self._refusal[1])  # the parser fails with it, as above
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a chunk of a body."""
        self._num_excess -= 2 * len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, unless request line and headers are too large."""
        self._num_excess = max(self._num_excess, 0) + len(data)
        super().data_received(data)
        if self._num_excess > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._send_error(431, f"request line and headers are larger than {MAX_HEAD_BYTES:,} bytes")

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser cannot read."""
        self._send_error(*self._refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a request for another protocol is answered as plain HTTP."""

    def shutdown(self) -> None:
        """Close after the current request; an idle connection is closed after `LAST_REQUEST_SECONDS`."""
        self._is_last = True
        if self.is_idle:
            self.loop.call_later(LAST_REQUEST_SECONDS, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self.is_idle:
            self.transport.close()

    def _send_error(self, status: int, message: str) -> None:
        """Send an error, unless a response is under way or an earlier one is due, and close the connection."""
        if self.transport.is_closing():
            return
        if self.is_idle or not (self.cycle.response_started or self.pipeline):
            content = error_bytes(message)
            head = [b"HTTP/1.1 %d %s" % (status, PHRASES[status]), b"connection: close"]
            head += [b"content-type: " + JSON.encode(), b"content-length: %d" % len(content)]
            head += [name + b": " + value for name, value in self.server_state.default_headers]
            self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + content)
        if not self.is_idle:  # the application learns that the rest does not come
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _network(client: tuple[str, int] | None) -> object:
    """Return the address of a client, of IPv6 the network; None if it is this machine, or not known."""
    try:
        address = ip_address((client or ("", 0))[0].partition("%")[0])
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return None
    return address if address.version == 4 else int(address) >> (128 - IPV6_NETWORK_BITS)


class ConnectionTimeouts:
    """Closes connections that make no progress; one check of all of them is cheaper than a timer for each request."""

    def __init__(self, idle_seconds: float, answer_seconds: float) -> None:
        """Set how long a connection may stay in one state.

        Args:
            idle_seconds: Without a complete request.
            answer_seconds: With a request that is being answered.
        """
        self._idle_seconds, self._answer_seconds = idle_seconds, answer_seconds
        self._seen: dict[Any, tuple[RequestResponseCycle | None, bool, float]] = {}

    def check(self, state: ServerState) -> None:
        """Close connections whose state has not changed for too long; to be called about once a second."""
        now, seen = time.monotonic(), {}
        for connection in list(state.connections):
            if not isinstance(connection, Connection):
                continue
            cycle, is_idle = connection.cycle, connection.is_idle
            before = self._seen.get(connection)
            same_since = before[2] if before and before[0] is cycle and before[1] == is_idle else now
            seen[connection] = cycle, is_idle, same_since
            if now - same_since > (self._idle_seconds if is_idle else self._answer_seconds):
                connection.transport.abort()
        self._seen = seen
