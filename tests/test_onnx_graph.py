import numpy as np
import onnx
import pytest
from mutants import mutants
from onnx import helper, numpy_helper
from samples import PHOTOGRAPH_NETWORK, PHOTOGRAPH_SHAPES, photograph_model

from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError
from tinysight.onnx_graph import GraphError, Operation, describe_model


@pytest.fixture(scope="module")
def data():
    return photograph_model()


def test_the_operations_are_read_as_they_were_written(data):
    classifier = Classifier(data)
    assert classifier.network == PHOTOGRAPH_NETWORK
    assert [weights.shape for weights, _ in classifier.layers] == list(PHOTOGRAPH_SHAPES)
    assert classifier.with_metadata().file_bytes == data


def attribute(operator, name, value, place=0):
    def change(graph):
        node = [one for one in graph.node if one.op_type == operator][place]
        kept = [one for one in node.attribute if one.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, *([] if value is None else [helper.make_attribute(name, value)])])

    return change


def constant(name, value):
    def change(graph):
        found = next(one for one in graph.initializer if one.name == name)
        found.CopyFrom(numpy_helper.from_array(value, name))

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(attribute("Conv", name, value) for name, value in [
            ("group", 3), ("group", None), ("pads", [0, 0, 0, 0]), ("pads", [1, 1, 1]), ("strides", [2, 1]),
            ("strides", [3, 3]), ("strides", None), ("kernel_shape", [1, 1]), ("dilations", [2, 2]),
            ("auto_pad", "SAME_UPPER"), ("kernel_shape", [3, 2**62]), ("group", -1), ("strides", [0, 0]),
        ]),
        attribute("Conv", "group", 1, place=1), attribute("Conv", "pads", [0, 0, 1, 1], place=1),
        *(attribute("MaxPool", name, value) for name, value in [
            ("kernel_shape", [2, 3]), ("strides", [1, 1]), ("pads", [1, 1, 1, 1]), ("ceil_mode", 1),
            ("kernel_shape", [99, 99]), ("kernel_shape", None), ("storage_order", 1),
        ]),
        attribute("Transpose", "perm", [0, 3, 2, 1]), attribute("Transpose", "perm", None),
        attribute("Relu", "alpha", 0.5), attribute("Flatten", "axis", 2),
        constant("six", np.float32(7)), constant("zero", np.float32(-1)), constant("scale", np.float32(1)),
        constant("offset", np.float32(np.nan)), constant("six", np.float32([6])),
    ],
)  # fmt: skip
def test_attributes_and_constants_are_checked_one_by_one(data, change):
    model = onnx.load_from_string(data)
    change(model.graph)
    with pytest.raises(ModelFileError, match="an ONNX model, but not a Tinysight classifier|or a damaged one"):
        Classifier(model.SerializeToString())


def test_the_content_hash_covers_the_operations(data):
    """A sum with another output of the same shape would be a sound network, but not the one that was written."""
    model = onnx.load_from_string(data)
    next(one for one in model.graph.node if one.input[1:] == ["clip1"]).input[1] = "conv1"
    with pytest.raises(ModelFileError, match="its content does not match the SHA-256 in it"):
        Classifier(model.SerializeToString())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({3: Operation("Conv", 16, 2)}, "a kernel of 16"), ({3: Operation("Conv", 3, 5)}, "stride 5"),
        ({8: Operation("Add", source=2)}, "different shapes"), ({8: Operation("Add", source=8)}, "different shapes"),
        ({9: Operation("MaxPool", 5)}, "window of 5"), ({11: Operation("Relu")}, "Relu twice|more than one dimension"),
        ({2: Operation("Unsqueeze")}, "Unsqueeze of 3"), ({13: Operation("Relu")}, "softmax last"),
        ({10: Operation("Loop")}, "operator Loop"), ({3: Operation("Conv", 3, 2, is_depthwise=True)}, "channels"),
        ({4: Operation("Conv", 1, 1)}, "without weights"),
    ],
)  # fmt: skip
def test_operations_that_do_not_fit_together_are_refused(change, named):
    network = tuple(change.get(place, operation) for place, operation in enumerate(PHOTOGRAPH_NETWORK))
    with pytest.raises(GraphError, match=named):
        describe_model((8, 9, 3), network, [4, 4, 4, 2] if 4 not in change else [4, 4, 4, 4])


def test_a_small_file_cannot_ask_for_hours_of_work():
    stack = (Operation("Conv", 3, 1),) * 60
    network = (Operation("Transpose"), *stack, *PHOTOGRAPH_NETWORK[-4:])
    with pytest.raises(GraphError, match="more than 2,147,483,648 products for an image"):
        describe_model((1024, 1024, 3), network, [8] * 60 + [2])
    wide = (Operation("Transpose"), Operation("Conv", 1, 1), *PHOTOGRAPH_NETWORK[-4:])
    with pytest.raises(GraphError, match="a layer with more than 16,777,216 outputs"):
        describe_model((1024, 1024, 3), wide, [17, 2])


@pytest.mark.parametrize(("scale", "is_refused"), [(1e8, False), (1e13, True), (3e37, True)])
def test_convolutions_whose_sums_may_overflow_are_refused(scale, is_refused):
    network = tuple(Operation("Relu") if one.kind == "Clip" else one for one in PHOTOGRAPH_NETWORK[2:])
    network = tuple(one._replace(source=2) if one.kind == "Add" else one for one in network)
    data = photograph_model(network, scale=scale)
    if is_refused:
        with pytest.raises(ModelFileError, match="sums may be infinite"):
            Classifier(data)
    else:
        white = np.full((1, 8, 9, 3), 255, np.uint8)
        assert np.isfinite(Classifier(data).probabilities(white)).all()


def test_damaged_files_are_refused_or_answer_the_same(data):
    sound, images = Classifier(data, num_threads=1), np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), np.uint8)
    num_refused, expected = 0, sound.probabilities(images)
    for damaged in mutants(data, 1_000):
        try:
            classifier = Classifier(damaged, num_threads=1)
        except ModelFileError as error:
            assert "\n" not in str(error)
            num_refused += 1
        else:
            np.testing.assert_array_equal(classifier.probabilities(images), expected)
    assert num_refused > 900
