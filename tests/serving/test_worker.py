"""The worker's batches: results in the order of the requests, failures only for those that fail."""

import io
import json
import pickle
import sys
from base64 import b64decode
from types import SimpleNamespace

import numpy as np
import pytest
from samples import CLIPPED_NETWORK, CLIPPED_SHAPES, photograph_model

from tinysight.classifier import Classifier
from tinysight.serving import worker
from tinysight.serving.worker import BatchReply, Failure, WorkerRequest, WorkerSettings, process_batch

SETTINGS = WorkerSettings(1_000_000, 4_000_000)


def test_pictures_and_images_of_one_batch_get_their_own_results(classifier, trained, pictures):
    images = np.ascontiguousarray(trained.images.images[:4])
    requests = [
        WorkerRequest((pictures[0],)),
        WorkerRequest(images=images[:3]),
        WorkerRequest((pictures[1], pictures[2]), top=3, has_pixels=True),
        WorkerRequest(images=images[3:]),
    ]
    reply = process_batch(classifier, requests, SETTINGS)
    one, three_rows, two, last_row = reply.results
    expected = classifier.predict(pictures[:3], top=3)
    found = [*json.loads(one)["predictions"], *json.loads(two)["predictions"]]
    assert [member["class_name"] for member in found] == [prediction.class_name for prediction in expected]
    assert [member["source"] for member in found] == ["picture 1", "picture 1", "picture 2"]
    assert [len(member["ranking"]) for member in found] == [1, 3, 3]
    assert ["pixels" in member for member in found] == [False, True, True]
    np.testing.assert_allclose(np.concatenate([three_rows, last_row]), classifier.probabilities(images), atol=1e-6)
    assert reply.num_images == 7
    assert sum(reply.class_counts.values()) == 3
    assert reply.num_rejected == sum(prediction.is_rejected for prediction in expected)


def test_which_pixels_decided_is_told_where_it_is_asked_for(classifier, pictures):
    requests = [WorkerRequest((pictures[0],)), WorkerRequest((pictures[0], pictures[1]), has_attribution=True)]
    reply = process_batch(classifier, requests, SETTINGS)
    (plain,), explained = (json.loads(result)["predictions"] for result in reply.results)
    assert "attribution" not in plain
    for member, picture in zip(explained, pictures, strict=False):
        (prediction,) = classifier.predict(picture, top=2)
        (best, first), (second, next_to_it) = prediction.ranking
        found = member["attribution"]
        assert len(member["ranking"]) == 1
        assert (found["class_name"], found["other"]) == (best, second)
        assert found["shape"] == [28, 28]
        pixels = np.frombuffer(b64decode(found["pixels"]), "<f4").reshape(28, 28)
        assert pixels.sum() + found["bias"] == pytest.approx(found["score"], abs=1e-4)
        assert found["score"] == pytest.approx(np.log(first / next_to_it), abs=1e-4)
        assert not pixels[classifier.frame(picture).pixels == 0].any()


def test_which_regions_decided_is_told_of_convolutions(pictures):
    classifier = Classifier(photograph_model())
    reply = process_batch(classifier, [WorkerRequest((pictures[0],), has_attribution=True)], SETTINGS)
    (member,) = json.loads(reply.results[0])["predictions"]
    found = member["attribution"]
    assert found["shape"] == [2, 2]
    pixels = np.frombuffer(b64decode(found["pixels"]), "<f4").reshape(found["shape"])
    assert pixels.sum() + found["bias"] == pytest.approx(found["score"], abs=1e-4)
    assert found["score"] == pytest.approx(np.log(member["probability"] / (1 - member["probability"])), abs=1e-3)


def test_which_pixels_decided_is_not_told_where_that_is_not_computed(pictures):
    classifier = Classifier(photograph_model(CLIPPED_NETWORK, shapes=CLIPPED_SHAPES))
    reply = process_batch(classifier, [WorkerRequest((pictures[0],), has_attribution=True)], SETTINGS)
    (member,) = json.loads(reply.results[0])["predictions"]
    assert "attribution" not in member
    assert member["probability"] > 0


def test_a_bad_picture_fails_its_own_request_only(classifier, pictures):
    requests = [WorkerRequest((pictures[0], b"bad")), WorkerRequest((pictures[1],)), WorkerRequest((b"bad",))]
    first, second, third = process_batch(classifier, requests, SETTINGS).results
    assert (first.status, third.status) == (422, 422)
    assert first.message.startswith("picture 2 of 2: ")
    assert third.message.startswith("the upload: ")
    assert len(json.loads(second)["predictions"]) == 1


def test_a_damaged_picture_is_called_so_once(classifier, pictures):
    (failure,) = process_batch(classifier, [WorkerRequest((pictures[0][:-30],))], SETTINGS).results
    assert failure.message.startswith("the upload: ")
    assert failure.message.count("the picture") <= 1


def test_an_empty_batch_has_no_results(classifier):
    assert process_batch(classifier, [], SETTINGS) == BatchReply()


@pytest.mark.parametrize("fails", [False, True])
def test_the_worker_replies_until_its_input_ends_whatever_fails(classifier, pictures, monkeypatch, fails):
    def fail(*_):
        raise RuntimeError("secret")

    if fails:
        monkeypatch.setattr(worker, "process_batch", fail)
    messages = [(classifier.file_bytes, SETTINGS), [WorkerRequest((pictures[0],))], [WorkerRequest((pictures[1],))]]
    stdout = io.BytesIO()
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    monkeypatch.setattr(worker, "limit_memory", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"".join(map(pickle.dumps, messages)))))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=stdout))
    worker.main()
    stdout.seek(0)
    assert pickle.load(stdout) == BatchReply()  # it is ready
    for _ in range(2):
        (result,) = pickle.load(stdout).results
        assert (result == Failure(500, "unexpected RuntimeError; please report it")) == fails
    assert stdout.read() == b""
