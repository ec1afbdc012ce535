"""Runs the service on a socket until it is told to stop; does not know routes or classifiers."""

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import uvicorn

from ..errors import ServiceError
from .app import Service
from .connections import Connection, Sweeper
from .limits import Limits
from .records import write_warnings_as_lines

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
