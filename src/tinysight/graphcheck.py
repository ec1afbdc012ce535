"""Refuses ONNX files with anything but a dense network in them, before ONNX Runtime sees them; runs nothing.

A graph from a stranger can name other files, or even memory addresses, as the place of its weights, and can hold loops
and functions. ONNX Runtime 1.23 crashes on such an address. A classifier holds none of this, so that a look at the few
fields of its encoding (https://protobuf.dev/programming-guides/encoding) is enough, and needs no further package.
Source of the field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator

OPERATORS = frozenset({b"Cast", b"Div", b"Flatten", b"Gemm", b"Relu", b"Softmax"})

# The fields that a message of each kind may have. Text, numbers and inputs are harmless; what is not here is refused:
# functions, training graphs, sparse weights, weights kept elsewhere, attributes that hold tensors or graphs.
MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14})
GRAPH_FIELDS = frozenset({1, 2, 5, 10, 11, 12, 13})
NODE_FIELDS = frozenset({1, 2, 3, 4, 5, 6})
ATTRIBUTE_FIELDS = frozenset({1, 2, 3, 4, 7, 8, 13, 20})
TENSOR_FIELDS = frozenset({1, 2, 4, 5, 7, 8, 9, 12})

MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER, NODE_OPERATOR, NODE_ATTRIBUTE = 7, 1, 5, 4, 5
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14


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
