"""What an array's file announces, and its data, read a part at a time."""

import gzip
import tempfile
from math import prod
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cache import MAX_BYTES_IN_MEMORY, create_array, release_pages

PART_BYTES = 2**18  # unpacked at a time


class Header(NamedTuple):
    """What an array's file announces.

    Attributes:
        dtype: Type of its numbers.
        shape: Its shape.
        is_fortran: Whether the first index runs fastest.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool = False

    @property
    def num_bytes(self) -> int:
        """Size of the data."""
        return prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        """Describe the array, as in ``uint8 (60000, 28, 28)``."""
        return f"{self.dtype} {self.shape}"


def read_data(stream: IO[bytes] | gzip.GzipFile, num_bytes: int) -> NDArray[np.uint8]:
    """Return up to so many bytes of a stream, a part at a time; many of them are mapped to a temporary file."""
    if num_bytes <= MAX_BYTES_IN_MEMORY:
        data = np.empty(num_bytes, np.uint8)
    else:
        with tempfile.TemporaryFile() as file:
            data = create_array(file, (num_bytes,))  # type: ignore[arg-type]
    done = 0
    while done < num_bytes and (part := stream.read(min(PART_BYTES, num_bytes - done))):
        data[done : done + len(part)] = np.frombuffer(part, np.uint8)
        done += len(part)
        if done % MAX_BYTES_IN_MEMORY < len(part):
            release_pages(data)
    return data[:done]
