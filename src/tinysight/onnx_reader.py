"""Reads the weights out of a classifier's ONNX file without the package onnx; computes nothing with them.

Source of the field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError
from .graphcheck import GRAPH_FIELDS, MODEL_FIELDS, NODE_FIELDS, TENSOR_FIELDS, as_message, read_fields

MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER = 7, 1, 5
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE = 1, 2, 4, 5
TENSOR_DIMENSIONS, TENSOR_TYPE, TENSOR_NAME, TENSOR_BYTES = 1, 2, 8, 9
FLOAT = 1

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights (inputs, outputs) and biases (outputs,)


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
