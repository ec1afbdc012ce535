"""Takes pictures as Python programs hold them: paths, bytes, open files, arrays, Pillow's images, several of these."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import prod
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PictureError
from ..files import read_at_most

MAX_FILE_BYTES = 256 * 2**20  # `decode.MAX_PIXELS` of 8-bit RGB fit in, even uncompressed
CHANNELS = (1, 2, 3, 4)  # grey, grey with alpha, RGB, RGB with alpha
CHANNELS_FIRST = (3, 4)  # as the first of three lengths, these may be channels or a number of grey pictures
EXPECTED = "expected a path, a picture file's bytes, an open file, a Pillow image or an array"
EXPECTED_ARRAY = "expected uint8 of shape (height, width) or (height, width, channels) with 1 to 4 channels"
# A path, a file's bytes, a file open for reading bytes, a Pillow image, or an array, see `array_image`
Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]


def each_picture(pictures: Picture | Iterable[Picture], image_shape: tuple[int, ...]) -> Iterator[Picture]:
    """Yield one picture, or each of several.

    Args:
        pictures: One picture; or an iterable of pictures; or an array of pictures, ``(num_pictures, height, width)`` or
            ``(num_pictures, height, width, channels)``.
        image_shape: Shape of the classifier's input.

    Raises:
        PictureError: It is none of these, or an array that may be several of them, such as ``(3, height, width)``.
    """
    if is_array(pictures):
        yield from _in_array(as_array(pictures, "the pictures"), image_shape)
    elif isinstance(pictures, str | os.PathLike | bytes | bytearray | memoryview | Image.Image) or _is_file(pictures):
        yield pictures  # type: ignore[misc]
    elif isinstance(pictures, Iterable):
        yield from pictures
    else:
        raise PictureError(f"got {kind_of(pictures)}; {EXPECTED}, or several of these")


def name_of(picture: Picture) -> str:
    """Return a picture's path; an empty text where it has none."""
    if isinstance(picture, str | os.PathLike):
        return os.fsdecode(picture)
    name = getattr(picture, "filename", "") if isinstance(picture, Image.Image) else getattr(picture, "name", "")
    return os.fsdecode(name) if isinstance(name, str | os.PathLike) and not is_array(picture) else ""


def source_of(picture: Picture) -> str:
    """Return what a prediction calls a picture: its path, or ``bytes``, ``file``, ``image`` or ``array``."""
    if name := name_of(picture):
        return name
    if isinstance(picture, bytes | bytearray | memoryview):
        return "bytes"
    if isinstance(picture, Image.Image):
        return "image"
    return "array" if is_array(picture) else "file"


def kind_of(thing: object) -> str:
    """Return what an error calls a thing that is no picture, with its value where that is short."""
    value = f" {thing!r}" if isinstance(thing, int | float | None) else ""
    return f"{type(thing).__name__}{value}"


def file_content(source: object, name: str) -> bytes:
    """Return the bytes of a picture's file.

    Args:
        source: The bytes, the path, or an open file, which is read from its start, as Pillow does.
        name: What error messages call it.

    Raises:
        PictureError: It is none of these, it cannot be read, or it is larger than `MAX_FILE_BYTES`.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return read_file(source, name)
    if _is_file(source):
        return _read_open_file(source, name)
    raise PictureError(f"{name}: got {kind_of(source)}; {EXPECTED}")


def read_file(path: str | os.PathLike[str], name: str | None = None) -> bytes:
    """Return the bytes of a picture's file.

    Args:
        path: Where it is.
        name: What error messages call it; by default its path.

    Raises:
        PictureError: It cannot be read, or is larger than `MAX_FILE_BYTES`.
    """
    try:
        return read_at_most(os.fspath(path), MAX_FILE_BYTES)
    except OSError as error:
        raise PictureError(f"{name or path}: {error}") from None
    except ValueError as error:  # a null character, or a lone surrogate
        raise PictureError(f"{name or path!r}: cannot be a file's name ({error})") from None


def _is_file(thing: object) -> bool:
    return hasattr(thing, "read")


def _read_open_file(file: Any, name: str) -> bytes:
    parts, num_bytes = [], 0
    with suppress(AttributeError, OSError, ValueError):  # a pipe; a closed file fails below
        file.seek(0)
    try:
        while num_bytes <= MAX_FILE_BYTES and (part := file.read(MAX_FILE_BYTES + 1 - num_bytes)):
            if not isinstance(part, bytes | bytearray):
                raise PictureError(f"{name}: reading it gave {type(part).__name__}; expected a file opened with 'rb'")
            parts.append(part)
            num_bytes += len(part)
    except PictureError:
        raise
    except Exception as error:  # any class may have a method `read`
        raise PictureError(f"{name}: cannot be read ({error})") from None
    if num_bytes > MAX_FILE_BYTES:
        raise PictureError(f"{name}: the file is larger than {MAX_FILE_BYTES // 2**20} MiB, the most that is read")
    return b"".join(parts)


def is_array(thing: object) -> bool:
    """Tell whether a thing is a NumPy array or, as tensors of other libraries, can be made one."""
    is_other = isinstance(thing, str | bytes | Image.Image)  # NumPy's own texts have `__array__` too
    return isinstance(thing, np.ndarray) or (hasattr(thing, "__array__") and not is_other)


def as_array(thing: Any, name: str) -> NDArray[Any]:
    """Return a thing with ``__array__`` as an array.

    Raises:
        PictureError: It cannot be made one, such as a tensor on a GPU.
    """
    try:
        return np.asarray(thing)
    except Exception as error:  # as each library likes
        raise PictureError(f"{name}: {type(thing).__name__} cannot be made an array ({error})") from None


def array_image(array: NDArray[Any], name: str) -> Image.Image:
    """Return an array's picture, of mode ``L``, ``LA``, ``RGB`` or ``RGBA``.

    Args:
        array: uint8, or bool (true is white), ``(height, width)``, ``(1, height, width)``, or ``(height, width,
            channels)`` with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) channels.
        name: What error messages call it.

    Raises:
        PictureError: It has another type or shape, or no pixels.
    """
    if array.ndim == 3 and array.shape[2] not in CHANNELS and array.shape[0] == 1:
        array = array[0]
    if array.dtype == bool:
        array = array * np.uint8(255)
    if array.ndim not in (2, 3) or array.dtype != np.uint8 or array.shape[2:] not in [(), *((n,) for n in CHANNELS)]:
        _refuse(array, name, _advice(array))
    if not array.size:
        _refuse(array, name)
    return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)


def _in_array(array: NDArray[Any], image_shape: tuple[int, ...]) -> Iterable[Any]:
    """Return the pictures in an array."""
    shape = array.shape
    if array.dtype.kind in "OU" and array.ndim == 1:  # paths, or pictures of several sizes
        return array
    is_one = array.ndim == 2 or (array.ndim == 3 and (shape[2] in CHANNELS or shape[0] == 1))
    are_several = array.ndim == 3 or (array.ndim == 4 and (shape[3] in CHANNELS or shape[1] == 1))
    if array.dtype not in (np.uint8, bool) or not (is_one or are_several):
        _refuse(array, "the pictures", _advice(array))
    if doubt := _ambiguity(shape, image_shape):
        _refuse(array, "the pictures", doubt)
    return [array] if is_one else array


def _ambiguity(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> str:
    """Return what an array may be besides what it seems to be, and what to give for each; empty where that is clear."""
    height, width = size = image_shape[:2]
    if len(shape) == 2 and shape[1] == prod(image_shape):
        flat = f"for {shape[0]} pictures laid flat give array.reshape(-1, {', '.join(map(str, image_shape))})"
        return f"{flat}; for one picture give Image.fromarray(array)"
    if len(shape) != 3 or shape[2] in CHANNELS:
        return ""
    if shape[0] in CHANNELS_FIRST and shape[1:] != image_shape:  # three images of the classifier's own size are three
        one = "for one picture with its channels first give array.transpose(1, 2, 0)"
        return f"{one}; for {shape[0]} grey pictures give list(array)"
    if shape[:2] == size != shape[1:]:
        last = f"for {shape[2]} pictures of {height}×{width} give array.transpose(2, 0, 1)"
        return f"{last}; for {shape[0]} pictures give list(array)"
    return ""


def _advice(array: NDArray[Any]) -> str:
    """Return how an array of another type or shape becomes one that is read."""
    if array.dtype.kind in "fiu" and array.dtype != np.uint8:
        return "for levels of 0…1 give (array * 255).astype('uint8'), for levels of 0…255 array.astype('uint8')"
    if array.ndim == 3 and array.shape[0] in CHANNELS_FIRST:
        return "for channels that come first give array.transpose(1, 2, 0)"
    if array.ndim == 4 and array.shape[1] in CHANNELS_FIRST:
        return "for channels that come first give array.transpose(0, 2, 3, 1)"
    return "reshape it to (height, width)" if array.ndim == 1 else ""


def _refuse(array: NDArray[Any], name: str, advice: str = "") -> NoReturn:
    message = f"{name}: got an array {array.dtype} {array.shape}; {EXPECTED_ARRAY}"
    raise PictureError(f"{message}; {advice}" if advice else message)
