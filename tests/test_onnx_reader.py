import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinysight.onnx_reader import ExternalData, ForeignGraph, check_graph

OPSET = helper.make_opsetid("", 17)


def model_of(*nodes, initializers=(), functions=()):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], list(initializers))
    return helper.make_model(graph, functions=list(functions))


def relu():
    return helper.make_node("Relu", ["x"], ["y"])


def external():
    tensor = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def subgraph():
    return helper.make_graph([relu()], "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])])


def test_a_classifier_passes(model_path):
    check_graph(model_path.read_bytes())


@pytest.mark.parametrize(
    "model",
    [
        model_of(helper.make_node("Add", ["x", "x"], ["y"])),
        model_of(helper.make_node("Relu", ["x"], ["y"], domain="com.example")),
        model_of(helper.make_node("Cast", ["x"], ["y"], to=1, extra=numpy_helper.from_array(np.ones(2), "t"))),
        model_of(helper.make_node("Relu", ["x"], ["y"], body=subgraph())),
        model_of(relu(), functions=[helper.make_function("d", "f", ["x"], ["y"], [relu()], [OPSET])]),
    ],
)  # fmt: skip
def test_what_no_classifier_holds_is_refused(model):
    with pytest.raises(ForeignGraph):
        check_graph(model.SerializeToString())


def test_sparse_weights_are_refused():
    model = model_of(relu())
    model.graph.sparse_initializer.add(dims=[4])
    with pytest.raises(ForeignGraph):
        check_graph(model.SerializeToString())


def test_weights_kept_elsewhere_are_refused():
    with pytest.raises(ExternalData):
        check_graph(model_of(relu(), initializers=[external()]).SerializeToString())


def varint(number):
    """Return a number as protobuf writes it."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def test_field_numbers_that_protobuf_would_cut_are_refused(model_path):
    """Above 32 bits, protobuf drops what this check would see as another field."""
    graph = model_of(helper.make_node("Add", ["x", "x"], ["y"])).graph.SerializeToString()
    hidden = varint((1 << 32) | (7 << 3) | 2) + varint(len(graph)) + graph
    with pytest.raises(ValueError, match="not protobuf"):
        check_graph(model_path.read_bytes() + hidden)


def test_onnx_runtimes_own_format_is_refused(model_path):
    """Its mark at the fifth byte can be hidden in a text that protobuf allows."""
    name = b"\x12\x0a" + b"xxORTMxxxx"
    with pytest.raises(ValueError, match="not ONNX"):
        check_graph(name + model_path.read_bytes())


def test_a_second_graph_behind_the_first_is_looked_at_too():
    """Protobuf merges a message with a later one of the same field."""
    first, second = model_of(relu()), onnx.ModelProto()
    second.graph.initializer.append(external())
    with pytest.raises(ExternalData):
        check_graph(first.SerializeToString() + second.SerializeToString())


@pytest.mark.parametrize("data", [b"\xff", b"\x3a\x05ab", b"\x0b\x0c", b"\x80" * 20, b"\x38\x01"])
def test_bytes_that_are_not_protobuf_are_refused(data):
    with pytest.raises(ValueError, match="truncated|protobuf|number"):
        check_graph(data)


def test_random_bytes_never_pass_as_anything_else_than_bytes(model_path):
    """Damage at any place is refused, or harmless to what is looked for; nothing else is raised."""
    data = bytearray(model_path.read_bytes()[:2000])
    rng = np.random.default_rng(0)
    for _ in range(2000):
        damaged = data.copy()
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            check_graph(bytes(damaged))
        except ValueError:
            continue
