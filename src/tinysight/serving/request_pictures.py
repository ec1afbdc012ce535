"""Takes the picture files out of a request's body: one file as it is, several in JSON, or a form with files."""

import logging
import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from .bounded_json import parse_json
from .errors import JSON

EXPECTED_JSON = 'expected {"images": ["picture as base64", …]}'
FORM, URL_ENCODED = "multipart/form-data", "application/x-www-form-urlencoded"
SEND_FILE = "send the picture file as the body (curl --data-binary @FILE) or in a form (curl -F file=@FILE)"
SEND_JSON = "send JSON with Content-Type: application/json (curl --json)"
TAKEN_OUT = re.compile(rb"[\0\r\n]")  # bytes that curl -d takes out of a file; no picture file is without all of them
URL_SAFE = bytes.maketrans(b"-_", b"+/")
WHITESPACE = b" \t\r\n"
MAX_JSON_VALUES = 4_096  # a data URL has a comma too
MIN_PER_ESCAPE = 6  # characters of a data URL; three of 64 random ones are escaped, and line breaks
MAX_DENSE_BYTES = 10_000  # of a data URL in which there may be more
# The characters of base64 that an encoded URL may escape. `urllib`'s function takes 17 seconds for 16 MiB of "%".
ESCAPES = {b"2B": b"+", b"2F": b"/", b"3D": b"=", b"0A": b"", b"0D": b"", b"20": b""}
# The library logs what is malformed in a form. The log of the service holds nothing of a request.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())
logging.getLogger("python_multipart").propagate = False


def pictures_in(body: bytes, content_type: str, max_pictures: int) -> list[bytes]:
    """Return the picture files in a body: the body itself, unless it is JSON or a form.

    Args:
        body: The body.
        content_type: The request's header Content-Type; empty if there is none.
        max_pictures: How many there may be.

    Raises:
        HTTPException: 400 malformed, 413 too many pictures, 415 another kind of form, 422 no pictures in it.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON:
        return _in_json(body, max_pictures)
    if media_type == FORM:
        return _in_form(body, content_type, max_pictures)
    # curl --data-binary sends a whole picture under the media type of URL-encoded forms
    is_url_encoded = media_type == URL_ENCODED and bool(body) and not TAKEN_OUT.search(body)
    if is_url_encoded or media_type.startswith("multipart/"):
        remedy = SEND_JSON if body.lstrip()[:1] == b"{" else SEND_FILE
        raise HTTPException(415, f"the body is {media_type}, not a picture file; {remedy}")
    return [body]


def _in_json(body: bytes, max_pictures: int) -> list[bytes]:
    try:
        decoded = parse_json(body, MAX_JSON_VALUES)
    except ValueError:
        raise HTTPException(400, f"the body is not JSON; {EXPECTED_JSON}") from None
    images = decoded.get("images") if isinstance(decoded, dict) else None
    if not isinstance(images, list) or not images:
        raise HTTPException(422, f"the body has no list of images; {EXPECTED_JSON}")
    if len(images) > max_pictures:
        raise _too_many(f"{len(images):,} pictures", max_pictures)
    return [_decoded(image, f"picture {number} of {len(images)}") for number, image in enumerate(images, 1)]


def _too_many(pictures: str, max_pictures: int) -> HTTPException:
    return HTTPException(413, f"{pictures} are too many; send up to {max_pictures} at once")


def _decoded(image: object, name: str) -> bytes:
    """Return the bytes of a picture file that is a string: base64 in either alphabet, wrapped or not, or a data URL."""
    if isinstance(image, str):
        try:
            return decode_base64(image)
        except (Base64Error, ValueError):
            pass
    raise HTTPException(422, f"{name}: not base64; expected a picture file as a base64 string or a data URL")


def decode_base64(text: str) -> bytes:
    """Return the bytes that a string holds.

    Args:
        text: Base64 in the usual or the URL-safe alphabet, with or without padding and line breaks; or a data URL.

    Raises:
        ValueError: It holds anything else.
    """
    content = text.encode("ascii")
    if content[:5].lower() == b"data:":
        kind, comma, content = content.partition(b",")
        if len(content) > MAX_DENSE_BYTES and MIN_PER_ESCAPE * content.count(b"%") > len(content):
            raise ValueError("most of the data URL is escaped")
        for digits, character in ESCAPES.items():
            content = content.replace(b"%" + digits, character).replace(b"%" + digits.lower(), character)
        if not comma or not kind.lower().endswith(b";base64"):
            raise ValueError("the data URL is not base64")
    content = content.translate(URL_SAFE, WHITESPACE).rstrip(b"=")
    return b64decode(content + b"=" * (-len(content) % 4), validate=True)


def _in_form(body: bytes, content_type: str, max_pictures: int) -> list[bytes]:
    """Return the files of a form, in order; they stay in memory."""
    pictures: list[bytes] = []
    ends: list[bool] = []

    def take_file(file: Any) -> None:
        if len(pictures) == max_pictures:
            raise _too_many(f"more than {max_pictures} files", max_pictures)
        pictures.append(file.file_object.getvalue())

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise HTTPException(400, "the form's Content-Type has no boundary; let your HTTP library set that header")
    in_memory = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
    try:
        parser = FormParser(FORM, _refuse_field, take_file, lambda: ends.append(True), boundary, config=in_memory)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise HTTPException(400, "the form is malformed; expected multipart/form-data as browsers send it") from None
    if not ends:
        raise HTTPException(400, "the form is cut off: the boundary at its end is missing; send it again")
    if not pictures:
        raise HTTPException(422, "the form has no file; expected one or several picture files: curl -F file=@FILE")
    return pictures


def _refuse_field(field: Any) -> None:
    name = field.field_name[:40].decode("utf-8", "replace")
    message = f"the form's field '{name}' is text; expected picture files only: curl -F file=@FILE"
    raise HTTPException(422, f"{message}; parameters are part of the address, as in /predict?top=3")
