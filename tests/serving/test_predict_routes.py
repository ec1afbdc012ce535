"""The routes /predict and /classifier over HTTP."""

import json
import time
from base64 import b64decode, b64encode, encodebytes, urlsafe_b64encode
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image
from samples import as_png
from services import assert_error


def as_json(*pictures):
    return {"images": [b64encode(picture).decode() for picture in pictures]}


def test_a_picture_is_predicted_as_in_python(client, classifier, pictures):
    response = client.post("/predict?top=3&pixels=true", content=pictures[0])
    (answer,) = response.json()["predictions"]
    (prediction,) = classifier.predict(pictures[0], top=3)
    assert answer["class_name"] == prediction.class_name
    assert answer["probability"] == pytest.approx(prediction.probability, abs=1e-6)
    assert [(one["class_name"], pytest.approx(one["probability"], abs=1e-6)) for one in answer["ranking"]] == [
        *prediction.ranking
    ]
    assert answer["is_rejected"] == prediction.is_rejected
    assert answer["note"] == prediction.note
    assert answer.keys() == {*prediction.to_dict(), "pixels"}
    assert answer["source"] == "picture 1"
    pixels = np.frombuffer(b64decode(answer["pixels"]), np.uint8)
    assert (pixels == classifier.frame(pictures[0]).pixels.ravel()).all()


def test_by_default_one_class_and_no_pixels_are_returned(client, pictures):
    (answer,) = client.post("/predict", content=pictures[0]).json()["predictions"]
    assert len(answer["ranking"]) == 1
    assert not {"pixels", "attribution"} & set(answer)


def test_several_pictures_are_predicted_in_order(client, classifier, pictures):
    answers = client.post("/predict", json=as_json(*pictures)).json()["predictions"]
    assert [answer["class_name"] for answer in answers] == [
        prediction.class_name for prediction in classifier.predict(pictures)
    ]


def test_one_bad_picture_fails_the_request_and_the_message_says_which(client, pictures):
    assert_error(client.post("/predict", json=as_json(pictures[0], b"no picture")), 422, "picture 2 of 2")
    assert_error(client.post("/predict", json={"images": [as_json(pictures[0])["images"][0], "%"]}), 422, "2 of 2")


@pytest.mark.parametrize(
    ("content", "content_type", "status", "word"),
    [
        (b"", "image/png", 422, "empty"),
        (b"no picture", "image/png", 422, "the upload: not a picture"),
        (b"{", "application/json", 400, "JSON"),
        (b"[" * 100_000, "application/json", 400, "JSON"),
        (b"[]", "application/json; charset=utf-8", 422, "images"),
        (b'{"images": []}', "application/json", 422, "images"),
        (b'{"images": [7]}', "application/json", 422, "picture 1 of 1"),
        (b"--x--", "multipart/form-data; boundary=x", 422, "has no file"),
        (b"--x--\r\n", "multipart/form-data", 400, "no boundary"),
        (b"picture=seven", "application/x-www-form-urlencoded", 415, "--data-binary"),
        (json.dumps({"images": ["QQ=="] * 65}).encode(), "application/json", 413, "64"),
    ],
)
def test_bodies_that_cannot_be_used_get_an_error_of_one_line(client, content, content_type, status, word):
    headers = {"Content-Type": content_type}
    assert_error(client.post("/predict", content=content, headers=headers), status, word)


def test_a_form_may_hold_several_pictures_in_order(client, classifier, pictures):
    files = [("file", ("a.png", picture, "image/png")) for picture in pictures[:3]]
    answers = client.post("/predict?top=2", files=files).json()["predictions"]
    expected = [prediction.class_name for prediction in classifier.predict(pictures[:3])]
    assert [answer["class_name"] for answer in answers] == expected
    assert [answer["source"] for answer in answers] == ["picture 1", "picture 2", "picture 3"]
    files[1] = ("other", ("b.png", b"no picture"))
    assert_error(client.post("/predict", files=files), 422, "picture 2 of 3")


def test_base64_and_data_urls_are_predicted_as_the_file_is(client, pictures):
    plain = client.post("/predict", content=pictures[0]).json()
    wrapped, url_safe = encodebytes(pictures[0]).decode(), urlsafe_b64encode(pictures[0]).decode().rstrip("=")
    data_url = f"data:image/png;base64,{b64encode(pictures[0]).decode()}"
    for text in (wrapped, url_safe, data_url):
        assert client.post("/predict", json={"images": [text]}).json() == plain


def test_wrong_parameters_get_an_error_of_one_line(client, pictures):
    for query in ("top=0", "top=x", "pixels=perhaps", "attribution=2"):
        assert_error(client.post(f"/predict?{query}", content=pictures[0]), 422, query.partition("=")[0])
    assert_error(client.post("/predict", content=b"x", headers={"Content-Encoding": "gzip"}), 415, "compressed")


def test_too_large_pictures_are_rejected_before_they_are_decoded(client, service):
    picture = as_png(Image.new("1", (8_000, 7_000)))
    before = service.resident_mib()
    start = time.monotonic()
    assert_error(client.post("/predict", content=picture), 422, "16,000,000")
    assert time.monotonic() - start < 5
    assert service.resident_mib() - before < 50


def test_the_classifier_is_described(client, classifier):
    assert client.get("/classifier").json() == {
        "name": "digits",
        "class_names": list(classifier.class_names),
        "framing": asdict(classifier.framing),
        "reject_below": classifier.reject_below,
        "takes_photographs": False,
        "has_attribution": True,
    }
