"""Reads the bodies of requests within limits of size and time."""

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from .errors import CLOSE
from .limits import MIB, Limits

DRAIN_FACTOR = 4  # a body too large is read and dropped up to this many times the limit: many clients read the
# response only after they have sent everything


class RequestBodies:
    """Reads bodies, and keeps the memory of all of them together within a limit.

    Attributes:
        num_bytes: Memory reserved for all bodies that are being read or answered.
    """

    def __init__(self, limits: Limits) -> None:
        """Start with nothing reserved."""
        self._limits = limits
        self.num_bytes = 0

    async def read(self, request: Request) -> "RequestBody":
        """Return a request's body; a ``with`` block over it releases its memory at the end.

        Raises:
            HTTPException: 408 too slow, 413 too large, 415 compressed, 429 too many bodies at once, 400 disconnected.
        """
        headers = request.headers
        if "content-encoding" in headers and headers["content-encoding"] != "identity":
            raise HTTPException(415, "the body is compressed; send it without Content-Encoding", CLOSE)
        announced = _announced_bytes(headers.get("content-length", ""))
        largest = self._limits.max_body_bytes
        if announced > DRAIN_FACTOR * largest or (announced > largest and "expect" in headers):
            raise self._too_large()
        body = RequestBody(self)
        try:
            body.reserve(min(announced, largest), self._limits.max_bytes_at_once)
            async with asyncio.timeout(self._limits.body_seconds):
                await self._fill(body, request)
        except TimeoutError:
            body.release()
            message = f"the body did not arrive within {self._limits.body_seconds:g} seconds; send less at once"
            raise HTTPException(408, message, CLOSE) from None
        except BaseException:
            body.release()
            raise
        return body

    async def _fill(self, body: "RequestBody", request: Request) -> None:
        message: Any = await request.receive()
        content = message.get("body", b"")
        if message.get("more_body"):
            content = await self._joined(content, body, request)
        elif message["type"] == "http.disconnect":
            raise _disconnected()
        if len(content) > self._limits.max_body_bytes:
            raise self._too_large()
        body.content = content

    async def _joined(self, first: bytes, body: "RequestBody", request: Request) -> bytes:
        """Read a body that arrives in several chunks; once it is too large, its chunks are dropped."""
        largest = self._limits.max_body_bytes
        chunks, size, is_more = [first], len(first), True
        while is_more:
            if size > largest:
                chunks.clear()
            if size > DRAIN_FACTOR * largest:
                break
            message: Any = await request.receive()
            if message["type"] == "http.disconnect":
                raise _disconnected()
            chunk, is_more = message.get("body", b""), message.get("more_body", False)
            chunks.append(chunk)
            size += len(chunk)
            body.reserve(min(size, largest), self._limits.max_bytes_at_once)
        if size > largest:
            raise self._too_large()
        return b"".join(chunks)

    def _too_large(self) -> HTTPException:
        limit = f"{self._limits.max_body_bytes / MIB:.3g} MiB"
        return HTTPException(413, f"the body is larger than {limit}; send less at once", CLOSE)


def _disconnected() -> HTTPException:
    return HTTPException(400, "the connection was closed before the whole body had arrived")


def _announced_bytes(content_length: str) -> int:
    return int(content_length[:20]) if content_length.isascii() and content_length.isdigit() else 0


class RequestBody:
    """One body, whose memory is reserved until the ``with`` block over it ends.

    Attributes:
        content: The body's bytes.
    """

    def __init__(self, bodies: RequestBodies) -> None:
        """Start empty, with nothing reserved."""
        self._bodies = bodies
        self._reserved = 0
        self.content = b""

    def reserve(self, num_bytes: int, limit: int) -> None:
        """Reserve memory for this many bytes of the body in all.

        Raises:
            HTTPException: 429 if all bodies together would need more than `limit` bytes.
        """
        more = max(0, num_bytes - self._reserved)
        if self._bodies.num_bytes + more > limit:
            message = "too many bytes are being sent by all clients together; try again in a second"
            raise HTTPException(429, message, {"Retry-After": "1", **CLOSE})
        self._reserved += more
        self._bodies.num_bytes += more

    def release(self) -> None:
        """Give the reserved memory back."""
        self._bodies.num_bytes -= self._reserved
        self._reserved = 0

    def __enter__(self) -> bytes:
        return self.content

    def __exit__(self, *_: object) -> None:
        self.release()
