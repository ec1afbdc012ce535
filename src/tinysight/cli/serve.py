"""The command `tinysight serve`: reads the options, opens the socket, and runs the service."""

import os
import secrets
import signal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import MissingExtraError, SettingsError, check_number
from . import console
from .options import DONE, INTERRUPTED

MIN_KEY_LENGTH = 8
KEY_BYTES = 24  # of randomness in a generated key: 192 bits, which cannot be guessed
API_KEY_VARIABLE = "TINYSIGHT_API_KEY"


def _option(panel: str, help_text: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=panel, **settings)


ServedClassifierArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CLASSIFIER]",
        help="A model.onnx written by train. Without it, the built-in digit classifier is served.",
    ),
]
HostOption = Annotated[
    str, _option("Server", "Address to listen on. 0.0.0.0 listens on all addresses of this machine.")
]
PortOption = Annotated[int, _option("Server", "Port to listen on. 0 chooses a free one.")]
NameOption = Annotated[
    str | None,
    _option("Server", "Name of the classifier in paths and responses. By default it comes from the file's path."),
]
LogOption = Annotated[
    bool, _option("Server", "Log each request as a line of JSON on standard error.", "--log/--no-log")
]
AllowHostOption = Annotated[
    list[str] | None,
    _option(
        "Access",
        "Host name by which clients may call the service, beside its addresses. Repeat the option for several names.",
    ),
]
AllowOriginOption = Annotated[
    list[str] | None,
    _option(
        "Access",
        "Site whose web pages may call the service, such as https://digits.example. * allows every site. Repeat the "
        "option for several sites.",
    ),
]
ApiKeyOption = Annotated[
    str | None,
    _option(
        "Access",
        "Key that clients must send. Better set the environment variable: other users see a command's options.",
        envvar=API_KEY_VARIABLE,
    ),
]
NoApiKeyOption = Annotated[
    bool, _option("Access", "Answer without a key, also on an address that others can reach.", "--no-api-key")
]
MaxBodyOption = Annotated[float, _option("Limits", "Largest body of a request, in MiB. Larger ones get 413.")]
MaxPixelsOption = Annotated[float, _option("Limits", "Largest picture, in megapixels. Larger ones get 422.")]
MaxWaitingOption = Annotated[
    int, _option("Limits", "Number of pictures that may wait to be predicted. Further ones get 429.")
]


def serve(
    classifier: ServedClassifierArgument = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    name: NameOption = None,
    log: LogOption = True,
    allow_host: AllowHostOption = None,
    allow_origin: AllowOriginOption = None,
    api_key: ApiKeyOption = None,
    no_api_key: NoApiKeyOption = False,
    max_body: MaxBodyOption = 16.0,
    max_pixels: MaxPixelsOption = 16.0,
    max_waiting: MaxWaitingOption = 256,
) -> int:
    """Serve a classifier over HTTP: drawing page, predictions, Open Inference Protocol.

    The drawing page is at /, the list of all routes at /openapi.json.

    An address that other machines can reach needs an API key. Without --api-key, one is generated and shown.
    """
    # Check options before anything is loaded
    check_number("port", port, 0, 65_535)
    if name and "/" in name:
        raise SettingsError(f"the name is {name!r}; expected one without /, since it is one part of a path")
    key = _choose_key(host, api_key, no_api_key)
    try:
        from ..serving.access_control import parse_origin, rules_for
        from ..serving.app import Service
        from ..serving.limits import BODY_MIB, MEGAPIXEL, MIB, PICTURE_MEGAPIXELS, Limits
        from ..serving.server import listen, run
    except ImportError as error:
        raise MissingExtraError("serving", "serve") from error
    from ..classifier import Classifier

    # Check the limits before the conversion to whole numbers, which fails on NaN and infinity.
    check_number("largest body in MiB", max_body, *BODY_MIB)
    check_number("largest picture in megapixels", max_pixels, *PICTURE_MEGAPIXELS)
    origins = list(map(parse_origin, allow_origin or ()))
    limits = Limits(max_body_bytes=int(max_body * MIB), max_pixels=int(max_pixels * MEGAPIXEL), max_waiting=max_waiting)
    loaded = Classifier.load(classifier) if classifier else Classifier.pretrained()
    name = name or _default_name(classifier)
    # Open the socket before the service starts its worker: a port in use is found first.
    with listen(host, port) as listener:
        access = rules_for(host, listener.getsockname()[0], allow_host or [], origins, key)
        service = Service(loaded, name, limits=limits, access=access, is_logging=log)
        shown_host = f"[{host}]" if ":" in host else host
        console.print_line(f"serving {name} at http://{shown_host}:{listener.getsockname()[1]}/ (Ctrl-C stops)")
        if key and not api_key:
            console.print_line(f"API key, generated for this run: {key}")
        stopped_by = run(service, listener, limits)
    return INTERRUPTED if stopped_by == signal.SIGINT else DONE


def _choose_key(host: str, api_key: str | None, no_api_key: bool) -> str:
    """Return the API key that requests must have; empty if they need none."""
    if no_api_key:
        if api_key and API_KEY_VARIABLE not in os.environ:
            raise SettingsError("both --api-key and --no-api-key are given; choose one")
        return ""
    if api_key is not None:
        if len(api_key) < MIN_KEY_LENGTH or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise SettingsError(
                f"the API key does not fit; expected {MIN_KEY_LENGTH} or more ASCII characters without spaces"
            )
        return api_key
    return "" if _is_loopback(host) else secrets.token_urlsafe(KEY_BYTES)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _default_name(classifier: Path | None) -> str:
    """Return the name of a classifier's file, or of its folder if the file is just called model."""
    if classifier is None:
        return "digits"
    return classifier.resolve().parent.name if classifier.stem == "model" else classifier.stem
