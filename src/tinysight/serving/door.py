"""Lets requests in by their host, origin and key; does not know what they ask for."""

import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from .refusals import Refusal, refusal_response

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = frozenset({"/", "/v2/health/live", "/v2/health/ready"})
OPEN_BELOW = "/page/"
CLOSE = {"Connection": "close"}  # the body is not read


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
