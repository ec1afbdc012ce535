"""EfficientNet-Lite0 from stock Keras layers, without batch normalization: that is folded into the weights.

Sources: M. Tan, Q. V. Le, "EfficientNet", https://arxiv.org/abs/1905.11946. Lite leaves out squeeze-and-excitation and
has ReLU6 for swish: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..onnx_graph import OFFSET, SCALE, Layer
from . import networks  # noqa: F401 - keeps TensorFlow's messages on import off the terminal
from .onnx_writer import fold_batch_norm

import keras  # isort: skip - after networks
from keras import layers  # isort: skip

EPSILON = 1e-3  # of the network's batch normalization
NUM_FEATURES = 1_280
UNSET = "zeros"  # until `set_pretrained`; random numbers would take a second to draw


class Stage(NamedTuple):
    """Some blocks in a row: a depthwise convolution between two of 1×1, the first of which widens the input."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320),
)  # fmt: skip


def efficientnet_lite0(image_shape: tuple[int, ...]) -> keras.Model:
    """Build the network up to its features.

    Args:
        image_shape: ``(height, width, 3)``, or ``(height, width)`` for grey images.

    Returns:
        A model from float32 images in 0…1, shape ``(batch, *image_shape)``, to features ``(batch, 1280)``.
    """
    images = keras.Input(image_shape)
    x = layers.Rescaling(float(SCALE), float(OFFSET))(images)
    if len(image_shape) == 2:
        x = layers.Reshape((*image_shape, 1))(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu6", kernel_initializer=UNSET)(x)
    for stage in STAGES:
        for number in range(stage.blocks):
            x = _block(x, stage, stage.stride if number == 0 else 1)
    x = layers.Conv2D(NUM_FEATURES, 1, activation="relu6", kernel_initializer=UNSET)(x)
    return keras.Model(images, layers.GlobalAveragePooling2D()(x))


def _block(x: keras.KerasTensor, stage: Stage, stride: int) -> keras.KerasTensor:
    channels, y = x.shape[-1], x
    if stage.expansion > 1:
        y = layers.Conv2D(stage.expansion * channels, 1, activation="relu6", kernel_initializer=UNSET)(y)
    y = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", activation="relu6", depthwise_initializer=UNSET
    )(y)
    y = layers.Conv2D(stage.channels, 1, kernel_initializer=UNSET)(y)
    return layers.Add()([y, x]) if y.shape == x.shape else y


def folded_layers(tensors: Mapping[str, NDArray[np.float32]]) -> list[Layer]:
    """Return the weights of the network's convolutions in their order, with batch normalization folded in.

    Args:
        tensors: The pretrained weights by name, see `read_weights`; kernels are ``(outputs, inputs, rows, columns)``.
    """
    names = [("_conv_stem", "_bn0")]
    for block in range(sum(stage.blocks for stage in STAGES)):
        path = f"_blocks.{block}"
        names += [(f"{path}._expand_conv", f"{path}._bn0")] if block else []  # the first block does not widen
        names += [(f"{path}._depthwise_conv", f"{path}._bn1"), (f"{path}._project_conv", f"{path}._bn2")]
    return [_folded(tensors, *pair) for pair in [*names, ("_conv_head", "_bn1")]]


def _folded(tensors: Mapping[str, NDArray[np.float32]], conv: str, norm: str) -> Layer:
    kernel = tensors[f"{conv}.weight"]
    statistics = [tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    return fold_batch_norm((kernel, np.zeros(len(kernel), np.float32)), statistics, EPSILON)


def set_pretrained(model: keras.Model, pretrained: Sequence[Layer]) -> None:
    """Put pretrained weights into a network of `efficientnet_lite0`, or into its first layers.

    Args:
        model: The network. For grey images the first kernels are summed over red, green and blue.
        pretrained: What `folded_layers` returns.
    """
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)]
    for layer, (kernel, biases) in zip(convolutions, pretrained, strict=True):
        if isinstance(layer, layers.DepthwiseConv2D):
            turned = kernel.transpose(2, 3, 0, 1)
        else:
            turned = kernel.transpose(2, 3, 1, 0)
        if layer.kernel.shape[2] == 1 and turned.shape[2] == 3:
            turned = turned.sum(axis=2, keepdims=True)
        layer.set_weights([turned, biases])
