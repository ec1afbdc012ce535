import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.onnx_reader import read_graph
from tinysight.preprocessing.framing import Framing

OPSET = helper.make_opsetid("", 17)
FOREIGN = (
    "^the classifier: an ONNX model, but not a Tinysight classifier; its graph is not as 'tinysight train' writes it"
)
DAMAGED = "^the classifier: not a classifier file, or a damaged one"
EXTERNAL = "^the classifier: keeps its weights in another file"


@pytest.fixture(scope="module")
def layers():
    rng = np.random.default_rng(0)
    shapes = ((6, 4), (4, 2))
    return [(rng.normal(size=s).astype(np.float32), rng.normal(size=s[1]).astype(np.float32)) for s in shapes]


@pytest.fixture(scope="module")
def data(layers):
    return build_model(layers, ModelMetadata(("a", "b"), Framing("whole", 2, 3)))


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


def test_what_was_written_is_read(data, layers):
    graph = read_graph(data)
    assert graph.image_shape == (2, 3)
    assert graph.num_classes == 2
    assert set(graph.properties) > {"tinysight_format", "class_names", "framing"}
    for ours, theirs in zip(graph.layers, layers, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_a_trained_classifier_passes(model_path):
    assert [weights.shape for weights, _ in read_graph(model_path.read_bytes()).layers] == [
        (784, 64),
        (64, 32),
        (32, 10),
    ]


def test_what_the_package_onnx_writes_again_is_read_too(data):
    assert onnx.load_from_string(data).SerializeToString(deterministic=True) == data


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
    with pytest.raises(ModelFileError, match=FOREIGN):
        read_graph(model.SerializeToString())


def test_sparse_weights_are_refused():
    model = model_of(relu())
    model.graph.sparse_initializer.add(dims=[4])
    with pytest.raises(ModelFileError, match=FOREIGN):
        read_graph(model.SerializeToString())


def test_weights_kept_elsewhere_are_refused():
    with pytest.raises(ModelFileError, match=EXTERNAL):
        read_graph(model_of(relu(), initializers=[external()]).SerializeToString())


def node(graph, operator):
    return next(one for one in graph.node if one.op_type == operator)


def tensor(graph, name):
    return next(one for one in graph.initializer if one.name == name)


def attribute(operator, name, value):
    def change(graph):
        found = node(graph, operator)
        kept = [one for one in found.attribute if one.name != name]
        del found.attribute[:]
        found.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def values(name, changed):
    return lambda graph: tensor(graph, name).CopyFrom(numpy_helper.from_array(changed, name))


def leave_out(operator):
    return lambda graph: graph.node.remove(node(graph, operator))


def operator(old, new):
    return lambda graph: setattr(node(graph, old), "op_type", new)


def cross(graph):
    graph.node[-1].input[0] = "dense1"


def fixed_batch(graph):
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def float_images(graph):
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def more_classes(graph):
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3


def second_output(graph):
    graph.output.append(helper.make_tensor_value_info("dense1", TensorProto.FLOAT, ["batch", 4]))


def other_weight_name(graph):
    tensor(graph, "weights2").name = "weights1"


@pytest.mark.parametrize(
    "change",
    [
        attribute("Gemm", "transB", 1), attribute("Gemm", "transA", 1), attribute("Gemm", "alpha", 2.0),
        attribute("Cast", "to", TensorProto.DOUBLE), attribute("Cast", "saturate", 1), attribute("Flatten", "axis", 0),
        attribute("Softmax", "axis", 0), attribute("Softmax", "axis", -1), attribute("Softmax", "axis", 1.0),
        values("white", np.float32(127)), values("white", np.float64(255)), values("white", np.ones(1, np.float32)),
        values("weights1", np.ones((6, 5), np.float32)), values("weights1", np.ones((4, 6), np.float32)),
        values("biases1", np.full(4, np.nan, np.float32)), values("weights2", np.full((4, 2), np.inf, np.float32)),
        leave_out("Relu"), leave_out("Softmax"), leave_out("Cast"), operator("Softmax", "LogSoftmax"),
        operator("Relu", "Softmax"), cross, fixed_batch, float_images, more_classes, second_output, other_weight_name,
    ],
)  # fmt: skip
def test_graphs_written_otherwise_are_refused_rather_than_misread(data, change):
    model = onnx.load_from_string(data)
    change(model.graph)
    with pytest.raises(ModelFileError, match=FOREIGN):
        read_graph(model.SerializeToString())


@pytest.mark.parametrize("name", ["Re\nlu", "\x1b[2JRelu", "\u202eRelu", "Relu" * 100_000])
def test_an_operators_name_is_printable_and_short_in_the_message(data, name):
    model = onnx.load_from_string(data)
    operator("Relu", name)(model.graph)
    with pytest.raises(ModelFileError) as error:
        read_graph(model.SerializeToString())
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(("largest", "is_refused"), [(1e19, False), (1e20, True), (3e38, True)])
def test_weights_whose_sums_may_overflow_are_refused(largest, is_refused):
    """With them a probability would be NaN for some images."""
    signs = np.float32([[1, -1], [-1, 1]])
    layers = [
        (signs * np.float32(largest), np.zeros(2, np.float32)),
        (signs * np.float32(1e18), np.zeros(2, np.float32)),
    ]
    data = build_model(layers, ModelMetadata(("a", "b"), Framing("whole", 1, 2)))
    if is_refused:
        with pytest.raises(ModelFileError, match=f"{FOREIGN} .weights so large that their sums may be infinite"):
            Classifier(data)
    else:
        images = np.uint8([[[255, 0]], [[0, 255]], [[255, 255]]])
        assert np.isfinite(Classifier(data).probabilities(images)).all()


def test_another_version_of_the_operators_is_refused(data):
    model = onnx.load_from_string(data)
    model.opset_import[0].version = 11  # in which softmax normalizes over all axes from the given one on
    with pytest.raises(ModelFileError, match=FOREIGN):
        read_graph(model.SerializeToString())


def test_a_metadata_key_twice_is_refused(data):
    model = onnx.load_from_string(data)
    model.metadata_props.append(model.metadata_props[0])
    with pytest.raises(ModelFileError, match="a metadata key twice"):
        read_graph(model.SerializeToString())


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
    with pytest.raises(ModelFileError, match="not protobuf"):
        read_graph(model_path.read_bytes() + hidden)


@pytest.mark.parametrize("start", [b"\x12\x0a", b"\x08\x80\x80\x80"])
def test_onnx_runtimes_own_format_is_refused(model_path, start):
    """Its mark at the fifth byte can be hidden in a text or number that protobuf allows."""
    name = start + b"xxORTMxxxx"[len(start) - 2 :]
    assert name[4:8] == b"ORTM"
    with pytest.raises(ModelFileError, match="not ONNX"):
        read_graph(name + model_path.read_bytes())


def test_a_second_graph_behind_the_first_is_looked_at_too(data):
    """Protobuf merges a message with a later one of the same field."""
    first, second = model_of(relu()), onnx.ModelProto()
    second.graph.initializer.append(external())
    with pytest.raises(ModelFileError, match=EXTERNAL):
        read_graph(first.SerializeToString() + second.SerializeToString())
    with pytest.raises(ModelFileError, match=f"{FOREIGN} .field 7 too often"):
        read_graph(data + model_of(relu()).SerializeToString()[2:])


@pytest.mark.parametrize("damage", [b"\xff", b"\x3a\x05ab", b"\x0b\x0c", b"\x80" * 20, b"\x38\x01", b"\x0a\x00"])
def test_bytes_that_are_not_protobuf_are_refused(damage):
    with pytest.raises(ModelFileError, match=f"{DAMAGED} .(truncated|not protobuf|.*number)"):
        read_graph(b"\x08\x08" + damage)


def test_metadata_that_is_not_utf_8_is_refused(data):
    with pytest.raises(ModelFileError, match=DAMAGED):
        read_graph(data.replace(b'["a", "b"]', b'["a", "\xff"]'))


def test_a_file_of_countless_small_fields_does_not_fill_memory():
    with pytest.raises(ModelFileError, match="field 14 too often"):
        read_graph(b"\x08\x08" + b"\x72\x00" * 100_000)


def test_huge_dimensions_are_refused(data):
    model = onnx.load_from_string(data)
    tensor(model.graph, "biases1").dims[0] = 2**62
    tensor(model.graph, "weights1").dims[1] = 2**62
    with pytest.raises(ModelFileError):
        read_graph(model.SerializeToString())
