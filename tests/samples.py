"""Pictures that tests make."""

import base64
import io
import json
import re

import numpy as np
from PIL import Image

from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.onnx_graph import Operation
from tinysight.preprocessing.framing import Framing


def as_png(picture):
    """Return uint8 pixels, or a Pillow image, as the bytes of a PNG file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def stored_in(page):
    """Return what an exported page holds: its classifier."""
    (text,) = re.findall(r'<script type="application/json" id="classifier">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def unpacked(layer):
    """Return weights and biases of a layer in an exported page."""
    shape = layer["outputs"], layer["inputs"]
    whole = np.frombuffer(base64.b64decode(layer["weights"]), np.int8).reshape(shape)
    scales, biases = (np.frombuffer(base64.b64decode(layer[key]), "<f4") for key in ("scales", "biases"))
    return (whole * scales[:, None]).T.astype(np.float32), biases


# Convolutions, one of them depthwise, pooling, a sum and every activation
PHOTOGRAPH_NETWORK = (
    Operation("Mul"), Operation("Shift"), Operation("Transpose"), Operation("Conv", 3, 2), Operation("Clip"),
    Operation("Conv", 3, 1, is_depthwise=True), Operation("Relu"), Operation("Conv", 1, 1),
    Operation("Add", source=4), Operation("MaxPool", 2), Operation("GlobalAveragePool"), Operation("Flatten"),
    Operation("Gemm"), Operation("Softmax"),
)  # fmt: skip
PHOTOGRAPH_SHAPES = ((4, 3, 3, 3), (4, 1, 3, 3), (4, 4, 1, 1), (4, 2))


# As the convolutional network is written: the same operations for images with other sides, in grey or colour
CONVOLUTIONAL_SHAPES = ((4, 1, 4, 4), (5, 4, 3, 3), (6, 5, 3, 3), (6, 3))


def convolutional_network(num_channels=1):
    """Return the operations of a small convolutional network."""
    rest = [Operation("Conv", 4, 2), Operation("Relu")]
    rest += [Operation("Conv", 3, 1), Operation("MaxPool", 2), Operation("Relu"), Operation("Conv", 3, 1)]
    rest += [Operation(kind) for kind in ("Relu", "GlobalAveragePool", "Flatten", "Gemm", "Softmax")]
    return (Operation("Unsqueeze" if num_channels == 1 else "Transpose"), *rest)


def convolutional_model(height=9, width=12, num_channels=1):
    """Return the file of a small convolutional classifier of three classes with random weights."""
    rng = np.random.default_rng(0)
    shapes = [(4, num_channels, 4, 4), *CONVOLUTIONAL_SHAPES[1:]]
    layers = [
        (0.5 * rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[-1] if len(shape) == 2 else shape[0]))
        for shape in shapes
    ]
    framing = Framing("whole", height, width, num_channels)
    return build_model(layers, ModelMetadata(("a", "b", "c"), framing), convolutional_network(num_channels))


# The same with a hidden layer that has another activation than ReLU
CLIPPED_NETWORK = (*PHOTOGRAPH_NETWORK[:-1], *map(Operation, ("Clip", "Gemm", "Softmax")))
CLIPPED_SHAPES = (*PHOTOGRAPH_SHAPES[:-1], (4, 3), (3, 2))


def photograph_model(network=PHOTOGRAPH_NETWORK, scale=1.0, shapes=PHOTOGRAPH_SHAPES):
    """Return the file of a classifier with convolutions and random weights, for images of 8×9 pixels in colour."""
    rng = np.random.default_rng(0)
    layers = [
        (scale * rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[-1] if len(shape) == 2 else shape[0]))
        for shape in shapes
    ]
    return build_model(layers, ModelMetadata(("a", "b"), Framing("whole", 8, 9, 3)), network)
