"""Shuffled chunks of images; the next chunk is read while one is in use.

At most two chunks are in memory, however many images there are.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.cache import MAX_BYTES_IN_MEMORY, release_pages
from ..data.dataset import ImageSet

BLOCK_ROWS = 256  # rows that are next to each other on disk and read together: 200 kB of MNIST


class Chunk(NamedTuple):
    """Some images, uint8 ``(num_images, *image_shape)``, and their labels, int32 ``(num_images,)``."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]


class ShuffledChunks:
    """The images of some rows in random order, in chunks of equal size.

    A set of one chunk is read once and fully shuffled each epoch. A larger set is shuffled by blocks of rows, and fully
    within each chunk. The images at the end of a chunk that do not fill a batch are left out; they differ from
    epoch to epoch.

    Attributes:
        num_chunks: Number of chunks in an epoch.
        steps: Number of batches in a chunk.
    """

    def __init__(self, images: ImageSet, rows: NDArray[np.int64], batch_size: int) -> None:
        """Take an image set, rising row numbers, and a batch size that is at most their number."""
        self._images, self._rows, self._batch_size = images, rows, batch_size
        most = max(batch_size, MAX_BYTES_IN_MEMORY // int(np.prod(images.images.shape[1:])))
        self.num_chunks = max(1, min(-(-len(rows) // most), len(rows) // batch_size))
        self._chunk_size = len(rows) // self.num_chunks
        self.steps = self._chunk_size // batch_size
        self._only_chunk = read_rows(images, rows) if self.num_chunks == 1 else None
        # Positions in a chunk. An only chunk's are in the order of content, so that the source's order does not matter.
        self._positions = np.arange(self._chunk_size)
        if self._only_chunk:
            self._positions = np.searchsorted(rows, images.in_content_order(rows))

    def epoch(self, rng: np.random.Generator) -> Iterator[tuple[Chunk, NDArray[np.int32]]]:
        """Yield one epoch's chunks, each with the order of its images, int32 ``(steps, batch_size)``."""
        for chunk in [self._only_chunk] if self._only_chunk else self._read_ahead(rng):
            order = rng.permutation(self._positions)[: self.steps * self._batch_size]
            yield chunk, order.reshape(self.steps, self._batch_size).astype(np.int32)

    def _read_ahead(self, rng: np.random.Generator) -> Iterator[Chunk]:
        blocks = np.split(self._rows, np.arange(BLOCK_ROWS, len(self._rows), BLOCK_ROWS))
        order = np.concatenate([blocks[number] for number in rng.permutation(len(blocks))])
        size = self._chunk_size
        chosen = [np.sort(order[number * size : (number + 1) * size]) for number in range(self.num_chunks)]
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(read_rows, self._images, chosen[0])
            for rows in chosen[1:]:
                chunk, upcoming = upcoming.result(), reader.submit(read_rows, self._images, rows)
                yield chunk
            yield upcoming.result()


def read_rows(images: ImageSet, rows: NDArray[np.int64]) -> Chunk:
    """Copy the images and labels of rising row numbers into memory, and release the mapped pages."""
    chunk = Chunk(images.images[rows], images.labels[rows].astype(np.int32))
    release_pages(images.images)
    return chunk
