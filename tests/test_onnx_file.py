import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinysight import onnx_file
from tinysight.errors import ModelFileError
from tinysight.onnx_file import build_graph, open_session, read_model_bytes, replace_metadata

METADATA = {
    "tinysight_format": 1,
    "class_names": ["a", "b"],
    "framing": {"method": "whole", "height": 2, "width": 3, "channels": 1},
}


@pytest.fixture(scope="module")
def layers():
    rng = np.random.default_rng(0)
    shapes = ((6, 4), (4, 2))
    return [(rng.normal(size=s).astype(np.float32), rng.normal(size=s[1]).astype(np.float32)) for s in shapes]


@pytest.fixture(scope="module")
def data(layers):
    return build_graph((2, 3), layers, METADATA)


def test_the_graph_scales_and_classifies(data, layers):
    session, metadata = open_session(data, "model")
    images = np.random.default_rng(1).integers(0, 256, (5, 2, 3), dtype=np.uint8)
    x = images.reshape(5, 6) / 255
    logits = np.maximum(x @ layers[0][0] + layers[0][1], 0) @ layers[1][0] + layers[1][1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(session.run(None, {"images": images})[0], expected, atol=1e-6)
    assert metadata == METADATA


def test_the_same_weights_give_the_same_bytes(data, layers):
    assert build_graph((2, 3), layers, METADATA) == data


def test_metadata_can_be_replaced(data):
    changed = {**METADATA, "class_names": ["ä", "location"]}
    _, metadata = open_session(replace_metadata(data, changed), "model")
    assert metadata == changed


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
        open_session(foreign_model().SerializeToString(), "model")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "{tmp}/weights.bin", "*/_ORT_MEM_ADDR_/*"])
def test_weights_in_another_file_are_never_read(tmp_path, monkeypatch, location):
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below" if location.startswith("..") else tmp_path)
    with pytest.raises(ModelFileError, match="^model: keeps its weights in another file"):
        open_session(foreign_model(location.replace("{tmp}", str(tmp_path))).SerializeToString(), "model")


@pytest.mark.parametrize("damage", [b"", b"no model", "half"])
def test_damaged_files_are_refused(data, damage):
    with pytest.raises(ModelFileError, match="not a classifier file, or a damaged one") as caught:
        open_session(data[: len(data) // 2] if damage == "half" else damage, "model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tinysight_format": 99}, "has format 99"),
        ({"class_names": ["a", "b", "c"]}, "not a Tinysight classifier"),
        ({"class_names": ["a", "a"]}, "class names are damaged"),
        ({"class_names": "ab"}, "class names are damaged"),
        ({"framing": {"method": "whole", "height": 9, "width": 3, "channels": 1}}, "not a Tinysight classifier"),
        ({"framing": None}, "metadata is damaged"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(data, changes, message):
    with pytest.raises(ModelFileError, match=message):
        open_session(replace_metadata(data, {**METADATA, **changes}), "model")


def test_metadata_that_is_not_json_is_refused(data):
    model = onnx.load_from_string(data)
    model.metadata_props[0].value = "{"
    with pytest.raises(ModelFileError, match="metadata is damaged"):
        open_session(model.SerializeToString(), "model")


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


def test_onnx_runtime_tells_nobody_of_the_machine(model_path, tmp_path):
    """It would keep a number for the device, and what it is, in the home folder, and send them to its maker."""
    code = f"from tinysight import Classifier; Classifier.load({str(model_path)!r})"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
