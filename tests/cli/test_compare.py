"""`tinysight compare`, as a user types it."""

import json
import shutil

import numpy as np
import pytest

from tinysight.classifier import Classifier
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.preprocessing.framing import Framing


@pytest.fixture
def worse(model_path, tmp_path):
    """The trained classifier with the answers 3 and 8 exchanged."""
    classifier = Classifier.load(model_path)
    *hidden, (weights, biases) = classifier.layers
    order = [0, 1, 2, 8, 4, 5, 6, 7, 3, 9]
    layers = [*hidden, (weights[:, order], biases[order])]
    Classifier(build_model(layers, classifier.metadata)).save(tmp_path / "worse.onnx")
    return tmp_path / "worse.onnx"


def test_the_better_one_is_named_first(tinysight, model_path, worse):
    status, printed, error = tinysight("compare", model_path, worse, "digits")
    assert (status, error) == (0, "")
    assert printed.startswith("A is better, by ")
    for words in (str(worse), "exact McNemar test p = ", "only B ", "images that they answer differently (20 of "):
        assert words in printed
    rows = [line for line in printed.splitlines() if line.startswith("digits[")]
    assert len(rows) == 20


def test_json_holds_every_image_that_they_answer_differently(tinysight, model_path, worse):
    status, printed, error = tinysight("compare", worse, model_path, "digits", "--json")
    assert (status, error) == (0, "")
    comparison = json.loads(printed)
    assert comparison["better"] == "b"
    assert comparison["a"]["name"] == str(worse)
    assert len(comparison["differing"]) > 50
    assert {one["a"] for one in comparison["differing"]} <= {"3", "8"}


def test_a_classifier_is_not_better_than_itself(tinysight, model_path, tmp_path):
    shutil.copy(model_path, tmp_path / "copy.onnx")
    status, printed, _ = tinysight("compare", model_path, tmp_path / "copy.onnx", "digits")
    assert status == 0
    assert printed.startswith("not to be told apart: both are right on the same images\n")
    assert "differently" not in printed


def test_classifiers_of_other_sizes_are_compared_on_the_same_pictures(tinysight, class_folders, tmp_path):
    (class_folders / "dark" / "broken.png").write_bytes(b"no picture")
    for side, threshold in ((12, 0.5), (28, 0.25)):
        weights = np.full((side * side, 1), 1 / side**2, np.float32), np.zeros(1, np.float32)
        last = np.array([[-80, 80]], np.float32), np.array([80 * threshold, -80 * threshold], np.float32)
        metadata = ModelMetadata(("dark", "light"), Framing("whole", side, side))
        Classifier(build_model([weights, last], metadata)).save(tmp_path / f"{side}.onnx")
    status, printed, error = tinysight("compare", tmp_path / "12.onnx", tmp_path / "28.onnx", class_folders)
    assert status == 3
    assert error.count("broken.png") == 1
    assert "20 images of" in printed
    assert "note: the set has no test images of its own; all were used" in printed


def test_what_is_missing_is_named(tinysight, model_path, class_folders, tmp_path):
    for arguments, words in (
        ((model_path, tmp_path / "none.onnx", "digits"), "there is no such classifier file"),
        ((model_path, model_path, "dgits"), "did you mean 'digits'?"),
        ((model_path, model_path, class_folders), "does not know: dark, light"),
    ):
        status, printed, error = tinysight("compare", *arguments)
        assert (status, printed) == (1, "")
        assert error.startswith("tinysight: ")
        assert error.count("\n") == 1
        assert words in error
    assert tinysight("compare", model_path)[0] == 2
