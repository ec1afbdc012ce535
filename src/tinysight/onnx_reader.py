"""Reads a classifier's ONNX file, and refuses any that is not exactly as `onnx_file` writes it.

A foreign file can name other files, or even memory addresses, as the place of its weights, and can hold loops and
functions; ONNX Runtime 1.23 crashes on such an address. So a file is decoded here before ONNX Runtime sees it.
That takes few lines, because a classifier has few of ONNX's fields; the package onnx takes 31 MB and 0.2 s to import.

Source of the encoding: https://protobuf.dev/programming-guides/encoding.
Source of the fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from typing import Any, NamedTuple

import numpy as np

from .errors import ModelFileError
from .escapes import printable
from .onnx_graph import (
    POOLINGS,
    GraphError,
    Layer,
    Message,
    Network,
    Operation,
    describe_model,
    may_overflow,
)

MAX_REASON_LENGTH = 200  # characters; an operator's name in a damaged file may have a million

Schema = dict[int, tuple[str, Any]]  # fields of a message by number: name and type, in a list where it is repeated

# Every field that a classifier has, and the only place where field numbers are written.
DIMENSION: Schema = {1: ("dim_value", int), 2: ("dim_param", str)}
SHAPE: Schema = {1: ("dim", [DIMENSION])}
TENSOR_TYPE: Schema = {1: ("elem_type", int), 2: ("shape", SHAPE)}
TYPE: Schema = {1: ("tensor_type", TENSOR_TYPE)}
VALUE_INFO: Schema = {1: ("name", str), 2: ("type", TYPE)}
ATTRIBUTE: Schema = {1: ("name", str), 3: ("i", int), 8: ("ints", [int]), 20: ("type", int)}
NODE: Schema = {1: ("input", [str]), 2: ("output", [str]), 4: ("op_type", str), 5: ("attribute", [ATTRIBUTE])}
TENSOR: Schema = {1: ("dims", [int]), 2: ("data_type", int), 8: ("name", str), 9: ("raw_data", bytes)}
GRAPH: Schema = {
    1: ("node", [NODE]), 2: ("name", str), 5: ("initializer", [TENSOR]), 11: ("input", [VALUE_INFO]),
    12: ("output", [VALUE_INFO]),
}  # fmt: skip
OPERATOR_SET: Schema = {1: ("domain", str), 2: ("version", int)}
PROPERTY: Schema = {1: ("key", str), 2: ("value", str)}
MODEL: Schema = {
    1: ("ir_version", int), 2: ("producer_name", str), 7: ("graph", GRAPH), 8: ("opset_import", [OPERATOR_SET]),
    14: ("metadata_props", [PROPERTY]),
}  # fmt: skip
EXTERNAL_FIELDS = (13, 14)  # of a tensor: external_data and data_location

MAX_REPEATED = 10_000  # fields of one kind in a message: thousands of layers; more would only fill memory


class Graph(NamedTuple):
    """What a classifier's file holds.

    Attributes:
        image_shape: Shape of one image, ``(height, width)`` or ``(height, width, 3)``.
        network: The operations of the network.
        layers: float32 weights and biases ``(outputs,)`` of each layer that has weights, first to last; views of the
            file's bytes. Weights are ``(inputs, outputs)`` in a dense layer. In a convolution they are
            ``(outputs, inputs, rows, columns)``, where it is depthwise with one input.
        properties: The metadata, as it is stored.
    """

    image_shape: tuple[int, ...]
    network: Network
    layers: list[Layer]
    properties: dict[str, str]

    @property
    def num_classes(self) -> int:
        """How many probabilities the network gives."""
        return len(self.layers[-1][1])


class _ForeignGraph(ValueError):  # noqa: N818 - shown to users as a ModelFileError
    """The file is ONNX, but not a classifier's."""


class _ExternalData(ValueError):  # noqa: N818 - shown to users as a ModelFileError
    """The file keeps weights in another file."""


def read_graph(data: bytes, name: str = "the classifier") -> Graph:
    """Read the bytes of a classifier's file.

    Args:
        data: The bytes.
        name: What error messages call the file.

    Raises:
        ModelFileError: The file is not ONNX, keeps its weights in another file, or is not exactly as Tinysight writes
            it.
    """
    try:
        return _read_graph(data)
    except _ExternalData:
        raise ModelFileError(f"{name}: keeps its weights in another file; not a Tinysight classifier") from None
    except _ForeignGraph as error:
        reason = f"its graph is not as 'tinysight train' writes it ({error})"
        raise ModelFileError(f"{name}: an ONNX model, but not a Tinysight classifier; {reason}") from None
    except (ValueError, OverflowError) as error:
        reason = f"not a classifier file, or a damaged one ({error}); train it or fetch it again"
        raise ModelFileError(f"{name}: {reason}") from None


def _read_graph(data: bytes) -> Graph:
    # ONNX begins with its ir_version. ONNX Runtime knows its own format by ORTM, and would prefer it.
    if data[:1] != b"\x08" or data[4:8] == b"ORTM":
        raise ValueError("not ONNX")
    model = _decode(memoryview(data), MODEL)
    try:
        stored = [(entry["key"], entry["value"]) for entry in model.pop("metadata_props")]
        tensors = model["graph"]["initializer"]
        contents = [bytes(tensor.pop("raw_data")) for tensor in tensors]
        dimensions = model["graph"]["input"][0]["type"]["tensor_type"]["shape"]["dim"]
        image_shape = tuple(dimension["dim_value"] for dimension in dimensions[1:])
        num_outputs = [tensor["dims"][0] for tensor in tensors if str(tensor["name"]).startswith("biases")]
        network = _operations(model["graph"]["node"])
    except (KeyError, IndexError):
        raise _ForeignGraph("parts are missing") from None
    # What is left must be what would be written for this image shape and these operations
    try:
        described = describe_model(image_shape, network, num_outputs)
    except GraphError as error:
        raise _ForeignGraph(printable(str(error)[:MAX_REASON_LENGTH])) from None
    expected = [tensor.pop("raw_data", None) for tensor in described["graph"]["initializer"]]
    if model != described:
        raise _ForeignGraph("other operators, names, types or shapes")
    if any(constant not in (None, content) for constant, content in zip(expected, contents, strict=True)):
        raise _ForeignGraph("other constants, such as what pixels are divided by")
    properties = dict(stored)
    if len(properties) != len(stored):
        raise _ForeignGraph("a metadata key twice")
    arrays = [
        np.frombuffer(content, "<f4").reshape(tensor["dims"])
        for tensor, content, constant in zip(tensors, contents, expected, strict=True)
        if constant is None
    ]
    if not all(np.isfinite(array).all() for array in arrays):
        raise _ForeignGraph("weights that are NaN or infinite")
    layers = list(zip(arrays[::2], arrays[1::2], strict=True))
    if may_overflow(image_shape, network, layers):
        raise _ForeignGraph("weights so large that their sums may be infinite")
    return Graph(image_shape, network, layers, properties)


def _operations(nodes: list[Message]) -> Network:
    """Return what the nodes seem to be after the division by 255; `describe_model` then tells what they have to be."""
    outputs = [node["output"][0] for node in nodes[1:]]
    return tuple(_operation(node, outputs) for node in nodes[2:])


def _operation(node: Message, outputs: list[str]) -> Operation:
    kind = node["op_type"]
    numbers = {one["name"]: [*one["ints"], one.get("i", 0)] for one in node["attribute"]}
    if kind == "Conv":
        size, stride = numbers["kernel_shape"][0], numbers["strides"][0]
        return Operation(kind, size, stride, is_depthwise=numbers["group"][0] != 1)
    if kind in POOLINGS:
        return Operation(kind, numbers["kernel_shape"][0])
    if kind == "Add":
        other = node["input"][1]
        return Operation("Shift") if other == "offset" else Operation(kind, source=outputs.index(other) - 1)
    return Operation(kind)


def _decode(message: memoryview, schema: Schema) -> Message:
    """Return the fields of a protobuf message by name; refuse fields that are not in the schema."""
    decoded: Message = {name: [] for name, kind in schema.values() if isinstance(kind, list)}
    position = 0
    while position < len(message):
        # A key holds the field's number and how its value is encoded. Protobuf would drop the bits above 32.
        key, position = _decode_number(message, position)
        number, encoding = key >> 3, key & 7
        if key >= 2**32 or encoding not in (0, 1, 2, 5):
            raise ValueError("not protobuf")
        if schema is TENSOR and number in EXTERNAL_FIELDS:
            raise _ExternalData
        if number not in schema:
            raise _ForeignGraph(f"field {number}")
        name, kind = schema[number]
        is_repeated = isinstance(kind, list)
        value, position = _decode_value(message, position, encoding, kind[0] if is_repeated else kind)
        if len(decoded[name]) >= MAX_REPEATED if is_repeated else name in decoded:
            raise _ForeignGraph(f"field {number} too often")
        if is_repeated:
            decoded[name].append(value)
        else:
            decoded[name] = value
    return decoded


def _decode_value(message: memoryview, position: int, encoding: int, kind: Any) -> tuple[Any, int]:
    """Return the value at a position, and the position behind it."""
    if encoding != (0 if kind is int else 2):
        raise ValueError("a number where a message is expected, or the reverse")
    number, position = _decode_number(message, position)
    if kind is int:
        return number, position
    end = position + number
    if end > len(message):
        raise ValueError("truncated")
    content = message[position:end]
    if isinstance(kind, dict):
        return _decode(content, kind), end
    return str(content, "utf-8") if kind is str else content, end


def _decode_number(message: memoryview, position: int) -> tuple[int, int]:
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
