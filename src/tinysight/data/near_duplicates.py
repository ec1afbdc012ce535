"""Finds images that are copies of others: exact ones, and such as were resized, recompressed, shifted or brightened.

Two images are near-duplicates if one is the other up to contrast, a shift of about a pixel, and a little blur.
"""

from collections.abc import Iterator
from hashlib import blake2b
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cache import release_pages
from .locality_hashing import make_coder, similar_codes
from .small_images import small_images

MIN_SIDE = 8  # smaller images have too few pixels to tell a copy from another image
# The share of an image's variance that is left when the other one is fitted to it. Measured on MNIST's training images
# with copies of 18 kinds (resized, as JPEG, shifted, brighter): of 17 kinds 98 % or more are below it; of the nearest
# neighbours that are no copies fewer than 0.1 %
MAX_RESIDUAL = 0.006
MAX_COARSE_RESIDUAL = 0.04  # the same of the lowest frequencies, before shift and blur are fitted
MIN_DEVIATION = 2.0  # of those frequencies, in grey levels; below it, noise decides what looks alike
GAINS = (0.4, 2.5)  # contrast of one image over that of the other
MAX_SHIFT = 0.8  # pixels, beyond the whole ones that are tried
MAX_BLUR = 0.6  # factor of the second derivative; half the blur's variance in pixels
MAX_COLOUR_RESIDUAL = 0.1  # of all channels together; JPEG keeps colours at half the resolution
MAX_TINT = 32.0  # grey levels by which one channel may have become brighter than another
FINE, COARSE = 12, 6  # number of frequencies in each direction
MARGIN = 2  # pixels at each side that are not compared, since a shift brings in new ones
SHIFTS = ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns; the opposite ones are those of the other image
VALUES_AT_A_TIME = 2**22  # pixel values as float32: 16 MiB
SAMPLE_SIZE = 16_384  # images that codes are made for

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue; JPEG keeps it better than colours

Pairs = NDArray[np.int64]
Floats = NDArray[np.float32]


def near_duplicate_pairs(images: NDArray[np.uint8]) -> Pairs:
    """Return pairs of images that are copies of one another, exact or nearly.

    The pairs join each image with all that it is a copy of, directly or by way of other pairs: of five equal images,
    four pairs are returned, not ten. Images smaller than 8×8, and images that are nearly of one colour, are only tested
    for equality.

    Args:
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, 3)``; may be memory-mapped.

    Returns:
        int64 ``(num_pairs, 2)``: positions of images, the lower one first, in rising order.

    Raises:
        DataError: The disk for temporary files is full.
    """
    digests = _digests(images)
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    copies = np.setdiff1d(np.arange(len(images)), first)
    found = [np.stack([first[inverse[copies]], copies], axis=1)]
    if min(images.shape[1:3]) >= MIN_SIDE and len(first) > 1:
        # In the order of their digests the sample, and with it every result, is the same in whatever order they come
        found.append(first[_near_pairs(small_images(images), first)])
    pairs = np.sort(np.concatenate(found), axis=1).astype(np.int64)
    return np.unique(pairs, axis=0)


def _digests(images: NDArray[np.uint8]) -> NDArray[np.void]:
    """Return a hash of each image's pixels, 16 bytes ``(num_images,)``."""
    digests = []
    for rows in _slices(len(images), images.shape[1:]):
        digests += [blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(images[rows])]
        release_pages(images)
    return np.frombuffer(b"".join(digests), "V16")


def _slices(count: int, image_shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of `count` images, of `VALUES_AT_A_TIME` or less each."""
    step = max(1, VALUES_AT_A_TIME // max(1, prod(image_shape)))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _near_pairs(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Pairs:
    """Return pairs of positions in `rows`, the positions of images that all differ."""
    features, deviations = _low_frequencies(images, rows, (0, 0))
    patterned = np.flatnonzero(deviations >= MIN_DEVIATION)
    if len(patterned) < 2:
        return np.empty((0, 2), np.int64)
    rows, features = rows[patterned], features[patterned]
    spans = _spans(images, rows)
    codes_of = make_coder(features[:SAMPLE_SIZE])
    codes = codes_of(features)
    found = []
    for shift in SHIFTS:
        shifted = _low_frequencies(images, rows, shift)[0] if any(shift) else features
        candidates = similar_codes(codes_of(shifted) if any(shift) else codes, codes)
        numbers = [_alike(pairs, shifted, features, spans) @ [len(rows), 1] for pairs in candidates]
        pairs = np.stack(np.divmod(np.unique(np.concatenate(numbers)), len(rows)), axis=1)
        if not any(shift):
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        found.append(pairs[_are_copies(images, rows[pairs], shift)])
    near: Pairs = patterned[np.concatenate(found)]
    return near


def _alike(pairs: Pairs, shifted: Floats, features: Floats, spans: NDArray[np.float16]) -> Pairs:
    """Return those pairs ``(2, num_pairs)`` whose lowest frequencies may be those of copies, ``(num_pairs, 2)``."""
    pairs = pairs[:, pairs[0] != pairs[1]]
    likeness = np.einsum("ij,ij->i", shifted[pairs[0]], features[pairs[1]])
    pairs = pairs[:, likeness**2 >= 1 - MAX_COARSE_RESIDUAL]
    explained = np.einsum("iaj,ij->ia", spans[pairs[1]].astype(np.float32), shifted[pairs[0]])
    return pairs[:, (explained**2).sum(axis=1) >= 1 - MAX_RESIDUAL].T


def _cosines(side: int, count: int) -> Floats:
    """Return the cosines of the lowest frequencies, float32 ``(count, side)`` or ``(side, side)``."""
    count = min(side, count)
    waves = np.cos(np.pi * np.outer(np.arange(count), np.arange(side) + 0.5) / side)
    return np.asarray(waves / np.linalg.norm(waves, axis=1, keepdims=True), np.float32)


def _filters(image_shape: tuple[int, ...], shift: tuple[int, int]) -> Floats:
    """Return what an image is multiplied by to get its lowest frequencies but the mean.

    Args:
        image_shape: Its shape.
        shift: By how many rows and columns the window is moved in which they are measured.

    Returns:
        float32 ``(num_values, num_frequencies)``.
    """
    height, width = (side - 2 * MARGIN for side in image_shape[:2])
    down, across = _cosines(height, COARSE), _cosines(width, COARSE)
    count, num_channels = len(down) * len(across), prod(image_shape[2:])
    filters = np.zeros((count, *image_shape[:2], num_channels), np.float32)
    top, left = MARGIN + shift[0], MARGIN + shift[1]
    products = np.einsum("uy,vx->uvyx", down, across).reshape(count, height, width, 1)
    filters[:, top : top + height, left : left + width] = products * _luma(num_channels)
    return filters[1:].reshape(count - 1, -1).T


def _filtered(images: NDArray[np.uint8], rows: NDArray[np.int64], filters: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield slices of `rows`, and their images multiplied by filters."""
    for some in _slices(len(rows), images.shape[1:]):
        chosen = images[rows[some]]
        yield some, chosen.reshape(len(chosen), -1).astype(np.float32) @ filters
        release_pages(images)


def _low_frequencies(
    images: NDArray[np.uint8], rows: NDArray[np.int64], shift: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Return the lowest frequencies of images, in a window moved by `shift`, and their deviation in grey levels.

    Returns:
        Vectors of length 1, float32 ``(num_rows, num_frequencies)``; and float32 ``(num_rows,)``.
    """
    filters = _filters(images.shape[1:], shift)
    values = np.empty((len(rows), filters.shape[1]), np.float32)
    for some, filtered in _filtered(images, rows, filters):
        values[some] = filtered
    lengths = np.linalg.norm(values, axis=1)
    num_pixels = prod(side - 2 * MARGIN for side in images.shape[1:3])
    return values / np.maximum(lengths, 1e-6)[:, None], lengths / np.float32(np.sqrt(num_pixels))


def _spans(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return what the lowest frequencies may become by contrast, a small shift and a little blur.

    Returns:
        Orthonormal vectors that span them, float16 ``(num_rows, 4, num_frequencies)``.
    """
    centre, left, right, up, down = (
        _filters(images.shape[1:], shift) for shift in ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
    )
    filters = np.concatenate([centre, right - left, down - up, left + right + up + down - 4 * centre], axis=1)
    spans = np.empty((len(rows), 4, centre.shape[1]), np.float16)
    for some, filtered in _filtered(images, rows, filters):
        vectors = filtered.reshape(-1, 4, centre.shape[1])
        for term in range(4):  # Gram and Schmidt's method
            for earlier in range(term):
                along = np.einsum("ij,ij->i", vectors[:, term], vectors[:, earlier])
                vectors[:, term] -= along[:, None] * vectors[:, earlier]
            vectors[:, term] /= np.maximum(np.linalg.norm(vectors[:, term], axis=1), 1e-6)[:, None]
        spans[some] = vectors
    return spans


def _are_copies(images: NDArray[np.uint8], pairs: Pairs, shift: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell of which pairs of images one can be fitted to the other, the first one's window moved by `shift`."""
    is_copy = np.zeros(len(pairs), bool)
    for some in _slices(len(pairs), (8, *images.shape[1:])):  # an image becomes four, of each of two
        one, other = (_Patterns.of(images[pairs[some, side]], move) for side, move in ((0, shift), (1, (0, 0))))
        is_copy[some] = _fits(one, other) | _fits(other, one)
        release_pages(images)
    return is_copy


class _Patterns(NamedTuple):
    """What images are compared by.

    Attributes:
        terms: float32 ``(num_images, 4, num_channels, num_frequencies)``: the image, its derivatives
            by column and row, and its Laplacian. To first order, a shift adds the derivatives, a blur the Laplacian.
        means: float32 ``(num_images, num_channels)``: mean grey level of each channel.
    """

    terms: Floats
    means: Floats

    @classmethod
    def of(cls, images: NDArray[np.uint8], shift: tuple[int, int]) -> "_Patterns":
        """Measure images in a window moved by `shift`."""
        height, width = (side - 2 * MARGIN for side in images.shape[1:3])

        def window(down: int, across: int) -> Floats:
            top, left = MARGIN + shift[0] + down, MARGIN + shift[1] + across
            return values[..., top : top + height, left : left + width]

        values = images.astype(np.float32).reshape(*images.shape[:3], prod(images.shape[3:]))
        values = np.ascontiguousarray(np.moveaxis(values, 3, 1))
        centre, left, right, up, down = (window(*move) for move in ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)))
        terms = np.stack([centre, (right - left) / 2, (down - up) / 2, left + right + up + down - 4 * centre], axis=1)
        # Along columns, then along rows; the first frequency is the mean
        across = terms.reshape(-1, width) @ _cosines(width, FINE).T
        across = across.reshape(*terms.shape[:4], -1).swapaxes(3, 4)
        both = np.ascontiguousarray(across).reshape(-1, height) @ _cosines(height, FINE).T
        return cls(both.reshape(*terms.shape[:3], -1)[..., 1:], centre.mean(axis=(2, 3)))


def _fits(one: _Patterns, other: _Patterns) -> NDArray[np.bool_]:
    """Tell of which pairs the first image can be made the second by contrast, a small shift and a little blur."""
    # Fit the grey image
    luma = _luma(one.terms.shape[2])
    grey, target = (np.einsum("c,iacf->iaf", luma, terms) for terms in (one.terms, other.terms[:, :1]))
    products = grey @ grey.swapaxes(1, 2) + np.eye(4, dtype=np.float32) * 1e-3
    factors = np.linalg.solve(products, grey @ target.swapaxes(1, 2))[..., 0]
    gain, others = factors[:, 0], np.abs(factors[:, 1:])
    is_small = (others <= np.outer(np.maximum(gain, 0), [MAX_SHIFT, MAX_SHIFT, MAX_BLUR])).all(axis=1)
    is_small &= (gain >= GAINS[0]) & (gain <= GAINS[1])
    # See what it leaves in grey, and in each channel
    in_grey = target[:, 0] - np.einsum("ia,iaf->if", factors, grey)
    in_colour = other.terms[:, 0] - np.einsum("ia,iacf->icf", factors, one.terms)
    tint = np.ptp(other.means - gain[:, None] * one.means, axis=1)
    is_small &= _energy(in_grey) <= MAX_RESIDUAL * _energy(target)
    is_small &= _energy(in_colour) <= MAX_COLOUR_RESIDUAL * _energy(other.terms[:, 0])
    return np.asarray(is_small & (tint <= MAX_TINT))


def _luma(num_channels: int) -> Floats:
    """Return by what channels are multiplied to get grey, float32 ``(num_channels,)``."""
    return LUMA if num_channels == 3 else np.ones(1, np.float32)


def _energy(values: Floats) -> Floats:
    """Return the sum of squares for each image."""
    return np.asarray(np.square(values.reshape(len(values), -1)).sum(axis=1))
