"""Reads the bodies of requests within their limits of size and time; does not know what is in them."""

import asyncio
import sys
from types import TracebackType
from typing import Any

from starlette.requests import Request

from .errors import Refusal
from .limits import MIB, Limits

CLOSE = {"Connection": "close"}  # after a body that was not read to its end nothing else can follow
DRAINED = 4  # times the largest body: so much more is read and dropped, since many clients hear only after sending


class Bodies:
    """Reads bodies, and counts how many bytes of them are held.

    Attributes:
        num_bytes: Held by all requests that are being read or answered.
    """

    def __init__(self, limits: Limits) -> None:
        """Keep to these limits."""
        self._limits = limits
        self.num_bytes = 0

    async def read(self, request: Request) -> "Body":
        """Return a request's body, to be held by ``with`` until it is answered.

        Raises:
            Refusal: 408 too slow, 413 too large, 415 compressed, 429 too many at once, 400 broken off.
        """
        headers = request.headers
        if "content-encoding" in headers and headers["content-encoding"] != "identity":
            raise Refusal(415, "the body is compressed; send it as it is, without Content-Encoding", CLOSE)
        announced = _announced_bytes(headers.get("content-length", ""))
        largest = self._limits.max_body_bytes
        if announced > DRAINED * largest or (announced > largest and "expect" in headers):
            raise Refusal(413, self._too_large(), CLOSE)
        body = Body(self)
        try:
            body.grow(min(announced, largest), self._limits.max_bytes_at_once)
            with _Deadline(self._limits.body_seconds):
                await self._fill(body, request)
        except BaseException:
            body.release()
            raise
        return body

    async def _fill(self, body: "Body", request: Request) -> None:
        message: Any = await request.receive()
        content = message.get("body", b"")
        if message.get("more_body"):
            content = await self._joined(content, body, request)
        elif message["type"] == "http.disconnect":
            raise Refusal(400, "the request was broken off")
        if len(content) > self._limits.max_body_bytes:
            raise Refusal(413, self._too_large(), CLOSE)
        body.content = content

    async def _joined(self, first: bytes, body: "Body", request: Request) -> bytes:
        """Read a body that comes in several pieces; of one that is too large most is dropped."""
        largest = self._limits.max_body_bytes
        pieces, size, is_more = [first], len(first), True
        while is_more:
            if size > largest:
                pieces.clear()
            if size > DRAINED * largest:
                break
            message: Any = await request.receive()
            if message["type"] == "http.disconnect":
                raise Refusal(400, "the request was broken off")
            piece, is_more = message.get("body", b""), message.get("more_body", False)
            pieces.append(piece)
            size += len(piece)
            body.grow(min(size, largest), self._limits.max_bytes_at_once)
        if size > largest:
            raise Refusal(413, self._too_large(), CLOSE)
        return b"".join(pieces)

    def _too_large(self) -> str:
        return f"the body is larger than {self._limits.max_body_bytes / MIB:.3g} MiB; send less at once"


def _announced_bytes(content_length: str) -> int:
    return int(content_length[:20]) if content_length.isascii() and content_length.isdigit() else 0


class Body:
    """One body, counted as long as it is held.

    Attributes:
        content: What was sent.
    """

    def __init__(self, bodies: Bodies) -> None:
        """Start with nothing."""
        self._bodies = bodies
        self._counted = 0
        self.content = b""

    def grow(self, num_bytes: int, most: int) -> None:
        """Count this body as so large.

        Raises:
            Refusal: All bodies together would be larger than `most`.
        """
        more = max(0, num_bytes - self._counted)
        if self._bodies.num_bytes + more > most:
            raise Refusal(429, "too much is being sent at once; try again", {"Retry-After": "1", **CLOSE})
        self._counted += more
        self._bodies.num_bytes += more

    def release(self) -> None:
        """Count it no more."""
        self._bodies.num_bytes -= self._counted
        self._counted = 0

    def __enter__(self) -> bytes:
        return self.content

    def __exit__(self, *_: object) -> None:
        self.release()


class _Deadline:
    """Breaks off what is awaited in a ``with`` block after some seconds, as a refusal."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._has_passed = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._pass)

    def _pass(self) -> None:
        self._has_passed = True
        if self._task:
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._has_passed and kind is asyncio.CancelledError:
            if sys.version_info >= (3, 11) and self._task:
                self._task.uncancel()
            raise Refusal(408, f"the body did not come within {self._seconds:g} seconds", CLOSE) from None
