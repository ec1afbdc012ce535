import json
import os
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from importlib.resources import files

import numpy as np
import onnx
import pytest
from mutants import mutants
from onnx import TensorProto, helper, numpy_helper

from tinysight import onnx_file
from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError
from tinysight.onnx_file import (
    HASH_KEY,
    DataSource,
    MeasuredAccuracy,
    ModelMetadata,
    Parity,
    build_model,
    content_hash,
    open_session,
    read_model,
    read_model_bytes,
)
from tinysight.onnx_reader import read_graph
from tinysight.preprocessing.framing import Framing

METADATA = ModelMetadata(("a", "b"), Framing("whole", 2, 3))
COMPLETE = replace(
    METADATA,
    data=DataSource("digits", "ab" * 32),
    settings={"recipe": "fast", "hidden": [4], "dropout": 0.5},
    training_hashes=np.array([1, 2**64 - 1], np.uint64),
    parity=Parity(9, 1e-7, 0),
    reject_below=0.25,
    test=MeasuredAccuracy(8, 0.75, (0.5, 0.875)),
    temperature=1.25,
)


@pytest.fixture(scope="module")
def layers():
    rng = np.random.default_rng(0)
    shapes = ((6, 4), (4, 2))
    return [(rng.normal(size=s).astype(np.float32), rng.normal(size=s[1]).astype(np.float32)) for s in shapes]


@pytest.fixture(scope="module")
def data(layers):
    return build_model(layers, METADATA)


def with_properties(data, /, **changes):
    """Return a classifier's file with other metadata entries, or without those that are None, and with their hash."""
    model = onnx.load_from_string(data)
    properties = {entry.key: entry.value for entry in model.metadata_props} | changes
    properties = {key: value for key, value in properties.items() if value is not None}
    if HASH_KEY in properties and HASH_KEY not in changes:
        graph = read_graph(data)
        properties[HASH_KEY] = json.dumps(content_hash(graph.image_shape, graph.layers, properties))
    del model.metadata_props[:]
    helper.set_model_props(model, properties)
    return model.SerializeToString()


def as_format_1(data):
    """Return a classifier's file as earlier versions wrote it."""
    return with_properties(data, tinysight_format="1", sha256=None)


def test_the_graph_scales_and_classifies(data, layers):
    session = open_session(data, "model")
    images = np.random.default_rng(1).integers(0, 256, (5, 2, 3), dtype=np.uint8)
    x = images.reshape(5, 6) / 255
    logits = np.maximum(x @ layers[0][0] + layers[0][1], 0) @ layers[1][0] + layers[1][1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(session.run(None, {"images": images})[0], expected, atol=1e-6)
    assert read_model(data)[1] == METADATA


def test_the_file_is_valid_onnx(data):
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)


def test_the_file_is_what_the_package_onnx_would_write(data, layers):
    """Earlier versions wrote it by that package: here is how."""
    nodes = [
        helper.make_node("Cast", ["images"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "white"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights1", "biases1"], ["dense1"]),
        helper.make_node("Relu", ["dense1"], ["relu1"]),
        helper.make_node("Gemm", ["relu1", "weights2", "biases2"], ["dense2"]),
        helper.make_node("Softmax", ["dense2"], ["probabilities"], axis=1),
    ]
    arrays = {"white": np.float32(255)}
    for number, (weights, biases) in enumerate(layers, 1):
        arrays |= {f"weights{number}": weights, f"biases{number}": biases}
    graph = helper.make_graph(
        nodes,
        "tinysight",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 2, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, producer_name="tinysight", ir_version=8, opset_imports=[opset])
    properties = METADATA.to_properties()
    digest = content_hash((2, 3), layers, properties)
    helper.set_model_props(model, {**properties, "sha256": json.dumps(digest)})
    assert model.SerializeToString(deterministic=True) == data


def test_the_same_weights_give_the_same_bytes(data, layers):
    assert build_model(layers, METADATA) == data


def test_the_classifier_that_comes_with_the_package_keeps_its_metadata(layers):
    """It was written by an earlier version."""
    path = files("tinysight") / "pretrained" / "digits.onnx"
    metadata = read_model(path.read_bytes())[1]
    assert metadata.data.name.startswith("mnist")
    assert metadata.framing == Framing("ink", 28, 28)
    assert metadata.test.accuracy > 0.99
    stored = {entry.key: entry.value for entry in onnx.load_from_string(path.read_bytes()).metadata_props}
    written = metadata.to_properties()
    assert written.keys() == stored.keys() - {"sha256"}
    for key in written.keys() - {"test", "tinysight_format"}:
        assert written[key] == stored[key], key
    assert json.loads(written["test"]) == {**json.loads(stored["test"]), "accuracy_interval": []}


@pytest.mark.parametrize("metadata", [METADATA, COMPLETE, replace(METADATA, class_names=("ä", "漢"))])
def test_metadata_is_read_as_it_was_written(layers, metadata):
    found = read_model(build_model(layers, metadata))[1]
    assert found == metadata
    np.testing.assert_array_equal(found.training_hashes, metadata.training_hashes)
    assert found.training_hashes.dtype == np.uint64


def test_files_with_hashes_of_four_bytes_are_read_and_written_as_they_are(layers):
    hashes = np.array([1, 2**32 - 1], np.uint32)
    written = replace(COMPLETE, training_hashes=hashes).to_properties()
    assert written["tinysight_format"] == "2"
    assert json.loads(written["training_hashes"]) == b64encode(b"\0\0\0\1\xff\xff\xff\xff").decode()
    found = read_model(build_model(layers, replace(COMPLETE, training_hashes=hashes)))[1]
    np.testing.assert_array_equal(found.training_hashes, hashes)
    assert found.training_hashes.dtype == np.uint32


def test_names_in_a_file_are_made_printable(layers):
    """The file may be a stranger's."""
    names, data = ("\x1b[31m", "\ud800\u202e"), DataSource("\x07", "ab" * 32)
    found = read_model(build_model(layers, replace(METADATA, class_names=names, data=data)))[1]
    assert found.class_names == ("\\x1b[31m", "\\ud800\\u202e")
    assert found.data.name == "\\x07"


def test_the_entries_are_those_that_the_design_lists():
    assert {key: json.loads(value) for key, value in COMPLETE.to_properties().items()} == {
        "tinysight_format": 3,
        "class_names": ["a", "b"],
        "framing": {"method": "whole", "height": 2, "width": 3, "channels": 1},
        "data": {"name": "digits", "sha256": "ab" * 32},
        "settings": {"recipe": "fast", "hidden": [4], "dropout": 0.5},
        "training_hashes": b64encode(bytes(7) + b"\1" + b"\xff" * 8).decode(),
        "parity": {"num_images": 9, "max_difference": 1e-7, "num_other_classes": 0},
        "reject_below": 0.25,
        "test": {"num_images": 8, "accuracy": 0.75, "accuracy_interval": [0.5, 0.875]},
        "temperature": 1.25,
    }


@pytest.mark.parametrize("changes", [{"reject_below": np.nan}, {"settings": {"learning_rate": np.inf}}])
def test_nan_and_infinity_are_not_written(layers, changes):
    with pytest.raises(ValueError, match="not JSON compliant"):
        build_model(layers, replace(METADATA, **changes))


def test_entries_that_this_version_does_not_know_are_ignored(data):
    assert read_model(with_properties(data, colour="not JSON"))[1] == METADATA


def foreign_model(location=None):
    """An ONNX model that divides by 1, whose weight may be in another file."""
    weight = numpy_helper.from_array(np.ones(4, np.float32), "W")
    if location:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            entry = weight.external_data.add()
            entry.key, entry.value = key, value
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Div", ["x", "W"], ["y"])], "g", values[:1], values[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_models_of_other_programs_are_refused():
    with pytest.raises(ModelFileError, match="^model: an ONNX model, but not a Tinysight classifier"):
        read_model(foreign_model().SerializeToString(), "model")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "{tmp}/weights.bin", "*/_ORT_MEM_ADDR_/*"])
def test_weights_in_another_file_are_never_read(tmp_path, monkeypatch, location):
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below" if location.startswith("..") else tmp_path)
    with pytest.raises(ModelFileError, match="^model: keeps its weights in another file"):
        read_model(foreign_model(location.replace("{tmp}", str(tmp_path))).SerializeToString(), "model")


@pytest.mark.parametrize("damage", [b"", b"no model", "half"])
def test_damaged_files_are_refused(data, damage):
    with pytest.raises(ModelFileError, match="not a classifier file, or a damaged one") as caught:
        read_model(data[: len(data) // 2] if damage == "half" else damage, "model")
    assert "\n" not in str(caught.value)


def test_a_graph_of_ours_without_metadata_is_refused(data):
    with pytest.raises(ModelFileError, match="^model: an ONNX model, but not a Tinysight classifier"):
        read_model(with_properties(data, tinysight_format=None), "model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tinysight_format": "99"}, "has format 99"),
        ({"class_names": '["a", "b", "c"]'}, "not a Tinysight classifier"),
        ({"class_names": '["a", "a"]'}, r"metadata is damaged \(class_names\)"),
        ({"class_names": '"ab"'}, r"metadata is damaged \(class_names\)"),
        ({"framing": '{"method": "whole", "height": 9, "width": 3, "channels": 1}'}, "not a Tinysight classifier"),
        ({"framing": "null"}, r"metadata is damaged \(framing\)"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(data, changes, message):
    with pytest.raises(ModelFileError, match=message):
        read_model(with_properties(data, **changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tinysight_format", "{"), ("tinysight_format", "1.0"), ("tinysight_format", "true"),
        ("tinysight_format", "null"), ("tinysight_format", "1" * 5000), ("class_names", None),
        ("class_names", '["a", 5]'), ("class_names", '["a"]'),
        ("class_names", "[" * 100_000), ("framing", None), ("framing", "[]"),
        ("framing", '{"method": "half", "height": 2, "width": 3, "channels": 1}'),
        ("framing", '{"method": "whole", "height": 2.0, "width": 3, "channels": 1}'),
        ("framing", '{"method": "whole", "height": 2, "width": 3, "channels": true}'),
        ("framing", '{"method": "whole", "height": 2, "width": 3, "channels": 1, "depth": 1}'),
        ("data", "5"), ("data", "null"), ("data", '{"name": "digits"}'), ("data", '{"name": 5, "sha256": ""}'),
        ("settings", "[]"), ("settings", '{"dropout": NaN}'), ("settings", '{"dropout": 1e999}'),
        ("training_hashes", "5"), ("training_hashes", '"not base64!"'), ("training_hashes", "null"),
        ("training_hashes", '"QUJD"'), ("training_hashes", '"QUJDRA=="'), ("training_hashes", '"QUJDRA==é"'),
        ("parity", '{"num_images": 9, "max_difference": Infinity, "num_other_classes": 0}'),
        ("parity", '{"max_difference": 0.1}'), ("test", '{"num_images": 9, "accuracy": "high"}'),
        ("test", '{"num_images": 9, "accuracy": 0.5, "accuracy_interval": ["nan", "nan"]}'),
        ("reject_below", "NaN"), ("reject_below", "-Infinity"), ("reject_below", "1e999"), ("reject_below", "1.5"),
        ("reject_below", "9" * 400), ("reject_below", "true"), ("reject_below", '"0.5"'), ("reject_below", "null"),
        ("temperature", "0"), ("temperature", "-1.5"), ("temperature", "1e6"), ("temperature", "true"),
        ("temperature", "NaN"),
    ],
)  # fmt: skip
def test_damaged_metadata_is_refused(layers, key, value):
    data = with_properties(build_model(layers, COMPLETE), **{key: value})
    with pytest.raises(ModelFileError, match=rf"^model: its metadata is damaged \({key}\)") as caught:
        read_model(data, "model")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_no_damage_gives_another_error_or_nan(layers):
    """Files without the hash: damage is refused, or changes no more than names and weights."""
    images = np.random.default_rng(1).integers(0, 256, (3, 2, 3), dtype=np.uint8)
    num_accepted = 0
    for data in mutants(as_format_1(build_model(layers, COMPLETE)), 3000):
        try:
            classifier = Classifier(data, num_threads=1)
            probabilities = classifier.probabilities(images)
        except ModelFileError as error:
            assert "\n" not in str(error)
            continue
        num_accepted += 1
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        assert 0 <= classifier.reject_below <= 1
        json.dumps(classifier.metadata.settings, allow_nan=False)
    assert 50 < num_accepted < 600


def test_files_of_earlier_versions_are_read(layers):
    earlier = replace(COMPLETE, training_hashes=np.array([1, 2**32 - 1], np.uint32))
    data = as_format_1(build_model(layers, earlier))
    assert b"sha256\x12" not in data
    graph, metadata = read_model(data)
    assert metadata == earlier
    assert build_model(graph.layers, metadata) == build_model(layers, earlier)


def test_every_flipped_bit_of_weights_and_metadata_is_found(data, layers):
    weights, entry = data.index(layers[0][0].tobytes()), data.index(b'["a", "b"]')
    for place in (*range(weights, weights + 96), *range(entry, entry + 10)):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(ModelFileError):
            read_model(bytes(damaged), "model")
    damaged = data.replace(b'["a", "b"]', b'["a", "c"]')
    with pytest.raises(ModelFileError, match="^model: its content does not match the SHA-256 in it: .*fetch it again"):
        read_model(damaged, "model")


@pytest.mark.parametrize(
    "changes", [{"sha256": None}, {"sha256": "null"}, {"sha256": '"ab"'}, {"tinysight_format": "1", "sha256": '"ab"'}]
)
def test_a_hash_that_is_missing_or_wrong_is_refused(data, changes):
    with pytest.raises(ModelFileError, match="SHA-256"):
        read_model(with_properties(data, **changes))


def test_files_above_the_cap_are_not_read(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(101))
    monkeypatch.setattr(onnx_file, "MAX_MODEL_BYTES", 100)
    with pytest.raises(ModelFileError, match="larger than"):
        read_model_bytes(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="no such classifier file"):
        read_model_bytes(tmp_path / "model.onnx")
    with pytest.raises(ModelFileError, match="is a folder"):
        read_model_bytes(tmp_path)


def test_the_metadata_is_readable_by_any_onnx_tool(data):
    stored = {entry.key: json.loads(entry.value) for entry in onnx.load_from_string(data).metadata_props}
    assert stored["class_names"] == ["a", "b"]


def test_onnx_runtime_sends_no_telemetry(model_path, tmp_path):
    """By default it stores an identifier of the device in the home folder, and sends it to its maker."""
    code = f"from tinysight import Classifier; Classifier.load({str(model_path)!r})"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
