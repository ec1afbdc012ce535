"""Runs the service on a socket until it is told to stop; does not know routes or classifiers."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ..errors import ServiceError
from .app import Service
from .errors import JSON, error_bytes
from .limits import Limits
from .middleware import write_warnings_as_lines

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
STOPPING = (signal.SIGINT, signal.SIGTERM)
MAX_HEAD_BYTES = 32_768  # of request line and headers
MAX_HEADERS = 100
LAST_REQUEST_SECONDS = 0.5  # in which a client that does not know yet that the service stops is still answered
PHRASES = {400: b"Bad Request", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large"}


def listen(host: str, port: int) -> socket.socket:
    """Open the socket on which the service listens; port 0 is any that is free.

    Raises:
        ServiceError: There is no such address, or the port is taken.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        listener = socket.socket(family, kind)
    except (OSError, UnicodeError):
        raise ServiceError(f"{host}: there is no such address on this machine; try --host 127.0.0.1") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        message = f"{host}, port {port}: cannot be listened on ({error.strerror}); choose another with --host or --port"
        raise ServiceError(message) from None
    return listener


def run(service: Service, listener: socket.socket, limits: Limits) -> int | None:
    """Serve until a signal says to stop; what has been asked by then is answered.

    Returns:
        The signal.
    """
    write_warnings_as_lines()
    server = Server(service, limits)
    try:
        server.run([listener])
    finally:
        service.close()
    return server.signal


class Server(uvicorn.Server):
    """The server, which keeps our limits and tells what stopped it.

    Attributes:
        signal: What stopped it.
    """

    def __init__(self, service: Service, limits: Limits) -> None:
        """Make ready to serve."""
        sweeper = Sweeper(limits.idle_seconds, 2 * limits.answer_seconds)

        async def sweep() -> None:
            sweeper.sweep(self.server_state)

        config = uvicorn.Config(
            service.application,
            http=type("LimitedConnection", (Connection,), {"max_connections": limits.max_connections}),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=HEADERS,
            timeout_keep_alive=int(limits.idle_seconds),
            timeout_graceful_shutdown=int(limits.stop_seconds),
            callback_notify=sweep,
            timeout_notify=0,
        )
        super().__init__(config)
        self.signal: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        """Stop on signals, and leave what else they mean to the caller; only the first thread gets any."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to stop; Ctrl-C pressed again gives up what is being answered."""
        self.signal = self.signal or sig
        super().handle_exit(sig, frame)


class Connection(HttpToolsProtocol):
    """One connection; says no in JSON, as all of the service does, and to what would fill the memory."""

    max_connections = Limits.max_connections
    _is_last = False  # whether the next request is the last that is answered
    _num_excess = 0  # bytes received that are no body, less what a body sent in small pieces takes around it

    def connection_made(self, transport: Any) -> None:
        """Start, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refuse(429, "too many connections are open; try again")

    def on_message_begin(self) -> None:
        """Start to count a request's headers."""
        self._num_excess = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or break off."""
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers")  # ends up in `send_400_response`

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._num_excess = 0
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._num_excess -= 2 * len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Take what came, or break off."""
        self._num_excess = max(self._num_excess, 0) + len(data)
        super().data_received(data)
        if self._num_excess > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"request line and headers are larger than {MAX_HEAD_BYTES:,} bytes")

    def send_400_response(self, msg: str) -> None:
        """Say no to what the parser cannot read."""
        self._refuse(400, "the request is not HTTP that can be read, or has too many headers")

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the request is answered as if no other protocol had been asked for."""

    def shutdown(self) -> None:
        """Close when what is asked is answered, what a client may be asking just now included."""
        self._is_last = True
        if self.is_idle:
            self.loop.call_later(LAST_REQUEST_SECONDS, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self.is_idle:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer, unless another answer is on its way, and close."""
        if self.is_idle:
            content = error_bytes(message)
            head = [b"HTTP/1.1 %d %s" % (status, PHRASES[status]), b"connection: close"]
            head += [b"content-type: " + JSON.encode(), b"content-length: %d" % len(content)]
            head += [name + b": " + value for name, value in self.server_state.default_headers]
            self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + content)
        self.transport.close()


class Sweeper:
    """Cuts connections that stand still: no timer has to be set for each request."""

    def __init__(self, idle_seconds: float, answer_seconds: float) -> None:
        """Cut what sends no request for so long, or neither sends nor takes an answer."""
        self._idle_seconds, self._answer_seconds = idle_seconds, answer_seconds
        self._seen: dict[Any, tuple[RequestResponseCycle | None, bool, float]] = {}

    def sweep(self, state: ServerState) -> None:
        """Look at all connections, to be called about once a second."""
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
