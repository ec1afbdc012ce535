"""Describes images by pooled responses of whitened patches, which tell classes apart better than pixels do."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.cache import release_pages
from ..data.small_images import small_images

NUM_FILTERS = 24
PATCH_SIDE, STRIDE = 7, 2  # pixels
LARGE_SIDE = 16  # pixels; smaller images have smaller patches, at each pixel
GRID = 4  # regions in each direction, over which responses are summed
NUM_COMPONENTS = 96  # principal components that are kept
NUM_SAMPLED, NUM_PATCHES = 10_000, 20_000  # images and patches that filters and components are made from
MIN_DEVIATION = 0.05  # of a patch, of the range of grey levels; others are of an even colour
WHITENING = 0.05  # added to the variances, as a share of their mean
IMAGES_AT_A_TIME = 512

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
    components = _Components.of(_pooled(images, _sample(rows, NUM_SAMPLED), bank))
    features = np.empty((len(rows), components.axes.shape[1]), np.float32)
    for start in range(0, len(rows), IMAGES_AT_A_TIME):
        some = rows[start : start + IMAGES_AT_A_TIME]
        features[start : start + len(some)] = (_pooled(images, some, bank) - components.mean) @ components.axes
        release_pages(images)
    return features


def _sample(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return some rows, in rising order."""
    return np.sort(np.random.default_rng(0).choice(rows, min(count, len(rows)), replace=False))


class _Filters(NamedTuple):
    """Linear filters on patches: float32 ``(num_values, num_filters)``, and what is added to their responses."""

    weights: Floats
    bias: Floats
    side: int
    stride: int


def _make_filters(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> _Filters:
    """Return whitened patches of some images, to be used as filters."""
    shorter = min(images.shape[1:3])
    side, stride = (PATCH_SIDE, STRIDE) if shorter >= LARGE_SIDE else (max(1, shorter // 2), 1)
    windows = _windows(images[_sample(rows, NUM_SAMPLED // 5)], side, 1)
    rng = np.random.default_rng(0)
    places = [rng.integers(0, count, NUM_PATCHES) for count in windows.shape[:3]]
    patches = windows[*places].reshape(NUM_PATCHES, -1)
    if (patterned := patches.std(axis=1) >= MIN_DEVIATION).sum() >= NUM_FILTERS:
        patches = patches[patterned]
    mean = patches.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((patches - mean).T).reshape(patches.shape[1], -1))
    whitening = axes * (np.maximum(variances, 0) + WHITENING * variances.mean() + 1e-6) ** -0.5 @ axes.T
    chosen = (patches[rng.choice(len(patches), NUM_FILTERS, replace=False)] - mean) @ whitening
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    weights = (whitening @ (chosen / np.maximum(lengths, 1e-6)).T).astype(np.float32)
    return _Filters(weights, (-mean @ weights).astype(np.float32), side, stride)


def _windows(images: NDArray[np.uint8], side: int, stride: int) -> Floats:
    """Return each image's patches, float32 ``(num_images, num_down, num_across, num_channels, side, side)``, a view."""
    values = images.reshape(*images.shape[:3], -1).astype(np.float32) / 255
    windows = np.lib.stride_tricks.sliding_window_view(values, (side, side), axis=(1, 2))  # type: ignore[call-overload]
    return np.asarray(windows[:, ::stride, ::stride])


def _pooled(images: NDArray[np.uint8], rows: NDArray[np.int64], bank: _Filters) -> Floats:
    """Return the square roots of the filters' positive and negative responses, summed over each region of a grid."""
    pooled = []
    for start in range(0, len(rows), IMAGES_AT_A_TIME):
        windows = _windows(images[rows[start : start + IMAGES_AT_A_TIME]], bank.side, bank.stride)
        responses = np.ascontiguousarray(windows).reshape(-1, len(bank.weights)) @ bank.weights + bank.bias
        responses = responses.reshape(len(windows), windows.shape[1] * windows.shape[2], -1)
        both = np.concatenate([np.maximum(responses, 0), np.maximum(-responses, 0)], axis=2)
        sums = np.kron(_regions(windows.shape[1]), _regions(windows.shape[2])) @ both
        pooled.append(np.sqrt(sums).reshape(len(sums), -1))
    return np.concatenate(pooled)


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
