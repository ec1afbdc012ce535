"""Reads and writes the bodies of the Open Inference Protocol: JSON, with binary tensors after it if wanted.

Source: the REST part of the Open Inference Protocol, version 2, and its extension `binary_tensor_data`.
"""

import json
import math
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from .bounded_json import parse_json
from .limits import Limits

INPUT, OUTPUT = "images", "probabilities"
UINT8, FP32, BYTES = "UINT8", "FP32", "BYTES"
MEMBERS_SHOWN = 8  # of a list, in an error
MAX_SHOWN = 40  # characters of a value, in an error


@dataclass(frozen=True)
class ParsedRequest:
    """An inference request, read and checked.

    Attributes:
        images: uint8 ``(num_images, *image_shape)``.
        id: The client's name for the request; empty if it gave none.
        is_binary: Whether the probabilities are wanted as bytes.
    """

    images: NDArray[np.uint8]
    id: str
    is_binary: bool


def parse_inference_request(
    body: bytes, header_length: str | None, image_shape: tuple[int, ...], limits: Limits
) -> ParsedRequest:
    """Read and check the body of an inference request.

    Args:
        body: JSON, followed by the bytes of a tensor if `header_length` is given.
        header_length: Length of the JSON in bytes, from the header Inference-Header-Content-Length; None if the whole
            body is JSON.
        image_shape: Shape of one image.
        limits: How many images there may be.

    Raises:
        HTTPException: 400, or 413 if there are too many images.
    """
    # Split the body, and read its JSON.
    text, tensor = _split(body, header_length)
    try:
        decoded = parse_json(text, limits.max_json_values)
    except ValueError:
        message = "the request is not JSON; with a binary tensor, Inference-Header-Content-Length is the JSON's length"
        raise HTTPException(400, message) from None
    request = _checked_object(decoded, "the request")
    # Check the only input.
    put = _only_tensor(request, "inputs", INPUT)
    _check_datatype(put.get("datatype"))
    shape = _checked_shape(put.get("shape"), image_shape, limits.max_images)
    # Take the images from the JSON, or from the bytes after it.
    size = _parameters(put).get("binary_data_size")
    images = _from_json(put.get("data"), shape) if size is None else _from_bytes(tensor, size, shape)
    if size is None and tensor:
        message = f"{len(tensor)} bytes follow the JSON, but the input has no parameter binary_data_size"
        raise HTTPException(400, message)
    # What else the client wants.
    request_id = request.get("id", "")
    if not isinstance(request_id, str):
        raise HTTPException(400, f"the id is {_shown(request_id)}; expected a string")
    return ParsedRequest(images, request_id, _wants_bytes(request))


def write_inference_response(
    request: ParsedRequest, probabilities: NDArray[np.float32], model: str, version: str
) -> tuple[bytes, int | None]:
    """Write the body of the response to an inference request.

    Returns:
        The body, and the length of its JSON if bytes follow it.
    """
    output: dict[str, Any] = {"name": OUTPUT, "datatype": FP32, "shape": list(probabilities.shape)}
    tensor = b""
    if request.is_binary:
        tensor = probabilities.astype("<f4").tobytes()
        output["parameters"] = {"binary_data_size": len(tensor)}
    else:
        output["data"] = probabilities.ravel().tolist()
    response: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": [output]}
    if request.id:
        response["id"] = request.id
    text = json.dumps(response, allow_nan=False).encode()
    return text + tensor, len(text) if request.is_binary else None


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """Return a body's JSON, and the bytes that follow it."""
    if header_length is None:
        return body, b""
    is_number = header_length.isascii() and header_length.isdigit() and len(header_length) < 12
    length = int(header_length) if is_number else -1
    if not 0 <= length <= len(body):
        message = f"Inference-Header-Content-Length is {_shown(header_length)}; expected the length of the JSON"
        raise HTTPException(400, f"{message} in a body of {len(body)} bytes")
    return body[:length], body[length:]


def _only_tensor(holder: dict[str, Any], member: str, name: str) -> dict[str, Any]:
    tensors = holder.get(member)
    if not isinstance(tensors, list) or len(tensors) != 1:
        raise HTTPException(400, f"{member} is not a list of one tensor; expected one with the name '{name}'")
    tensor = _checked_object(tensors[0], f"the first of {member}")
    if tensor.get("name") != name:
        raise HTTPException(400, f"the first of {member} is {_shown(tensor.get('name'))}; expected '{name}'")
    return tensor


def _checked_object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise HTTPException(400, f"{name} is {_shown(value)}; expected a JSON object")
    return value


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    return _checked_object(holder.get("parameters", {}), "parameters")


def _check_datatype(datatype: object) -> None:
    if datatype != UINT8:
        files = "; picture files go to /predict" if datatype == BYTES else ""
        raise HTTPException(400, f"the datatype of '{INPUT}' is {_shown(datatype)}; expected {UINT8}{files}")


def _checked_shape(shape: object, image_shape: tuple[int, ...], max_images: int) -> tuple[int, ...]:
    expected = f"[number of images, {', '.join(map(str, image_shape))}]"
    is_shape = isinstance(shape, list) and all(type(side) is int for side in shape)
    if not is_shape or tuple(shape[1:]) != image_shape or shape[0] < 1:  # type: ignore[index]
        raise HTTPException(400, f"the shape of '{INPUT}' is {_shown(shape)}; expected {expected}")
    sides: tuple[int, ...] = tuple(shape)  # type: ignore[arg-type]
    if sides[0] > max_images:
        raise HTTPException(413, f"{_shown(sides[0])} images are too many; send up to {max_images:,} at once")
    return sides


def _from_bytes(tensor: bytes, size: object, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    expected = math.prod(shape)
    if type(size) is not int or not size == len(tensor) == expected:
        message = f"binary_data_size is {_shown(size)} and {len(tensor)} bytes follow the JSON"
        raise HTTPException(400, f"{message}; expected {expected} for the shape {list(shape)}")
    return np.frombuffer(tensor, np.uint8).reshape(shape)


def _from_json(data: object, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the images in a list, flat or nested; it is checked before anything of its size is allocated."""
    values = data if isinstance(data, list) else []
    if list in map(type, values):
        values = _flattened(values, shape)
    if not values or set(map(type, values)) != {int}:  # a bool is an int, but its type is another
        _refuse_values()
    if len(values) != math.prod(shape):
        _refuse_shape([len(values)], shape)
    try:
        return np.frombuffer(bytes(values), np.uint8).reshape(shape)
    except (ValueError, OverflowError):  # a number is outside 0…255
        _refuse_values()


def _flattened(nested: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Return the numbers in nested lists, whose lengths must be those of a shape."""
    level, found = [nested], []
    for length in shape:
        if set(map(type, level)) != {list}:
            _refuse_values()
        lengths = set(map(len, level))
        found += sorted(lengths)[:1]
        if lengths != {length}:
            if len(lengths) > 1:
                _refuse_values()
            _refuse_shape(found, shape)
        level = list(chain.from_iterable(level))
    return level


def _refuse_values() -> NoReturn:
    message = f"the data of '{INPUT}' is not a list of whole numbers from 0 to 255, flat or nested in its shape"
    raise HTTPException(400, message)


def _refuse_shape(found: list[int], shape: tuple[int, ...]) -> NoReturn:
    raise HTTPException(400, f"the data of '{INPUT}' has the shape {found}; expected {list(shape)}")


def _wants_bytes(request: dict[str, Any]) -> bool:
    """Return whether the probabilities are wanted as bytes; the output's own parameter overrides the request's."""
    wanted = _parameters(request).get("binary_data_output", False)
    if request.get("outputs"):
        parameters = _parameters(_only_tensor(request, "outputs", OUTPUT))
        if unknown := set(parameters) - {"binary_data"}:
            message = f"the parameter {_shown(min(unknown))} of '{OUTPUT}' is not known; expected binary_data"
            raise HTTPException(400, message)
        wanted = parameters.get("binary_data", wanted)
    if not isinstance(wanted, bool):
        raise HTTPException(400, f"a parameter on binary data is {_shown(wanted)}; expected true or false")
    return wanted


def _shown(value: object) -> str:
    """Return a received value as JSON, shortened; of an object, or of a list of anything but plain values, its type."""
    members = value[:MEMBERS_SHOWN] if isinstance(value, list) else [value]
    if not all(isinstance(member, str | int | float | None) for member in members):
        return type(value).__name__
    if isinstance(value, list):
        text = json.dumps([_cut(member) for member in members], ensure_ascii=False)
        return _shortened(text if len(value) <= MEMBERS_SHOWN else f"{text[:-1]}, …]")
    return _shortened(json.dumps(_cut(value), ensure_ascii=False))


def _cut(value: object) -> object:
    """Return a string without what no error would show."""
    return value[: MAX_SHOWN + 1] if isinstance(value, str) else value


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
