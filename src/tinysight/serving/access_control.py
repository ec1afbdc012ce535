"""Who may use the service: checks of Host, Origin and API key, and CORS for pages of other sites."""

import hmac
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import SettingsError
from .errors import CLOSE, error_response

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
HEALTH_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
OPEN_PATHS = HEALTH_PATHS | {"/"}  # need no API key
OPEN_PREFIX = "/page/"
ANY_ORIGIN, NO_ORIGIN = "*", "null"  # browsers send null for pages without an origin, such as files on a disk
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
DEFAULT_PORTS = {"http": "80", "https": "443"}
READABLE_HEADERS = (
    "Inference-Header-Content-Length",
    "Retry-After",
)  # by scripts of other sites, beside the usual ones


@dataclass(frozen=True)
class AccessRules:
    """Who may use the service.

    Attributes:
        hosts: Names and addresses of the service, beside the loopback ones.
        has_any_address: Whether every IP address in a Host or Origin header is taken for the service's own: it listens
            on all addresses of the machine, and cannot know them all.
        origins: Origins of other sites whose pages may use the service, as `parse_origin` returns them.
        api_key: Key that requests must have; empty if they need none.
    """

    hosts: tuple[str, ...] = ()
    has_any_address: bool = False
    origins: tuple[str, ...] = ()
    api_key: str = ""


def rules_for(host: str, address: str, allowed_hosts: list[str], origins: list[str], api_key: str) -> AccessRules:
    """Return the rules for a service that listens on an address.

    Args:
        host: What the user gave as the address to listen on: a name or an address.
        address: The IP address of the socket.
        allowed_hosts: Further names of the service.
        origins: Origins of other sites whose pages may use it, as `parse_origin` returns them.
        api_key: Key that requests must have; empty if they need none.
    """
    listens_on = ip_address(address)
    own_names = [] if listens_on.is_loopback else machine_names()
    hosts = (host, address, *own_names, *allowed_hosts)
    return AccessRules(hosts, listens_on.is_unspecified, tuple(origins), api_key)


def machine_names() -> list[str]:
    """Return this machine's names: the whole one, its first part, and that in the local network (multicast DNS)."""
    whole = socket.gethostname()
    first = whole.partition(".")[0]
    return [whole, first, f"{first}.local"] if first else []


def parse_origin(text: str) -> str:
    """Return an origin as browsers send it: in lower case, without a scheme's own port.

    Args:
        text: An origin such as ``https://digits.example:8443``, ``*`` for every one, or ``null``.

    Raises:
        SettingsError: It is not an origin.
    """
    if text in (ANY_ORIGIN, NO_ORIGIN):
        return text
    found = ORIGIN.fullmatch(text.strip().lower().removesuffix("/"))
    if not found:
        raise SettingsError(
            f"the allowed origin is {text!r}; expected scheme and host as in https://digits.example, with the port if "
            "the site's address has one; or * for every site"
        )
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else "")


def with_access_control(application: ASGIApp, rules: AccessRules) -> ASGIApp:
    """Wrap an application in the checks; the first one is that of host and origin.

    The API key comes last: a browser asks whether a page may send it (the preflight request of CORS) without the key,
    and a page may read the error that says that a key is missing.
    """
    controlled: ASGIApp = ApiKeyCheck(application, rules.api_key)
    if rules.origins:
        controlled = CORSMiddleware(
            controlled,
            allow_origins=rules.origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=READABLE_HEADERS,
        )
    return HostAndOriginCheck(controlled, rules)


class HostAndOriginCheck:
    """Answers only requests with a known host and a known origin.

    This keeps web pages of other sites away from a service on this machine. Their requests have an Origin header that
    names the other site. A site whose name resolves to this machine (DNS rebinding) has its own name in the Host
    header. An IP address in that header cannot have been rebound.
    """

    def __init__(self, application: ASGIApp, rules: AccessRules) -> None:
        """Wrap an application, which answers the requests that are let through."""
        self._application, self._has_any_address = application, rules.has_any_address
        self._hosts = frozenset(_plain_host(host) for host in (*LOOPBACK_HOSTS, *rules.hosts))
        self._origins = frozenset(rules.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "http" and (error := self._error(scope)):
            await error_response(error)(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _error(self, scope: Scope) -> HTTPException | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        may_lack_host = scope["http_version"] == "1.0"  # no browser sends that
        if len(hosts) != 1 and not (may_lack_host and not hosts):
            return HTTPException(400, f"the request has {len(hosts)} Host headers; expected one", CLOSE)
        if hosts and scope["path"] not in HEALTH_PATHS and not self._is_own(_host_name(hosts[0].decode("latin-1"))):
            message = "the Host header names another host; call the service by its address, or start it with"
            return HTTPException(421, f"{message} --allow-host and that name", CLOSE)
        port = _port(hosts[0].decode("latin-1")) if hosts else ""
        if not all(self._is_known_origin(origin.decode("latin-1"), port) for origin in origins if origin):
            message = "the request comes from a web page of another site; open the service's own page instead, or"
            return HTTPException(403, f"{message} start the service with --allow-origin and that site", CLOSE)
        return None

    def _is_own(self, host: str) -> bool:
        return host in self._hosts or (self._has_any_address and _is_ip_address(host))

    def _is_known_origin(self, origin: str, port: str) -> bool:
        """Tell whether an origin was allowed, or is the service's own: its host, and its port or a scheme's own."""
        if self._origins & {origin, ANY_ORIGIN}:
            return True
        return self._is_own(_origin_host(origin)) and _port(origin.partition("://")[2]) in ("", port)


class ApiKeyCheck:
    """Answers only requests with the API key; the page and the health routes need none."""

    def __init__(self, application: ASGIApp, api_key: str) -> None:
        """Wrap an application.

        Args:
            application: Answers the requests that are let through.
            api_key: The key; empty if requests need none.
        """
        self._application = application
        self._api_key = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "http" and self._api_key and (error := self._error(scope)):
            await error_response(error)(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _error(self, scope: Scope) -> HTTPException | None:
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return None
        given = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                given = value
        scheme, _, key = given.partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(key.strip(b" "), self._api_key):
            return None
        problem = "this is not the service's API key" if given else "an API key is needed"
        message = f"{problem}; programs send it in the header Authorization: Bearer KEY"
        return HTTPException(401, message, {"WWW-Authenticate": "Bearer", **CLOSE})


def _plain_host(host: str) -> str:
    """Return a name or address in lower case, without brackets and the dot that may end a whole domain name."""
    return host.lower().strip("[]").removesuffix(".")


def _host_name(host: str) -> str:
    """Return a Host header's name or address, without the port."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return _plain_host(name)


def _port(host: str) -> str:
    """Return the port in a Host header, or in what follows the scheme of an origin; empty if there is none."""
    return host.rpartition("]")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""


def _origin_host(origin: str) -> str:
    try:
        return _plain_host(urlsplit(origin).hostname or "")
    except ValueError:
        return ""


def _is_ip_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
