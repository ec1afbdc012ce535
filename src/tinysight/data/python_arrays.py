"""Takes images and labels as Python programs hold them: arrays, tensors, lists."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..preprocessing.inputs import as_array, is_array
from .array_forms import SplitArrays
from .array_headers import Header
from .numpy_files import arrays_by_name

NAME = "arrays"  # what messages call them
EXPECTED = (
    "expected (images, labels); or ((x_train, y_train), (x_test, y_test)); or a dictionary with x_train, y_train and "
    "so on"
)


def is_arrays(source: object) -> bool:
    """Tell whether a source is arrays in memory, well formed or not."""
    return isinstance(source, tuple | list | Mapping) or is_array(source)


def read_arrays(source: Any) -> tuple[list[SplitArrays], list[str] | None, list[str]]:
    """Return the images and labels of each split, the classes' names if they are given, and notes.

    Args:
        source: ``(images, labels)``; ``((x_train, y_train), (x_test, y_test))``, as Keras's data sets are; or a mapping
            with names as in an ``.npz``.

    Raises:
        DataError: It is something else, or it is not certain which arrays are images and labels.
    """
    if isinstance(source, Mapping):
        arrays = {str(key): _array(value, str(key)) for key, value in source.items()}
    elif isinstance(source, tuple | list) and len(source) == 2:
        arrays = _pair_or_pairs(source)
    else:
        raise DataError(f"{NAME}: got {type(source).__name__}; {EXPECTED}")
    headers = {key: Header(array.dtype, array.shape) for key, array in arrays.items()}
    return arrays_by_name(headers, arrays.__getitem__, NAME)


def _pair_or_pairs(source: Any) -> dict[str, NDArray[Any]]:
    if all(isinstance(one, tuple | list) and len(one) == 2 and all(map(is_array, one)) for one in source):
        (x_train, y_train), (x_test, y_test) = source
        named = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    else:
        named = {"images": source[0], "labels": source[1]}
    return {key: _array(value, key) for key, value in named.items()}


def _array(value: Any, name: str) -> NDArray[Any]:
    if not is_array(value):
        try:
            value = np.asarray(value)
        except ValueError:
            value = np.asarray(0)
    array = as_array(value, f"{NAME}: {name}")
    if array.dtype == object and array.ndim == 1 and all(isinstance(one, str) for one in array):
        return array.astype(str)
    if array.dtype == object or not array.ndim:
        raise DataError(f"{NAME}: {name} is no array of numbers or texts with one entry an image; {EXPECTED}")
    return array


def arrays_hash(splits: list[SplitArrays], class_names: list[str] | None) -> str:
    """Return a hash of arrays' content, for the cache."""
    digest = sha256(repr(class_names).encode(errors="surrogatepass"))
    for one in splits:
        for array in (one.images, one.labels):
            digest.update(f"{one.split} {one.source} {array.dtype} {array.shape}".encode(errors="surrogatepass"))
            digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
