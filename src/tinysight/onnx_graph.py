"""Defines the graph in a classifier's file: the operators that it may have, their attributes and shapes.

`onnx_file` writes what `describe_model` returns, and `onnx_reader` refuses every file that holds anything else.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights and biases, see `Graph.layers` in onnx_reader.py
Message = dict[str, Any]  # a protobuf message: fields by name

FLOAT, UINT8, INT64 = 1, 2, 7  # TensorProto.DataType
INT, INTS = 2, 7  # AttributeProto.AttributeType
OPSET, IR_VERSION = 17, 8  # old enough for every ONNX Runtime since 1.12, of May 2022
WHITE = np.float32(255)  # what pixels are divided by
SCALE, OFFSET = np.float32(255 / 128), np.float32(-127 / 128)  # what EfficientNet-Lite expects: (pixel - 127) / 128
MAX_CLIP = np.float32(6)  # of ReLU6
MAX_SUM = np.float32(1e38)  # of absolute values in a layer; float32 holds 3.4e38
# A small file could ask for much work. EfficientNet-Lite0 needs 385 million products for an image of 224 pixels.
MAX_OPERATIONS, MAX_PRODUCTS, MAX_VALUES = 1_000, 2**31, 2**24
MAX_KERNEL, MAX_STRIDE = 15, 4


class Operation(NamedTuple):
    """A node of the graph, between the division of the pixels by 255 and the probabilities.

    Attributes:
        kind: The ONNX operator. ``Shift`` is an addition of `OFFSET`, ``Mul`` a multiplication by `SCALE`, ``Clip``
            ReLU6.
        size: Side of a convolution's kernel or of a pooling's window.
        stride: Of a convolution; a pooling's is its size.
        is_depthwise: Whether a convolution has a kernel of its own for each channel, and no others.
        source: Of an ``Add``: the number of the earlier operation whose output is added to the last one.
    """

    kind: str
    size: int = 0
    stride: int = 0
    is_depthwise: bool = False
    source: int = 0


WEIGHTED = ("Conv", "Gemm")
POOLINGS = ("MaxPool", "AveragePool")
Network = tuple[Operation, ...]


class GraphError(ValueError):
    """Operations that do not fit together, or that ask for too much."""


def dense_network(num_layers: int) -> Network:
    """Return the operations of a dense network: ReLU after each layer but the last, softmax after the last."""
    hidden = (Operation("Gemm"), Operation("Relu")) * (num_layers - 1)
    return (Operation("Flatten"), *hidden, Operation("Gemm"), Operation("Softmax"))


def is_dense(network: Network) -> bool:
    """Tell whether a network is one of `dense_network`."""
    return network == dense_network(sum(operation.kind == "Gemm" for operation in network))


def before_means(network: Network) -> Network:
    """Return the operations before the mean of each channel, where dense layers read that; else none."""
    kinds = [operation.kind for operation in network]
    place = kinds.index("GlobalAveragePool") if "GlobalAveragePool" in kinds else 0
    return network[:place] if is_dense(network[place + 1 :]) else ()


def describe_model(
    image_shape: Sequence[int], network: Network, num_outputs: Sequence[int], is_classifier: bool = True
) -> Message:
    """Return the ONNX model of a network, without the bytes of its weights and without metadata.

    Args:
        image_shape: Shape of one image.
        network: The operations.
        num_outputs: How many outputs each convolution and dense layer has, first to last.
        is_classifier: Whether softmax has to be the last operation.

    Raises:
        GraphError: The operations do not fit together, or ask for too much.
    """
    described = _Description(image_shape, num_outputs)
    if not network or len(network) > MAX_OPERATIONS or (is_classifier and network[-1].kind != "Softmax"):
        raise GraphError(f"expected 1 to {MAX_OPERATIONS:,} operations, softmax last")
    for operation in network:
        described.add(operation)
    outputs = described.shapes[-1]
    graph = {
        "node": described.nodes,
        "name": "tinysight",
        "initializer": described.tensors,
        "input": [_value_info("images", UINT8, image_shape)],
        "output": [_value_info(described.names[-1], FLOAT, outputs)],
    }
    opset = {"domain": "", "version": OPSET}
    return {"ir_version": IR_VERSION, "producer_name": "tinysight", "graph": graph, "opset_import": [opset]}


class _Description:
    """The nodes and tensors of a graph so far.

    Attributes:
        nodes: The nodes; the first two make shares of white of the pixels.
        tensors: The weights, without their bytes, and the constants, with them.
        names: Name of the graph's scaled pixels, then of each operation's output.
        shapes: Shape of each of these, without the batch.
    """

    def __init__(self, image_shape: Sequence[int], num_outputs: Sequence[int]) -> None:
        self.nodes = [
            _node("Cast", ["images"], "levels", to=FLOAT),
            _node("Div", ["levels", "white"], "scaled"),
        ]
        self.tensors = [_constant("white", WHITE)]
        self.names, self.shapes = ["scaled"], [tuple(image_shape)]
        self._num_outputs, self._number = list(num_outputs), 0  # `_number` of the last layer with weights
        self._products = 0

    def add(self, operation: Operation) -> None:
        """Add the nodes and tensors of the next operation."""
        kind = operation.kind
        if kind in WEIGHTED:
            self._gemm() if kind == "Gemm" else self._conv(operation)
        elif kind == "Add":
            self._add(operation.source)
        elif kind in POOLINGS:
            self._pool(operation)
        elif kind in ("Relu", "Clip", "Mul", "Shift"):
            self._elementwise(kind)
        else:
            self._reshape(kind)

    def _elementwise(self, kind: str) -> None:
        """Add ReLU or ReLU6, or scale the pixels as a pretrained network expects them."""
        constants: dict[str, Any] = {
            "Clip": {"zero": np.float32(0), "six": MAX_CLIP},
            "Mul": {"scale": SCALE},
            "Shift": {"offset": OFFSET},
        }.get(kind, {})
        known = [tensor["name"] for tensor in self.tensors]
        self.tensors += [_constant(name, value) for name, value in constants.items() if name not in known]
        output = {"Mul": "multiplied", "Shift": "shifted"}.get(kind, f"{kind.lower()}{self._number}")
        self._append("Add" if kind == "Shift" else kind, [self.names[-1], *constants], output, self.shapes[-1])

    def _reshape(self, kind: str) -> None:
        """Add an operation that has no weights and gives another shape, or softmax."""
        x, shape = self.names[-1], self.shapes[-1]
        if kind == "Flatten":
            self._append(kind, [x], "flat", (prod(shape),), axis=1)
        elif kind == "Softmax" and len(shape) == 1:
            self._append(kind, [x], "probabilities", shape, axis=1)
        elif kind == "GlobalAveragePool" and len(shape) == 3:
            self._append(kind, [x], "pooled", (shape[0], 1, 1))
        elif kind == "Transpose" and len(shape) == 3:
            self._append(kind, [x], "channels_first", (shape[2], *shape[:2]), perm=[0, 3, 1, 2])
        elif kind == "Unsqueeze" and len(shape) == 2:
            self.tensors.append(_constant("axes", np.array([1], "<i8")))
            self._append(kind, [x, "axes"], "channels_first", (1, *shape))
        else:
            raise GraphError(f"operator {kind} of {len(shape)} dimensions")

    def _gemm(self) -> None:
        if len(self.shapes[-1]) != 1:
            raise GraphError("a dense layer of more than one dimension")
        (width,), outputs = self.shapes[-1], self._next_outputs()
        inputs = [self.names[-1], *self._weights((width, outputs))]
        self._append("Gemm", inputs, f"dense{self._number}", (outputs,))

    def _conv(self, operation: Operation) -> None:
        """Add a convolution that gives ceil(side / stride) rows and columns, padded as Keras's ``same``."""
        size, stride = operation.size, operation.stride
        channels, *sides = self._channels_first(self.shapes[-1])
        if not (1 <= size <= MAX_KERNEL and 1 <= stride <= MAX_STRIDE):
            raise GraphError(f"a kernel of {size} with stride {stride}")
        outputs = self._next_outputs()
        groups = channels if operation.is_depthwise else 1
        if operation.is_depthwise and outputs != channels:
            raise GraphError("a depthwise convolution that changes the number of channels")
        kept = [-(-side // stride) for side in sides]
        missing = [max(0, (k - 1) * stride + size - side) for k, side in zip(kept, sides, strict=True)]
        before = [number // 2 for number in missing]
        pads = [*before, *(number - first for number, first in zip(missing, before, strict=True))]
        self._products += prod(kept) * outputs * (channels // groups) * size * size
        if self._products > MAX_PRODUCTS:
            raise GraphError(f"more than {MAX_PRODUCTS:,} products for an image")
        inputs = [self.names[-1], *self._weights((outputs, channels // groups, size, size))]
        self._append(
            "Conv", inputs, f"conv{self._number}", (outputs, *kept),
            group=groups, kernel_shape=[size, size], pads=pads, strides=[stride, stride],
        )  # fmt: skip

    def _add(self, source: int) -> None:
        if not 0 <= source < len(self.names) - 1 or self.shapes[source + 1] != self.shapes[-1]:
            raise GraphError("a sum of outputs of different shapes")
        self._append("Add", [self.names[-1], self.names[source + 1]], f"sum{self._number}", self.shapes[-1])

    def _pool(self, operation: Operation) -> None:
        size = operation.size
        channels, *sides = self._channels_first(self.shapes[-1])
        if not 2 <= size <= min(MAX_KERNEL, *sides):
            raise GraphError(f"a pooling window of {size}")
        shape = (channels, *(side // size for side in sides))
        window = {"kernel_shape": [size, size], "strides": [size, size]}
        self._append(operation.kind, [self.names[-1]], f"pool{self._number}", shape, **window)

    def _append(self, operator: str, inputs: list[str], output: str, shape: tuple[int, ...], **attributes: Any) -> None:
        if output in self.names:
            raise GraphError(f"{operator} twice in the same place")
        if len(shape) > 1 and prod(shape) > MAX_VALUES:
            raise GraphError(f"a layer with more than {MAX_VALUES:,} outputs")
        self.nodes.append(_node(operator, inputs, output, **attributes))
        self.names.append(output)
        self.shapes.append(shape)

    def _weights(self, shape: tuple[int, ...]) -> tuple[str, str]:
        names = f"weights{self._number}", f"biases{self._number}"
        biases = shape[-1] if len(shape) == 2 else shape[0]
        self.tensors += [_tensor(names[0], *shape), _tensor(names[1], biases)]
        return names

    def _next_outputs(self) -> int:
        self._number += 1
        if self._number > len(self._num_outputs) or self._num_outputs[self._number - 1] < 1:
            raise GraphError("a layer without weights")
        return self._num_outputs[self._number - 1]

    @staticmethod
    def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 3:
            raise GraphError(f"a layer for images of {len(shape)} dimensions")
        return shape


def _node(operator: str, inputs: list[str], output: str, **attributes: Any) -> Message:
    listed = [
        {"name": name, "ints": value, "type": INTS}
        if isinstance(value, list)
        else {"name": name, "i": value, "ints": [], "type": INT}
        for name, value in attributes.items()
    ]
    return {"op_type": operator, "input": inputs, "output": [output], "attribute": listed}


def _tensor(name: str, *shape: int) -> Message:
    return {"name": name, "data_type": FLOAT, "dims": [*shape]}


def _constant(name: str, value: Any) -> Message:
    array = np.asarray(value)
    kind = INT64 if array.dtype == np.int64 else FLOAT
    content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"name": name, "data_type": kind, "dims": [*array.shape], "raw_data": content}


def _value_info(name: str, data_type: int, shape: Sequence[int]) -> Message:
    dimensions = [{"dim_param": "batch"}, *({"dim_value": size} for size in shape)]
    return {"name": name, "type": {"tensor_type": {"elem_type": data_type, "shape": {"dim": dimensions}}}}


def may_overflow(image_shape: Sequence[int], network: Network, layers: Sequence[Layer]) -> bool:
    """Tell whether a sum in a network may be infinite for any image, and so a probability NaN.

    Args:
        image_shape: Shape of one image.
        network: The operations, as `describe_model` accepts them.
        layers: Weights and biases of each convolution and dense layer.
    """
    # Of each input of a dense layer, or each channel, the largest absolute value: pixels are 0…1
    largest, waiting = np.ones(1, np.float32), iter(layers)
    bounds = [largest]
    with np.errstate(over="ignore", invalid="ignore"):
        for operation in network:
            largest = _bound(operation, largest, bounds, image_shape, waiting)
            if not (largest < MAX_SUM).all():  # which NaN never is
                return True
            bounds.append(largest)
    return False


def _bound(operation: Operation, largest: Any, bounds: list[Any], image_shape: Sequence[int], layers: Any) -> Any:
    """Return the largest absolute values of an operation's outputs from those of its inputs."""
    kind = operation.kind
    if kind in WEIGHTED:
        weights, biases = next(layers)
        if kind == "Gemm":
            return largest @ np.abs(weights) + np.abs(biases)
        kernels = np.abs(weights).sum(axis=(2, 3))  # (outputs, inputs), or one input each where depthwise
        return (kernels[:, 0] * largest if operation.is_depthwise else kernels @ largest) + np.abs(biases)
    if kind == "Flatten" and len(bounds) == 1:  # of the pixels
        return np.ones(prod(image_shape), np.float32)
    if kind == "Transpose":
        return np.repeat(largest, image_shape[2])
    changed = {"Mul": largest * SCALE, "Shift": largest - OFFSET, "Clip": np.minimum(largest, MAX_CLIP)}
    if kind == "Add":
        return largest + bounds[operation.source + 1]
    return changed.get(kind, largest)
