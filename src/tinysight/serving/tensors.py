"""Reads and writes the bodies of the Open Inference Protocol, JSON with binary tensors behind it; does not know HTTP.

Source: the REST part of the Open Inference Protocol, version 2, and its extension `binary_tensor_data`.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Refusal
from .limits import Limits

INPUT, OUTPUT = "images", "probabilities"
UINT8, FP32 = "UINT8", "FP32"


@dataclass(frozen=True)
class InferRequest:
    """What is asked.

    Attributes:
        images: uint8 ``(num_images, *image_shape)``.
        id: The caller's name for the request; empty if there is none.
        is_binary: Whether the probabilities are wanted as bytes.
    """

    images: NDArray[np.uint8]
    id: str
    is_binary: bool


def read_infer_request(
    body: bytes, header_length: str | None, image_shape: tuple[int, ...], limits: Limits
) -> InferRequest:
    """Read the body of a request.

    Args:
        body: JSON, with the bytes of a tensor behind it if `header_length` is given.
        header_length: How long the JSON is, as the header Inference-Header-Content-Length says; None if it is all.
        image_shape: Shape of one image.
        limits: How many images there may be.

    Raises:
        Refusal: 400, or 413 if there are too many images.
    """
    text, tensors = _split(body, header_length)
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(400, "the request is not JSON as far as Inference-Header-Content-Length says") from None
    asked = _checked_object(asked, "the request")
    put = _only_tensor(asked, "inputs", INPUT)
    shape = _checked_shape(put.get("shape"), image_shape, limits.max_images)
    if put.get("datatype") != UINT8:
        raise Refusal(400, f"the datatype of '{INPUT}' is {_shown(put.get('datatype'))}; expected {UINT8}")
    size = _parameters(put).get("binary_data_size")
    images = _from_json(put.get("data"), shape) if size is None else _from_bytes(tensors, size, shape)
    if size is None and tensors:
        raise Refusal(400, f"{len(tensors)} bytes follow the JSON, but no input has the parameter binary_data_size")
    request_id = asked.get("id", "")
    if not isinstance(request_id, str):
        raise Refusal(400, f"the id is {_shown(request_id)}; expected a string")
    return InferRequest(images, request_id, _wants_bytes(asked))


def write_infer_answer(
    request: InferRequest, probabilities: NDArray[np.float32], model: str, version: str
) -> tuple[bytes, int | None]:
    """Write the answer to a request.

    Returns:
        The body, and how long its JSON is if bytes follow it.
    """
    output: dict[str, Any] = {"name": OUTPUT, "datatype": FP32, "shape": list(probabilities.shape)}
    tensor = b""
    if request.is_binary:
        tensor = probabilities.astype("<f4").tobytes()
        output["parameters"] = {"binary_data_size": len(tensor)}
    else:
        output["data"] = probabilities.ravel().tolist()
    answer: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": [output]}
    if request.id:
        answer["id"] = request.id
    text = json.dumps(answer).encode()
    return text + tensor, len(text) if request.is_binary else None


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    length = (
        int(header_length) if header_length.isascii() and header_length.isdigit() and len(header_length) < 12 else -1
    )
    if not 0 <= length <= len(body):
        raise Refusal(
            400, f"Inference-Header-Content-Length is not the length of the JSON in a body of {len(body)} bytes"
        )
    return body[:length], body[length:]


def _only_tensor(asked: dict[str, Any], member: str, name: str) -> dict[str, Any]:
    tensors = asked.get(member)
    if not isinstance(tensors, list) or len(tensors) != 1:
        raise Refusal(400, f"{member} is no list of one tensor; expected one of the name '{name}'")
    tensor = _checked_object(tensors[0], f"the first of {member}")
    if tensor.get("name") != name:
        raise Refusal(400, f"the first of {member} is {_shown(tensor.get('name'))}; expected '{name}'")
    return tensor


def _checked_object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(400, f"{name} is {_shown(value)}; expected a JSON object")
    return value


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    return _checked_object(holder.get("parameters", {}), "parameters")


def _checked_shape(shape: object, image_shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    expected = f"[number of images, {', '.join(map(str, image_shape))}]"
    is_shape = isinstance(shape, list) and all(type(side) is int for side in shape)
    if not is_shape or tuple(shape[1:]) != image_shape or shape[0] < 1:  # type: ignore[index]
        raise Refusal(400, f"the shape of '{INPUT}' is {_shown(shape)}; expected {expected}")
    sides: tuple[int, ...] = tuple(shape)  # type: ignore[arg-type]
    if sides[0] > most:
        raise Refusal(413, f"{_shown(sides[0])} images are too many; send up to {most:,} at once")
    return sides


def _from_bytes(tensors: bytes, size: object, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    expected = math.prod(shape)
    if type(size) is not int or not size == len(tensors) == expected:
        raise Refusal(
            400,
            f"binary_data_size is {_shown(size)} and {len(tensors)} bytes follow the JSON; expected {expected} for the "
            f"shape {list(shape)}",
        )
    return np.frombuffer(tensors, np.uint8).reshape(shape)


def _from_json(data: object, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    listed = data if isinstance(data, list) else []
    try:
        values = np.asarray(listed)
    except (ValueError, OverflowError, RecursionError):  # ragged, or too deep
        values = np.empty(0)
    is_whole = values.dtype.kind == "i" and not _has_booleans(listed, values.ndim)
    if not is_whole or values.min() < 0 or values.max() > 255:
        raise Refusal(400, f"the data of '{INPUT}' is no list of whole numbers from 0 to 255, flat or in its shape")
    if values.size != math.prod(shape) or values.shape not in (shape, (values.size,)):
        raise Refusal(400, f"the data of '{INPUT}' has the shape {list(values.shape)[:8]}; expected {list(shape)}")
    return values.astype(np.uint8).reshape(shape)


def _has_booleans(data: Iterable[Any], num_axes: int) -> bool:
    """Tell whether there are booleans among whole numbers, where NumPy reads them as 0 and 1."""
    for _ in range(num_axes - 1):
        data = chain.from_iterable(data)
    return bool in map(type, data)


def _wants_bytes(asked: dict[str, Any]) -> bool:
    """Tell whether the probabilities are wanted as bytes; an output's own parameter goes before the request's."""
    wanted = _parameters(asked).get("binary_data_output", False)
    if asked.get("outputs"):
        parameters = _parameters(_only_tensor(asked, "outputs", OUTPUT))
        if unknown := set(parameters) - {"binary_data"}:
            raise Refusal(400, f"the parameter {_shown(min(unknown))} of '{OUTPUT}' is not known; expected binary_data")
        wanted = parameters.get("binary_data", wanted)
    if not isinstance(wanted, bool):
        raise Refusal(400, f"a parameter on binary data is {_shown(wanted)}; expected true or false")
    return wanted


def _shown(value: object) -> str:
    """Show a little of what was received."""
    text = (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str | int | float | None) else type(value).__name__
    )
    return text if len(text) <= 40 else f"{text[:40]}…"
