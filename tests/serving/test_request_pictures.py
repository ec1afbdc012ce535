"""Picture files in a request's body: as it is, in JSON, in a form."""

import json
import random
from base64 import b64encode, encodebytes, urlsafe_b64encode
from urllib.parse import quote

import pytest
from starlette.exceptions import HTTPException

from tinysight.serving.request_pictures import decode_base64, pictures_in

FORM = "multipart/form-data; boundary=x"
URL_ENCODED = "application/x-www-form-urlencoded"
CONTENT = bytes(range(256)) + b"\xfb\xff\xfe"


def part(content, name="file", file_name="a.png", headers=b""):
    disposition = f'Content-Disposition: form-data; name="{name}"'
    disposition += "" if file_name is None else f'; filename="{file_name}"'
    return b"--x\r\n" + disposition.encode() + b"\r\n" + headers + b"\r\n" + content + b"\r\n"


def error_of(body, content_type, max_pictures=64):
    with pytest.raises(HTTPException) as error:
        pictures_in(body, content_type, max_pictures)
    return error.value.status_code, error.value.detail


@pytest.mark.parametrize(
    "text",
    [
        b64encode(CONTENT).decode(),
        encodebytes(CONTENT).decode(),
        encodebytes(CONTENT).decode().replace("\n", "\r\n\t "),
        urlsafe_b64encode(CONTENT).decode(),
        urlsafe_b64encode(CONTENT).decode().rstrip("="),
        f"data:image/png;base64,{b64encode(CONTENT).decode()}",
        f"DATA:image/svg+xml;charset=utf-8;BASE64,{encodebytes(CONTENT).decode()}",
        f"data:;base64,{quote(b64encode(CONTENT).decode(), safe='')}",
    ],
)
def test_base64_may_be_written_in_each_usual_way(text):
    assert decode_base64(text) == CONTENT
    assert pictures_in(json.dumps({"images": [text, text]}).encode(), "application/json", 2) == [CONTENT, CONTENT]


@pytest.mark.parametrize(
    "text", ["%", "A", "QUJD=QUJD", "QUJD!", "é", "data:image/png,QUJD", "data:image/png;base64", "http://a/b.png"]
)
def test_what_is_not_base64_is_refused(text):
    body = json.dumps({"images": [text]}).encode()
    assert error_of(body, "application/json") == (
        422, "picture 1 of 1: not base64; expected a picture file as a base64 string or a data URL"
    )  # fmt: skip


def test_the_files_of_a_form_are_taken_in_order_and_unchanged():
    awkward = b"\r\n--y\r\n--\r\n\0" + CONTENT
    large = random.Random(0).randbytes(3_000_000)
    body = part(awkward) + part(large, "other", "größe.png") + part(b"", "third", "") + b"--x--\r\n"
    assert pictures_in(body, 'Multipart/Form-Data; Boundary="x"', 3) == [awkward, large, b""]
    encoded = part(
        b64encode(CONTENT) + b"=" * (-len(b64encode(CONTENT)) % 4), headers=b"Content-Transfer-Encoding: base64\r\n"
    )
    assert pictures_in(encoded + b"--x--", FORM, 1) == [CONTENT]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (part(b"a") + part(b"b") + part(b"c") + b"--x--", FORM, 413, "send up to 2"),
        (part(b"3", "top", None) + part(b"a") + b"--x--", FORM, 422, "'top' is text"),
        (b"--x--\r\n", FORM, 422, "has no file"),
        (part(b"a") + part(b"b")[:-3], FORM, 400, "cut off"),
        (part(b"a"), FORM, 400, "cut off"),
        (b"no form", FORM, 400, "malformed"),
        (b"", FORM, 400, "cut off"),
        (b"--x\r\n\r\nabc\r\n--x--\r\n", FORM, 400, "malformed"),
        (b"--x\r\n" + b"A: b\r\n" * 50_000 + part(b"a") + b"--x--", FORM, 400, "malformed"),
        (part(b"a") + b"--x--", "multipart/form-data", 400, "no boundary"),
        (part(b"a") + b"--x--", "multipart/form-data; boundary=" + "x" * 1000, 400, "malformed"),
        (part(b"a") + b"--x--", "multipart/related; boundary=x", 415, "multipart/related"),
    ],
)
def test_forms_that_cannot_be_used_are_refused(body, content_type, status, words):
    found, message = error_of(body, content_type, 2)
    assert (found, words in message) == (status, True), message


def test_a_malformed_form_leaves_nothing_in_the_log(capfd):
    error_of(b"no form", FORM)
    assert capfd.readouterr() == ("", "")


def test_a_picture_whose_bytes_curl_has_taken_out_is_told_apart_from_a_whole_one(pictures):
    assert pictures_in(pictures[0], URL_ENCODED, 1) == [pictures[0]]  # as curl --data-binary sends it
    status, message = error_of(pictures[0].translate(None, b"\0\r\n"), f"{URL_ENCODED}; charset=utf-8")
    assert status == 415
    assert "curl --data-binary @FILE" in message
    assert "curl -F file=@FILE" in message
    status, message = error_of(b'{"images": ["QUJD"]}', URL_ENCODED)
    assert (status, "curl --json" in message) == (415, True)
    assert pictures_in(b"", URL_ENCODED, 1) == [b""]
