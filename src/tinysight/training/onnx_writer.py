"""Turns a Keras model of stock layers into the operations and weights of a classifier's file.

Batch normalization is folded into the weights of the layer before it; dropout layers are left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TinysightError
from ..onnx_graph import OFFSET, SCALE, Layer, Network, Operation

NEEDED_FOR_IMAGES = ("Conv2D", "DepthwiseConv2D", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D")
ACTIVATIONS = {"linear": (), "relu": (Operation("Relu"),), "relu6": (Operation("Clip"),)}


def operations_and_weights(model: Any) -> tuple[Network, list[Layer]]:
    """Return what a Keras model computes, as `build_model` writes it.

    Args:
        model: A chain of stock layers from float32 images in 0…1, ``(batch, height, width[, 3])``, to probabilities;
            ``Add`` layers may add an earlier output to the last one.

    Raises:
        TinysightError: It has a layer, or an option of one, that a classifier's file has no operation for.
    """
    chain = _Chain(model.inputs[0], is_sequential=type(model).__name__ == "Sequential")
    for layer in model.layers:
        chain.add(layer)
    return tuple(chain.operations), chain.weights


class _Chain:
    """The operations so far; `outputs` has the number of the operation that gives each Keras tensor, by its id."""

    def __init__(self, images: Any, *, is_sequential: bool) -> None:
        self.operations: list[Operation] = []
        self.weights: list[Layer] = []
        self._last, self._outputs = images, {id(images): -1}
        self._is_sequential = is_sequential  # then the order is that of the layers
        self._has_channels_first = False

    def add(self, layer: Any) -> None:
        """Add what a layer computes."""
        kind = type(layer).__name__
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        if kind != "InputLayer":
            if kind in NEEDED_FOR_IMAGES and not self._has_channels_first:
                self.operations.append(Operation("Transpose"))
                self._has_channels_first = True
            writer = getattr(self, f"_{kind}", None)
            if writer is None:
                raise _no_operation(layer, "this kind of layer")
            follows = self._is_sequential or any(one is self._last for one in inputs)
            if not follows or (len(inputs) > 1 and kind != "Add"):
                raise _no_operation(layer, "its place: it does not follow the layer before it")
            writer(layer)
        self._last = layer.output
        self._outputs[id(layer.output)] = len(self.operations) - 1

    def _activate(self, layer: Any) -> None:
        name = layer.activation.__name__
        if name == "softmax":
            self.operations.append(Operation("Softmax"))
        elif name in ACTIVATIONS:
            self.operations += ACTIVATIONS[name]
        else:
            raise _no_operation(layer, f"activation {name}")

    _Activation = _activate

    def _ReLU(self, layer: Any) -> None:  # noqa: N802 - named as the Keras layer
        if layer.max_value not in (None, 6) or layer.negative_slope or layer.threshold:
            raise _no_operation(layer, "another bound than 6")
        self.operations += ACTIVATIONS["relu6" if layer.max_value else "relu"]

    def _Dropout(self, layer: Any) -> None:  # noqa: N802
        """Dropout changes nothing outside of training."""

    def _Rescaling(self, layer: Any) -> None:  # noqa: N802
        if not np.allclose([layer.scale, layer.offset], [SCALE, OFFSET], rtol=1e-6):
            raise _no_operation(layer, f"scale {layer.scale} and offset {layer.offset}")
        self.operations += [Operation("Mul"), Operation("Shift")]

    def _Reshape(self, layer: Any) -> None:  # noqa: N802
        if self._has_channels_first or layer.output.shape[1:] != (*layer.input.shape[1:], 1):
            raise _no_operation(layer, "another shape than that of grey images with one channel")
        self._has_channels_first = True
        self.operations.append(Operation("Unsqueeze"))

    def _Flatten(self, layer: Any) -> None:  # noqa: N802
        if self._has_channels_first:
            raise _no_operation(layer, "its place; expected GlobalAveragePooling2D")
        self.operations.append(Operation("Flatten"))

    def _GlobalAveragePooling2D(self, layer: Any) -> None:  # noqa: N802
        self.operations += [Operation("GlobalAveragePool"), Operation("Flatten")]

    def _MaxPooling2D(self, layer: Any) -> None:  # noqa: N802
        self._pool(layer, "MaxPool")

    def _AveragePooling2D(self, layer: Any) -> None:  # noqa: N802
        self._pool(layer, "AveragePool")

    def _pool(self, layer: Any, operator: str) -> None:
        size = layer.pool_size[0]
        if layer.padding != "valid" or {*layer.pool_size, *layer.strides} != {size}:
            raise _no_operation(layer, "windows that overlap, are not square or are padded")
        self.operations.append(Operation(operator, size))

    def _Add(self, layer: Any) -> None:  # noqa: N802
        others = [one for one in layer.input if one is not self._last]
        if len(layer.input) != 2 or len(others) != 1:
            raise _no_operation(layer, "another sum than of the last output and an earlier one")
        self.operations.append(Operation("Add", source=self._outputs[id(others[0])]))

    def _Dense(self, layer: Any) -> None:  # noqa: N802
        self._append_weights(layer, Operation("Gemm"), layer.kernel)

    def _Conv2D(self, layer: Any) -> None:  # noqa: N802
        if layer.groups != 1:
            raise _no_operation(layer, f"{layer.groups} groups")
        self._conv(layer, is_depthwise=False)

    def _DepthwiseConv2D(self, layer: Any) -> None:  # noqa: N802
        if layer.depth_multiplier != 1:
            raise _no_operation(layer, f"depth multiplier {layer.depth_multiplier}")
        self._conv(layer, is_depthwise=True)

    def _conv(self, layer: Any, *, is_depthwise: bool) -> None:
        size, stride = layer.kernel_size[0], layer.strides[0]
        is_square = {*layer.kernel_size} == {size} and {*layer.strides} == {stride}
        if not is_square or {*layer.dilation_rate} != {1} or (layer.padding != "same" and (size, stride) != (1, 1)):
            raise _no_operation(layer, "kernels that are not square, dilated or without padding 'same'")
        axes = (2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1)
        kernel = np.transpose(np.asarray(layer.kernel), axes)
        self._append_weights(layer, Operation("Conv", size, stride, is_depthwise), kernel)

    def _append_weights(self, layer: Any, operation: Operation, kernel: Any) -> None:
        kernel = np.asarray(kernel, np.float32)
        outputs = kernel.shape[1] if operation.kind == "Gemm" else kernel.shape[0]
        biases = np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(outputs, np.float32)
        self.operations.append(operation)
        self.weights.append((kernel, biases))
        self._activate(layer)

    def _BatchNormalization(self, layer: Any) -> None:  # noqa: N802
        if not self.operations or self.operations[-1].kind not in ("Conv", "Gemm"):
            raise _no_operation(layer, "its place; expected it behind a layer with weights and without activation")
        gamma = np.asarray(layer.gamma) if layer.scale else np.float32(1)
        beta = np.asarray(layer.beta) if layer.center else np.float32(0)
        self.weights[-1] = fold_batch_norm(
            self.weights[-1],
            (gamma, beta, np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)),
            layer.epsilon,
        )


def fold_batch_norm(layer: Layer, statistics: Sequence[Any], epsilon: float) -> Layer:
    """Return weights and biases that compute what a layer and the batch normalization behind it compute.

    Args:
        layer: Weights, ``(inputs, outputs)`` or ``(outputs, inputs, rows, columns)``, and biases ``(outputs,)``.
        statistics: Scale, shift, mean and variance of the batch normalization, each ``(outputs,)``.
        epsilon: What is added to the variance.

    Source: B. Jacob et al., https://arxiv.org/abs/1712.05877, section 3.2.
    """
    weights, biases = (np.asarray(array, np.float64) for array in layer)
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in statistics)
    factor = gamma / np.sqrt(variance + epsilon)
    scaled: NDArray[np.float64] = weights * (factor if weights.ndim == 2 else factor.reshape(-1, 1, 1, 1))
    return scaled.astype(np.float32), (beta + (biases - mean) * factor).astype(np.float32)


def _no_operation(layer: Any, what: str) -> TinysightError:
    return TinysightError(f"layer {layer.name} ({type(layer).__name__}): a classifier's file cannot hold {what}")
