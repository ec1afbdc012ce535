"""Finds the images that are nearest to others by their pixels."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from .data.cache import release_pages

VALUES_AT_A_TIME = 2**22  # pixel values as float32: 16 MiB
MAX_VALUES = 2**28  # that are compared, a second's work for 100 images; MNIST's training images have 2**25.5


def compared_rows(rows: NDArray[np.int64], image_shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the rows that are searched: all, or as many as `MAX_VALUES` allows, evenly spread.

    Args:
        rows: Positions of images, int64 ``(num_rows,)``.
        image_shape: Shape of each image.
    """
    most = max(1, MAX_VALUES // prod(image_shape))
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def nearest_images(
    queries: NDArray[np.uint8], images: NDArray[np.uint8], rows: NDArray[np.int64], count: int = 3
) -> NDArray[np.int64]:
    """Return for each image the rows of those with the smallest Euclidean distance, the nearest first.

    Args:
        queries: uint8 ``(num_queries, *image_shape)``.
        images: uint8 ``(num_images, *image_shape)``; may be a mapped file larger than memory.
        rows: Positions in `images` of those to search, in rising order.
        count: How many to return.

    Returns:
        int64 ``(num_queries, min(count, num_rows))``.
    """
    wanted = queries.reshape(len(queries), prod(images.shape[1:])).astype(np.float32)
    best = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    step = max(1, VALUES_AT_A_TIME // prod(images.shape[1:]))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        values = images[some].reshape(len(some), prod(images.shape[1:])).astype(np.float32)
        # The squared distance without the query's own square, which is the same for every image
        distances = np.einsum("ij,ij->i", values, values) - 2 * (wanted @ values.T)
        near = np.argpartition(distances, min(count, len(some) - 1), axis=1)[:, :count]
        best = np.concatenate([best, np.take_along_axis(distances, near, axis=1)], axis=1)
        best_rows = np.concatenate([best_rows, some[near]], axis=1)
        release_pages(images)
    order = np.lexsort((best_rows, best), axis=1)[:, :count]
    return np.take_along_axis(best_rows, order, axis=1)
