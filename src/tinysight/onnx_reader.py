"""Reads a classifier's ONNX file, and refuses any that is not exactly as `onnx_file` writes it.

A foreign file can name other files, or even memory addresses, as the place of its weights, and can hold loops and
functions; ONNX Runtime 1.23 crashes on such an address. So a file is decoded here before ONNX Runtime sees it.
That takes few lines, because a classifier has few of ONNX's fields; the package onnx takes 31 MB and 0.2 s to import.

Source of the encoding: https://protobuf.dev/programming-guides/encoding.
Source of the fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights (inputs, outputs) and biases (outputs,)
Message = dict[str, Any]  # a decoded protobuf message: fields by name
Schema = dict[int, tuple[str, Any]]  # fields of a message by number: name and type, in a list where it is repeated

# Every field that a classifier has, and the only place where field numbers are written.
DIMENSION: Schema = {1: ("dim_value", int), 2: ("dim_param", str)}
SHAPE: Schema = {1: ("dim", [DIMENSION])}
TENSOR_TYPE: Schema = {1: ("elem_type", int), 2: ("shape", SHAPE)}
TYPE: Schema = {1: ("tensor_type", TENSOR_TYPE)}
VALUE_INFO: Schema = {1: ("name", str), 2: ("type", TYPE)}
ATTRIBUTE: Schema = {1: ("name", str), 3: ("i", int), 20: ("type", int)}
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

FLOAT, UINT8, INT = 1, 2, 2  # TensorProto.DataType twice, AttributeProto.AttributeType
OPSET, IR_VERSION = 17, 8  # old enough for every ONNX Runtime since 1.12, of May 2022
WHITE = np.float32(255)  # what pixels are divided by
MAX_SUM = np.float32(1e38)  # of absolute values in a layer; float32 holds 3.4e38
MAX_REPEATED = 10_000  # fields of one kind in a message: thousands of layers; more would only fill memory


class Graph(NamedTuple):
    """What a classifier's file holds.

    Attributes:
        image_shape: Shape of one image, ``(height, width)`` or ``(height, width, 3)``.
        layers: float32 weights ``(inputs, outputs)`` and biases ``(outputs,)`` of each dense layer, first to last;
            views of the file's bytes.
        properties: The metadata, as it is stored.
    """

    image_shape: tuple[int, ...]
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


def describe_model(image_shape: Sequence[int], num_outputs: Sequence[int]) -> Message:
    """Return the ONNX model of a dense network, without the bytes of its weights and without metadata.

    The graph divides pixels by 255, flattens them, and has ReLU after each dense layer but the last, and
    softmax after the last.

    Args:
        image_shape: Shape of one image.
        num_outputs: How many outputs each dense layer has, first to last.
    """
    nodes = [
        _node("Cast", ["images"], "levels", to=FLOAT),
        _node("Div", ["levels", "white"], "scaled"),
        _node("Flatten", ["scaled"], "flat", axis=1),
    ]
    tensors = [_tensor("white")]
    x, width = "flat", prod(image_shape)
    for number, outputs in enumerate(num_outputs, 1):
        tensors += [_tensor(f"weights{number}", width, outputs), _tensor(f"biases{number}", outputs)]
        nodes.append(_node("Gemm", [x, f"weights{number}", f"biases{number}"], f"dense{number}"))
        x, width = f"dense{number}", outputs
        if number < len(num_outputs):
            nodes.append(_node("Relu", [x], f"relu{number}"))
            x = f"relu{number}"
    nodes.append(_node("Softmax", [x], "probabilities", axis=1))
    graph = {
        "node": nodes,
        "name": "tinysight",
        "initializer": tensors,
        "input": [_value_info("images", UINT8, image_shape)],
        "output": [_value_info("probabilities", FLOAT, [width])],
    }
    opset = {"domain": "", "version": OPSET}
    return {"ir_version": IR_VERSION, "producer_name": "tinysight", "graph": graph, "opset_import": [opset]}


def _node(operator: str, inputs: list[str], output: str, **attributes: int) -> Message:
    listed = [{"name": name, "i": value, "type": INT} for name, value in attributes.items()]
    return {"op_type": operator, "input": inputs, "output": [output], "attribute": listed}


def _tensor(name: str, *shape: int) -> Message:
    return {"name": name, "data_type": FLOAT, "dims": [*shape]}


def _value_info(name: str, data_type: int, shape: Sequence[int]) -> Message:
    dimensions = [{"dim_param": "batch"}, *({"dim_value": size} for size in shape)]
    return {"name": name, "type": {"tensor_type": {"elem_type": data_type, "shape": {"dim": dimensions}}}}


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
        contents = [tensor.pop("raw_data") for tensor in tensors]
        dimensions = model["graph"]["input"][0]["type"]["tensor_type"]["shape"]["dim"]
        image_shape = tuple(dimension["dim_value"] for dimension in dimensions[1:])
        num_outputs = [tensor["dims"][0] for tensor in tensors[2::2]]
    except (KeyError, IndexError):
        raise _ForeignGraph("parts are missing") from None
    # What is left must be what would be written for this image shape and these layers.
    if not num_outputs or model != describe_model(image_shape, num_outputs):
        raise _ForeignGraph("other operators, names, types or shapes")
    if bytes(contents[0]) != WHITE.astype("<f4").tobytes():
        raise _ForeignGraph("pixels are not divided by 255")
    properties = dict(stored)
    if len(properties) != len(stored):
        raise _ForeignGraph("a metadata key twice")
    arrays = [np.frombuffer(raw, "<f4").reshape(t["dims"]) for raw, t in zip(contents, tensors, strict=True)]
    if not all(np.isfinite(array).all() for array in arrays):
        raise _ForeignGraph("weights that are NaN or infinite")
    layers = list(zip(arrays[1::2], arrays[2::2], strict=True))
    if _may_overflow(layers):
        raise _ForeignGraph("weights so large that their sums may be infinite")
    return Graph(image_shape, layers, properties)


def _may_overflow(layers: list[Layer]) -> bool:
    """Tell whether a sum in the network may be infinite for any image, and so a probability NaN."""
    largest = np.ones(len(layers[0][0]), np.float32)  # of each input's absolute values: pixels are 0…1
    with np.errstate(over="ignore", invalid="ignore"):
        for weights, biases in layers:
            largest = largest @ np.abs(weights) + np.abs(biases)
            if not (largest < MAX_SUM).all():  # which NaN never is
                return True
    return False


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
