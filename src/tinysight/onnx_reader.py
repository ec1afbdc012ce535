"""Refuses ONNX files with anything but a dense network in them, before ONNX Runtime sees them; runs nothing.

A graph from a stranger can name other files, or even memory addresses, as the place of its weights, and can hold loops
and functions. ONNX Runtime 1.23 crashes on such an address. A classifier holds none of this, so that a look at the few
fields of its encoding (https://protobuf.dev/programming-guides/encoding) is enough, and needs no further package.
Source of the field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError

OPERATORS = frozenset({b"Cast", b"Div", b"Flatten", b"Gemm", b"Relu", b"Softmax"})
# The fields that a message of each kind may have. Text, numbers and inputs are harmless; what is not here is refused:
# functions, training graphs, sparse weights, weights kept elsewhere, attributes that hold tensors or graphs.
MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14})
GRAPH_FIELDS = frozenset({1, 2, 5, 10, 11, 12, 13})
NODE_FIELDS = frozenset({1, 2, 3, 4, 5, 6})
ATTRIBUTE_FIELDS = frozenset({1, 2, 3, 4, 7, 8, 13, 20})
TENSOR_FIELDS = frozenset({1, 2, 4, 5, 7, 8, 9, 12})
MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER = 7, 1, 5
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE = 1, 2, 4, 5
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14
TENSOR_DIMENSIONS, TENSOR_TYPE, TENSOR_NAME, TENSOR_BYTES = 1, 2, 8, 9
FLOAT = 1
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights (inputs, outputs) and biases (outputs,)


class ForeignGraph(ValueError):  # noqa: N818 - not shown to users
    """The file holds what no classifier holds."""


class ExternalData(ForeignGraph):
    """The file keeps weights elsewhere."""


def check_graph(data: bytes) -> None:
    """Look through the bytes of an ONNX model.

    Raises:
        ExternalData: Weights are kept elsewhere.
        ForeignGraph: There is an operator, function, attribute or tensor of a kind that no classifier has.
        ValueError: The bytes are not in protobuf's encoding, or are ONNX Runtime's own format.
    """
    if data[4:8] == b"ORTM":  # how ONNX Runtime tells its own format, which it would prefer
        raise ValueError("not ONNX")
    for field, value in read_fields(memoryview(data), MODEL_FIELDS):
        if field == MODEL_GRAPH:
            _check_graph_fields(as_message(value))


def _check_graph_fields(graph: memoryview) -> None:
    for field, value in read_fields(graph, GRAPH_FIELDS):
        if field == GRAPH_NODE:
            _check_node(as_message(value))
        if field == GRAPH_INITIALIZER:
            for tensor_field, _ in read_fields(
                as_message(value), TENSOR_FIELDS | {TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION}
            ):
                if tensor_field in (TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION):
                    raise ExternalData("weights kept elsewhere")


def _check_node(node: memoryview) -> None:
    for field, value in read_fields(node, NODE_FIELDS):
        if field == NODE_OPERATOR and bytes(as_message(value)) not in OPERATORS:
            raise ForeignGraph("operator")
        if field == NODE_ATTRIBUTE:
            for _ in read_fields(as_message(value), ATTRIBUTE_FIELDS):
                pass


def as_message(value: memoryview | int) -> memoryview:
    """Return a field's value where a message, text or bytes are expected.

    Raises:
        ValueError: It is a number.
    """
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")
    return value


def read_fields(message: memoryview, allowed: frozenset[int]) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and value of each field of a protobuf message, numbers as int and all else as bytes.

    Raises:
        ForeignGraph: There is a field that is not allowed.
        ValueError: The bytes are not in protobuf's encoding.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key >= 2**32:  # protobuf drops the upper bits, and would read another field than the one seen here
            raise ValueError("not protobuf")
        number, kind = key >> 3, key & 7
        if number not in allowed:
            raise ForeignGraph(f"field {number}")
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("not protobuf")
        if position + length > len(message):
            raise ValueError("truncated")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the variable-length number at a position, and the position behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("truncated")
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (2**64 - 1), position
    raise ValueError("number too long")


class _Node(NamedTuple):
    operator: str
    inputs: list[str]
    outputs: list[str]
    has_attributes: bool


def read_layers(data: bytes) -> list[Layer]:
    """Return the weights and biases of each dense layer, as `modelfile.build_graph` was given them.

    Args:
        data: A classifier's file that `Classifier` has accepted.

    Returns:
        float32 weights ``(inputs, outputs)`` and biases ``(outputs,)`` of each layer, first to last.

    Raises:
        ModelFileError: The graph is not written as Tinysight writes it.
    """
    try:
        (graph,) = (
            as_message(value) for field, value in read_fields(memoryview(data), MODEL_FIELDS) if field == MODEL_GRAPH
        )
        tensors = dict(_read_tensor(part) for part in _parts(graph, GRAPH_FIELDS, GRAPH_INITIALIZER))
        nodes = [_read_node(part) for part in _parts(graph, GRAPH_FIELDS, GRAPH_NODE)]
        return _chained_layers(nodes, tensors)
    except (ValueError, KeyError) as error:
        raise ModelFileError(f"the classifier's graph is not as 'tinysight train' writes it ({error})") from None


def _parts(message: memoryview, allowed: frozenset[int], wanted: int) -> Iterator[memoryview]:
    return (as_message(value) for field, value in read_fields(message, allowed) if field == wanted)


def _read_node(message: memoryview) -> _Node:
    inputs, outputs, operator, has_attributes = [], [], "", False
    for field, value in read_fields(message, NODE_FIELDS):
        if field == NODE_INPUT:
            inputs.append(bytes(as_message(value)).decode())
        elif field == NODE_OUTPUT:
            outputs.append(bytes(as_message(value)).decode())
        elif field == NODE_OPERATOR:
            operator = bytes(as_message(value)).decode()
        elif field == NODE_ATTRIBUTE:
            has_attributes = True
    return _Node(operator, inputs, outputs, has_attributes)


def _read_tensor(message: memoryview) -> tuple[str, NDArray[np.float32]]:
    shape: list[int] = []
    name, kind, raw = "", 0, b""
    for field, value in read_fields(message, TENSOR_FIELDS):
        if field == TENSOR_DIMENSIONS:
            shape += [value] if isinstance(value, int) else _packed_numbers(value)
        elif field == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif field == TENSOR_NAME:
            name = bytes(as_message(value)).decode()
        elif field == TENSOR_BYTES:
            raw = bytes(as_message(value))
    if kind != FLOAT:
        raise ValueError(f"tensor {name} is not float32")
    values = np.frombuffer(raw, "<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(values).all():
        raise ValueError(f"tensor {name} holds what is no number")
    return name, values


def _packed_numbers(message: memoryview) -> list[int]:
    """Return numbers that are written one behind the other, seven bits a byte."""
    numbers, number, shift = [], 0, 0
    for byte in message:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number, shift = 0, 0
    return numbers


def _chained_layers(nodes: list[_Node], tensors: dict[str, NDArray[np.float32]]) -> list[Layer]:
    """Follow the graph from its first node to its last; each must take what the one before gives."""
    num_layers = sum(node.operator == "Gemm" for node in nodes)
    operators = ["Cast", "Div", "Flatten", *["Gemm", "Relu"] * (num_layers - 1), "Gemm", "Softmax"]
    if [node.operator for node in nodes] != operators:
        raise ValueError("other operators")
    layers: list[Layer] = []
    flow = "images"
    for node in nodes:
        if node.inputs[:1] != [flow] or len(node.outputs) != 1:
            raise ValueError("not a chain")
        (flow,) = node.outputs
        if node.operator == "Div" and tensors[node.inputs[1]].tolist() != 255.0:
            raise ValueError("not divided by 255")
        if node.operator == "Gemm":
            if node.has_attributes or len(node.inputs) != 3:
                raise ValueError("an unusual dense layer")
            layers.append((tensors[node.inputs[1]], tensors[node.inputs[2]]))
    return layers
