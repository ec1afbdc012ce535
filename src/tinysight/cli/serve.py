"""The command `tinysight serve`: parses, opens the socket, says where; does not know how requests are answered."""

import os
import secrets
import signal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from ..errors import MissingExtraError, SettingsError, check_number
from . import console
from .options import DONE, INTERRUPTED

MIN_KEY_LENGTH = 8


def serve(
    classifier: Annotated[
        Path | None,
        typer.Argument(metavar="[CLASSIFIER]", help="A model.onnx that train wrote; default: the digits inside."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 is any that is free.")] = 8000,
    name: Annotated[str | None, typer.Option(help="What the classifier is called; default: by its path.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name by which the service may be called; may be repeated.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="TINYSIGHT_API_KEY", help="What requests must know; better set in the environment."),
    ] = None,
    no_api_key: Annotated[bool, typer.Option("--no-api-key", help="Ask for no key, on any address.")] = False,
    max_body: Annotated[float, typer.Option(help="Largest body of a request, in MiB.")] = 16.0,
    max_pixels: Annotated[float, typer.Option(help="Largest picture, in megapixels.")] = 16.0,
    max_waiting: Annotated[int, typer.Option(help="Pictures that may wait; further ones are told so.")] = 256,
    log: Annotated[bool, typer.Option("--log/--no-log", help="A line of JSON about each request.")] = True,
) -> int:
    """Answer over HTTP: the drawing page, predictions, and the Open Inference Protocol.

    The page is at /, what else there is at /openapi.json. On an address other than this machine's own, a key is asked
    for; without --api-key one is made and shown.
    """
    check_number("port", port, 0, 65_535)
    if name and "/" in name:
        raise SettingsError(f"the name is {name!r}; expected one without /, which no path of the service could hold")
    key = _key_for(host, api_key, no_api_key)
    try:
        from ..serving.app import Service
        from ..serving.limits import BODY_MIB, MEGAPIXEL, MIB, PICTURE_MEGAPIXELS, Limits
        from ..serving.server import listen, run
    except ImportError as error:
        raise MissingExtraError("serving", "serve") from error
    from ..classifier import Classifier

    check_number("largest body in MiB", max_body, *BODY_MIB)
    check_number("largest picture in megapixels", max_pixels, *PICTURE_MEGAPIXELS)
    limits = Limits(max_body_bytes=int(max_body * MIB), max_pixels=int(max_pixels * MEGAPIXEL), max_waiting=max_waiting)
    loaded = Classifier.load(classifier) if classifier else Classifier.pretrained()
    listener = listen(host, port)
    with listener:
        called = name or _name_of(classifier)
        service = Service(loaded, called, limits=limits, key=key, hosts=(host, *(allow_host or ())), has_lines=log)
        shown_host = f"[{host}]" if ":" in host else host
        console.say(f"serving {called} at http://{shown_host}:{listener.getsockname()[1]}/ (Ctrl-C stops)")
        if key and not api_key:
            console.say(f"its key, made for this run: {key}")
        stopped_by = run(service, listener, limits)
    return INTERRUPTED if stopped_by == signal.SIGINT else DONE


def _key_for(host: str, api_key: str | None, no_api_key: bool) -> str:
    """Return the key that is asked for; empty if none is."""
    if no_api_key:
        if api_key and "TINYSIGHT_API_KEY" not in os.environ:
            raise SettingsError("both --api-key and --no-api-key are given; choose one")
        return ""
    if api_key is not None:
        if len(api_key) < MIN_KEY_LENGTH or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise SettingsError(f"the API key is not {MIN_KEY_LENGTH} or more ASCII characters without spaces")
        return api_key
    return "" if _is_loopback(host) else secrets.token_urlsafe(24)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _name_of(classifier: Path | None) -> str:
    """Call a classifier by its file, or by its run's folder if that says more."""
    if classifier is None:
        return "digits"
    return classifier.resolve().parent.name if classifier.stem == "model" else classifier.stem
