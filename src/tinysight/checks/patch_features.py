"""Describes images by pooled responses of whitened patches, which tell classes apart better than pixels do."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.cache import release_pages
from ..data.small_images import small_images
from ..preprocessing.blas_threads import one_blas_thread
from ..process_pool import num_cores

NUM_FILTERS = 12
NUM_ROUNDS = 10  # of clustering, to choose the filters
PATCH_SIDE = 5  # pixels; images of less than twice as many have smaller patches
GRID = 4  # regions in each direction, over which responses are summed
NUM_COMPONENTS = 96  # principal components that are kept
NUM_SAMPLED, NUM_PATCHES = 4_000, 20_000  # images and patches that filters and components are made from
MIN_DEVIATION = 0.05  # of a patch, of the range of grey levels; others are of an even colour
WHITENING = 0.05  # added to the variances, as a share of their mean
IMAGES_AT_A_TIME = 64  # of each thread

Floats = NDArray[np.float32]


def patch_features(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Floats:
    """Return a vector for each image; their mean length is 1.

    Args:
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, 3)``; may be memory-mapped.
        rows: Positions of the images to describe.

    Returns:
        float32 ``(num_rows, num_components)``.
    """
    images = small_images(images)
    bank = _make_filters(images, rows)
    components = _Components.of(
        np.concatenate(list(_in_chunks(lambda some: _pooled(images, some, bank), _sample(rows, NUM_SAMPLED))))
    )

    def describe(some: NDArray[np.int64]) -> Floats:
        return np.asarray((_pooled(images, some, bank) - components.mean) @ components.axes)

    features = np.empty((len(rows), components.axes.shape[1]), np.float32)
    for number, some in enumerate(_in_chunks(describe, rows)):
        features[number * IMAGES_AT_A_TIME :][: len(some)] = some
    return features


def _in_chunks(describe: Callable[[NDArray[np.int64]], Floats], rows: NDArray[np.int64]) -> Iterator[Floats]:
    """Describe some rows at a time, on all cores."""
    with one_blas_thread(), ThreadPoolExecutor(num_cores()) as pool:
        yield from pool.map(describe, np.split(rows, range(IMAGES_AT_A_TIME, len(rows), IMAGES_AT_A_TIME)))


def _sample(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return some rows, in rising order."""
    return np.sort(np.random.default_rng(0).choice(rows, min(count, len(rows)), replace=False))


class _Filters(NamedTuple):
    """Linear filters on patches: float32 ``(num_filters, num_values)``, and what is added to their responses."""

    weights: Floats
    bias: Floats
    side: int


def _make_filters(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> _Filters:
    """Return filters that respond to what is most frequent among the whitened patches of some images."""
    side = min(PATCH_SIDE, max(1, min(images.shape[1:3]) // 2))
    some = images[_sample(rows, NUM_SAMPLED // 2)]
    rng = np.random.default_rng(0)
    image, top, left = (
        rng.integers(0, count, NUM_PATCHES)[:, None, None]
        for count in (len(some), some.shape[1] - side + 1, some.shape[2] - side + 1)
    )
    patches = some[image, top + np.arange(side)[:, None], left + np.arange(side)].astype(np.float32) / 255
    patches = np.moveaxis(patches.reshape(NUM_PATCHES, side, side, -1), 3, 1).reshape(NUM_PATCHES, -1)
    if (patterned := patches.std(axis=1) >= MIN_DEVIATION).sum() >= NUM_FILTERS:
        patches = patches[patterned]
    mean = patches.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((patches - mean).T).reshape(patches.shape[1], -1))
    whitening = axes * (np.maximum(variances, 0) + WHITENING * variances.mean() + 1e-6) ** -0.5 @ axes.T
    directions = _cluster(_of_length_1((patches - mean) @ whitening), rng)
    weights = (directions @ whitening).astype(np.float32)
    return _Filters(weights, (-weights @ mean).astype(np.float32), side)


def _cluster(vectors: Floats, rng: np.random.Generator) -> Floats:
    """Return the directions of clusters of vectors of length 1, by k-means; a vector and its opposite are alike."""
    directions = vectors[rng.choice(len(vectors), NUM_FILTERS, replace=False)]
    for _ in range(NUM_ROUNDS):
        likeness = vectors @ directions.T
        nearest = np.abs(likeness).argmax(axis=1)
        signs = np.sign(np.take_along_axis(likeness, nearest[:, None], axis=1))
        members = (nearest == np.arange(NUM_FILTERS)[:, None]).astype(np.float32)
        directions = _of_length_1(members @ (signs * vectors) + 1e-6 * directions)
    return directions


def _of_length_1(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _pooled(images: NDArray[np.uint8], rows: NDArray[np.int64], bank: _Filters) -> Floats:
    """Return the square roots of the filters' positive and negative responses, summed over each region of a grid."""
    values = images[rows].reshape(len(rows), *images.shape[1:3], -1).astype(np.float32) / 255
    release_pages(images)
    # One row for each value of a patch, in the order of channels, rows and columns; one column for each patch
    down, across = (length - bank.side + 1 for length in values.shape[1:3])
    windows = np.lib.stride_tricks.sliding_window_view(values, (down, across), axis=(1, 2))  # type: ignore[call-overload]
    windows = np.ascontiguousarray(np.moveaxis(windows, 3, 1)).reshape(len(rows), -1, down * across)
    responses = (bank.weights @ windows + bank.bias[:, None]).reshape(-1, down * across)
    # The negative responses' sums are those of the positive ones less those of all
    regions = np.kron(_regions(down), _regions(across)).T
    of_all = responses @ regions
    positive = np.maximum(responses, 0, out=responses) @ regions
    sums = np.stack([positive, positive - of_all]).reshape(2, len(rows), -1).swapaxes(0, 1)
    return np.asarray(np.sqrt(np.maximum(sums, 0)).reshape(len(rows), -1))


def _regions(count: int) -> Floats:
    """Return what sums `count` values over each of up to `GRID` regions, float32 ``(num_regions, count)``."""
    num_regions = min(GRID, count)
    starts = np.linspace(0, count, num_regions + 1).round()[1:-1]
    return np.asarray(np.searchsorted(starts, np.arange(count), "right") == np.arange(num_regions)[:, None], np.float32)


class _Components(NamedTuple):
    """The mean, and principal axes float32 ``(num_values, num_components)``, scaled to a mean length of 1."""

    mean: Floats
    axes: Floats

    @classmethod
    def of(cls, values: Floats) -> "_Components":
        mean = values.mean(axis=0)
        axes = np.linalg.eigh((values - mean).T @ (values - mean))[1][:, -NUM_COMPONENTS:]
        length = np.linalg.norm((values - mean) @ axes, axis=1).mean()
        return cls(mean, (axes / max(float(length), 1e-6)).astype(np.float32))
