"""Writes and opens the classifier's file: an ONNX graph with its metadata.

The graph takes ``images``, uint8 ``(batch, height, width[, 3])``, and gives ``probabilities``, float32
``(batch, num_classes)``. It divides by 255 itself. Each metadata entry is JSON; one is a hash of all the rest.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError
from .escapes import printable
from .files import read_at_most
from .onnx_graph import Layer, Message, Network, dense_network, describe_model, is_dense
from .onnx_reader import MODEL, Graph, Schema, read_graph
from .preprocessing.framing import Framing

if TYPE_CHECKING:
    import onnxruntime

FORMAT_KEY, FORMAT = "tinysight_format", 3  # counted up when older versions of Tinysight could not read the file
HASH_KEY = "sha256"  # of the content; files of format 1 may lack it
FORMAT_WITH_SHORT_HASHES = 2  # and before: hashes of training images have four bytes
MAX_MODEL_BYTES = 2**30


@dataclass(frozen=True)
class DataSource:
    """The image set that a classifier was trained on.

    Attributes:
        name: What it was loaded by, such as ``mnist``.
        sha256: `ImageSet.data_hash` of it, in hexadecimal.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime and Keras agree on the same images.

    Attributes:
        num_images: How many images were compared.
        max_difference: Largest difference of a probability.
        num_other_classes: On how many images the most probable class differs.
    """

    num_images: int
    max_difference: float
    num_other_classes: int


@dataclass(frozen=True)
class MeasuredAccuracy:
    """The accuracy on test images.

    Attributes:
        num_images: How many images were scored.
        accuracy: Share of them that was classified correctly, 0…1.
        accuracy_interval: Its 95 % interval; empty where it was not measured.
    """

    num_images: int
    accuracy: float
    accuracy_interval: tuple[float, ...] = ()


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights of the network that were not trained on the classifier's images.

    Attributes:
        origin: Which network they are of, and what it was trained on.
        licence: Their licence, by its SPDX name.
        sha256: SHA-256 of the file that they were read from, in hexadecimal.
    """

    origin: str
    licence: str
    sha256: str


@dataclass(frozen=True)
class ModelMetadata:
    """What is stored with a classifier's graph. Each attribute is an entry of the file under the attribute's name.

    Attributes:
        class_names: Name of each class, in the order of the probabilities.
        framing: How a picture becomes the network's input.
        data: What it was trained on.
        settings: How it was trained, as what JSON can hold.
        training_hashes: First eight bytes of the SHA-256 of each image that trained it or chose its best epoch, uint64
            ``(num_images,)``, as `hash_numbers` gives them; of files of format 1 and 2 the first four bytes, uint32.
            Empty where they are not stored. Not compared by ``==``.
        parity: Agreement of ONNX Runtime with Keras on the validation images.
        reject_below: Probability below which a picture is probably of no class, 0…1; 0 where it was not measured.
        test: Accuracy on the test images.
        temperature: By what the network's logits were divided (temperature scaling); None where it is not known.
        pretrained: Where the weights come from that the training left as they are; None where it trained all.
    """

    class_names: tuple[str, ...]
    framing: Framing
    data: DataSource | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    training_hashes: NDArray[np.unsignedinteger] = field(default_factory=lambda: np.empty(0, np.uint64), compare=False)
    parity: Parity | None = None
    reject_below: float = 0.0
    test: MeasuredAccuracy | None = None
    temperature: float | None = None
    pretrained: PretrainedWeights | None = None

    def to_properties(self) -> dict[str, str]:
        """Return the entries of the file; what was not measured is left out.

        Raises:
            ValueError: A number is NaN or infinite, which JSON cannot hold.
        """
        hashes = self.training_hashes
        version = FORMAT if hashes.dtype == np.uint64 else FORMAT_WITH_SHORT_HASHES
        entries = {FORMAT_KEY: version, **{key: value for key, value in asdict(self).items() if value is not None}}
        entries["training_hashes"] = b64encode(hashes.astype(hashes.dtype.newbyteorder(">")).tobytes()).decode()
        return {key: json.dumps(value, allow_nan=False) for key, value in entries.items()}

    @classmethod
    def from_properties(cls, stored: Mapping[str, str], name: str = "the classifier") -> "ModelMetadata":
        """Check the entries of a file; those that this version does not know are ignored.

        Args:
            stored: The entries.
            name: What error messages call the file.

        Raises:
            ModelFileError: It is not a classifier's file, it is of another format, or an entry is damaged.
        """
        if FORMAT_KEY not in stored:
            raise ModelFileError(f"{name}: an ONNX model, but not a Tinysight classifier; 'tinysight train' writes one")
        version = _read_entry(FORMAT_KEY, stored, name, READERS)
        if not 1 <= version <= FORMAT:
            raise ModelFileError(f"{name}: has format {version}, this version reads 1 to {FORMAT}; update Tinysight")
        required = ("class_names", "framing")
        found = [entry.name for entry in fields(cls) if entry.name in stored or entry.name in required]
        readers = READERS | READERS_OF_SHORT_HASHES if version <= FORMAT_WITH_SHORT_HASHES else READERS
        return cls(**{key: _read_entry(key, stored, name, readers) for key in found})


def _read_entry(key: str, stored: Mapping[str, str], name: str, readers: "Readers") -> Any:
    """Return the checked value of an entry."""
    try:
        return readers[key](json.loads(stored[key], parse_float=_finite_number, parse_constant=_finite_number))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise ModelFileError(f"{name}: its metadata is damaged ({key}); train it or fetch it again") from None


def _finite_number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("NaN or infinite")
    return number


def _of_type(kind: Any, value: Any) -> Any:
    if type(value) is not kind:  # a bool is an int, but not here
        raise TypeError(f"got {type(value)}, expected {kind}")
    return value


def _read_names(value: Any) -> tuple[str, ...]:
    names = tuple(printable(_of_type(str, name)) for name in _of_type(list, value))
    if not 2 <= len(names) == len(set(names)):
        raise ValueError("fewer than two class names, or one twice")
    return names


def _read_hashes(num_bytes: int, value: Any) -> NDArray[np.unsignedinteger]:
    hashes = np.frombuffer(b64decode(_of_type(str, value), validate=True), f">u{num_bytes}")
    return hashes.astype(f"=u{num_bytes}")


def _read_share(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError("expected a number from 0 to 1")
    return float(value)


def _read_temperature(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < 1_000_000:
        raise ValueError("expected a number above 0 and below a million")
    return float(value)


def _read_object(kind: Any, value: Any) -> Any:
    """Make a dataclass of a JSON object, whose values must have the types of the fields; a list is one of floats."""
    types = {one.name: get_origin(one.type) or one.type for one in fields(kind)}
    values = {}
    for key, one in _of_type(dict, value).items():
        listed = tuple(_of_type(float, number) for number in one) if isinstance(one, list) else one
        values[key] = _of_type(types[key], printable(listed) if isinstance(listed, str) else listed)
    return kind(**values)


Readers = dict[str, Callable[[Any], Any]]
READERS: Readers = {  # of each entry's JSON
    FORMAT_KEY: partial(_of_type, int),
    "class_names": _read_names,
    "framing": partial(_read_object, Framing),
    "data": partial(_read_object, DataSource),
    "settings": partial(_of_type, dict),
    "training_hashes": partial(_read_hashes, 8),
    "parity": partial(_read_object, Parity),
    "reject_below": _read_share,
    "test": partial(_read_object, MeasuredAccuracy),
    "temperature": _read_temperature,
    "pretrained": partial(_read_object, PretrainedWeights),
}
READERS_OF_SHORT_HASHES: Readers = {"training_hashes": partial(_read_hashes, 4)}


def build_model(layers: Sequence[Layer], metadata: ModelMetadata, network: Network | None = None) -> bytes:
    """Write a network with its metadata as an ONNX model; the same arguments give the same bytes.

    Args:
        layers: float32 weights and biases ``(outputs,)`` of each layer, first to last. Weights are ``(inputs,
            outputs)`` in a dense layer, ``(outputs, inputs, rows, columns)`` in a convolution.
        metadata: What is stored with it; its framing gives the shape of an image.
        network: The operations; by default those of a dense network.
    """
    network, image_shape = network or dense_network(len(layers)), metadata.framing.image_shape
    model = describe_model(image_shape, network, [len(biases) for _, biases in layers])
    _put_weights(model, layers)
    properties = metadata.to_properties()
    properties[HASH_KEY] = json.dumps(content_hash(image_shape, layers, properties, network))
    model["metadata_props"] = [{"key": key, "value": value} for key, value in properties.items()]
    return _encode(model, MODEL)


def build_feature_model(layers: Sequence[Layer], image_shape: Sequence[int], network: Network) -> bytes:
    """Write a network that ends before softmax as an ONNX model, which is no classifier's file.

    Args:
        layers: Weights and biases, as for `build_model`.
        image_shape: Shape of one image.
        network: The operations.
    """
    model = describe_model(image_shape, network, [len(biases) for _, biases in layers], is_classifier=False)
    _put_weights(model, layers)
    return _encode(model, MODEL)


def _put_weights(model: Message, layers: Sequence[Layer]) -> None:
    """Give each tensor that is no constant the bytes of its weights."""
    weights = [tensor for tensor in model["graph"]["initializer"] if "raw_data" not in tensor]
    for tensor, array in zip(weights, [array for layer in layers for array in layer], strict=True):
        tensor["raw_data"] = np.asarray(array, "<f4").tobytes()


def content_hash(
    image_shape: Sequence[int], layers: Sequence[Layer], properties: Mapping[str, str], network: Network | None = None
) -> str:
    """Return the SHA-256 of all that a classifier's file holds but the hash itself, in hexadecimal.

    Args:
        image_shape: Shape of one image.
        layers: Weights and biases of each layer, first to last.
        properties: The metadata, as it is stored.
        network: The operations; by default those of a dense network, which are not hashed.
    """
    others = sorted((key, value) for key, value in properties.items() if key != HASH_KEY)
    operations = [] if network is None or is_dense(network) else [network]
    facts = [[*image_shape], [weights.shape for weights, _ in layers], others, *operations]
    digest = sha256(json.dumps(facts).encode())
    for layer in layers:
        for array in layer:
            digest.update(np.ascontiguousarray(array, "<f4").data)
    return digest.hexdigest()


def _encode(message: Message, schema: Schema) -> bytes:
    """Return a message in protobuf's encoding, its fields in the order of their numbers."""
    encoded: list[bytes] = []  # joined at once: the weights are copied as few times as can be
    for number, (name, kind) in schema.items():
        if name not in message:
            continue
        for value in message[name] if isinstance(kind, list) else [message[name]]:
            if isinstance(value, int):
                encoded += [_encode_number(number << 3), _encode_number(value)]
                continue
            content = value.encode() if isinstance(value, str) else value
            if isinstance(value, dict):
                content = _encode(value, kind[0] if isinstance(kind, list) else kind)
            encoded += [_encode_number(number << 3 | 2), _encode_number(len(content)), content]
    return b"".join(encoded)


def _encode_number(number: int) -> bytes:
    """Return a number as protobuf writes it: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


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


def read_model(data: bytes, name: str = "the classifier") -> tuple[Graph, ModelMetadata]:
    """Check the bytes of a classifier's file and read what is in it; ONNX Runtime is not needed.

    Args:
        data: The bytes.
        name: What error messages call the file.

    Raises:
        ModelFileError: It is not a classifier's file, or a damaged one.
    """
    graph = read_graph(data, name)
    metadata = ModelMetadata.from_properties(graph.properties, name)
    if (graph.image_shape, graph.num_classes) != (metadata.framing.image_shape, len(metadata.class_names)):
        fault = "the shapes of its graph are not those of its metadata"
        raise ModelFileError(f"{name}: an ONNX model, but not a Tinysight classifier; {fault}")
    _check_hash(graph, name)
    return graph, metadata


def _check_hash(graph: Graph, name: str) -> None:
    """Raise `ModelFileError` unless the content is as it was written; files of format 1 may lack the hash."""
    stored = graph.properties
    if HASH_KEY not in stored and stored[FORMAT_KEY] == "1":
        return
    if stored.get(HASH_KEY) != json.dumps(content_hash(graph.image_shape, graph.layers, stored, graph.network)):
        fault = "its content does not match the SHA-256 in it: it was damaged or edited"
        raise ModelFileError(f"{name}: {fault}; train it or fetch it again")


def open_session(data: bytes, name: str, num_threads: int = 0) -> "onnxruntime.InferenceSession":
    """Load a classifier's file for prediction.

    Args:
        data: The bytes, which `read_model` has accepted.
        name: What error messages call the file.
        num_threads: How many threads run the graph; 0 is one for each core.

    Raises:
        ModelFileError: ONNX Runtime cannot load it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at the import; else it reports about the machine
    import onnxruntime  # starts a thread: import only after forking

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4  # errors are raised; nothing is printed beside them
    options.add_session_config_entry("session.load_model_format", "ONNX")  # as `read_graph` reads it
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait leave cores to others
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:  # ONNX Runtime's exceptions have no common base but Exception
        raise ModelFileError(f"{name}: not a classifier file, or a damaged one; train it or fetch it again") from None
