"""The classifier's file: an ONNX graph with its metadata, written and checked; does not know pictures or training.

The graph takes ``images``, uint8 ``(batch, height, width[, 3])``, and gives ``probabilities``, float32
``(batch, num_classes)``. It divides by 255 itself. Each metadata entry is JSON.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingExtraError, ModelFileError
from .files import read_at_most
from .onnx_reader import ExternalData, check_graph

if TYPE_CHECKING:
    import onnxruntime

FORMAT = 1  # counted up when older versions of Tinysight could no longer read the file
MAX_MODEL_BYTES = 2**30
OPSET, IR_VERSION = 17, 8  # old enough for every ONNX Runtime since 1.12, of May 2022

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights (inputs, outputs) and biases (outputs,)


def build_graph(image_shape: Sequence[int], dense_layers: Sequence[Layer], metadata: Mapping[str, Any]) -> bytes:
    """Write a dense network with ReLU between its layers and softmax behind the last as a checked ONNX model.

    Args:
        image_shape: Shape of one image, ``(height, width)`` or ``(height, width, 3)``.
        dense_layers: float32 weights ``(inputs, outputs)`` and biases ``(outputs,)`` of each layer.
        metadata: What is stored with the graph; each value must be what JSON can hold.

    Raises:
        MissingExtraError: The package ``onnx`` is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingExtraError("writing a classifier", "train") from error
    nodes = [
        helper.make_node("Cast", ["images"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "white"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["flat"], axis=1),
    ]
    constants = [numpy_helper.from_array(np.float32(255), "white")]
    x = "flat"
    for number, (weights, biases) in enumerate(dense_layers, 1):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(weights, np.float32), f"weights{number}"))
        constants.append(numpy_helper.from_array(np.ascontiguousarray(biases, np.float32), f"biases{number}"))
        nodes.append(helper.make_node("Gemm", [x, f"weights{number}", f"biases{number}"], [f"dense{number}"]))
        x = f"dense{number}"
        if number < len(dense_layers):
            nodes.append(helper.make_node("Relu", [x], [f"relu{number}"]))
            x = f"relu{number}"
    nodes.append(helper.make_node("Softmax", [x], ["probabilities"], axis=1))
    num_classes = len(dense_layers[-1][1])
    graph = helper.make_graph(
        nodes,
        "tinysight",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *image_shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", num_classes])],
        constants,
    )
    model = helper.make_model(
        graph, producer_name="tinysight", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def replace_metadata(data: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Return a classifier's file with other metadata around the same graph.

    Raises:
        MissingExtraError: The package ``onnx`` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("writing a classifier", "train") from error
    model = onnx.load_from_string(data)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    replaced: bytes = model.SerializeToString(deterministic=True)
    return replaced


def read_model_bytes(path: Path) -> bytes:
    """Return the bytes of a classifier's file.

    Raises:
        ModelFileError: There is no such file, or it is too large to be one.
    """
    try:
        return read_at_most(path, MAX_MODEL_BYTES)
    except IsADirectoryError:
        message = f"{path}: is a folder; expected a classifier file, such as {path / 'model.onnx'}"
        raise ModelFileError(message) from None
    except FileNotFoundError:
        raise ModelFileError(f"{path}: there is no such classifier file; 'tinysight train' writes one") from None
    except OSError as error:
        raise ModelFileError(f"{path}: {error}") from None


def open_session(data: bytes, name: str, num_threads: int = 0) -> "tuple[onnxruntime.InferenceSession, dict[str, Any]]":
    """Load a classifier's file for prediction, and refuse any other.

    Args:
        data: Bytes of the file.
        name: What error messages call it.
        num_threads: How many threads run the graph; 0 is one for each core.

    Returns:
        The ONNX Runtime session and the metadata.

    Raises:
        ModelFileError: Not ONNX, damaged, not ours, or with weights in another file.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else its maker is told of the machine; read at the import
    import onnxruntime  # starts a thread, which a process that divides had better not have yet

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4  # what goes wrong is raised; nothing is printed beside it
    options.add_session_config_entry("session.load_model_format", "ONNX")  # as `check_graph` reads it
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting leaves the cores to others
    try:
        check_graph(data)
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except ExternalData:
        raise ModelFileError(f"{name}: keeps its weights in another file; not a Tinysight classifier") from None
    except Exception:  # ONNX Runtime's exceptions have no common base but Exception
        raise ModelFileError(f"{name}: not a classifier file, or a damaged one; train it or fetch it again") from None
    return session, _checked_metadata(session, name)


def _checked_metadata(session: "onnxruntime.InferenceSession", name: str) -> dict[str, Any]:
    stored = session.get_modelmeta().custom_metadata_map
    if "tinysight_format" not in stored:
        raise _foreign(name)
    try:
        metadata = {key: json.loads(value) for key, value in stored.items()}
        version, class_names = metadata["tinysight_format"], metadata["class_names"]
        framing = metadata["framing"]
        shape = [framing["height"], framing["width"], *([framing["channels"]] if framing["channels"] != 1 else [])]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError(f"{name}: its metadata is damaged; train it or fetch it again") from None
    if version != FORMAT:
        raise ModelFileError(f"{name}: has format {version}, this version reads format {FORMAT}; update Tinysight")
    if not _is_list_of_names(class_names):
        raise ModelFileError(f"{name}: its class names are damaged; train it or fetch it again")
    inputs = [(put.name, put.type, put.shape[1:]) for put in session.get_inputs()]
    outputs = [(put.name, put.type, put.shape[1:]) for put in session.get_outputs()]
    expected_inputs = [("images", "tensor(uint8)", shape)]
    expected_outputs = [("probabilities", "tensor(float)", [len(class_names)])]
    if inputs != expected_inputs or outputs != expected_outputs:
        raise _foreign(name)
    return metadata


def _foreign(name: str) -> ModelFileError:
    return ModelFileError(f"{name}: an ONNX model, but not a Tinysight classifier; 'tinysight train' writes one")


def _is_list_of_names(names: object) -> bool:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    return 2 <= len(names) == len(set(names))
