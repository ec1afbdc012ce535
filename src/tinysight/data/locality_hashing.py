"""Finds vectors that point in nearly the same direction, in less time than comparing all pairs takes.

Each vector gets a code: the signs of its random projections. Vectors that are alike have codes that are alike, so they
are near each other in a list that is sorted by some bits of the codes; several lists, each by other bits, miss hardly
any. Source: M. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.
"""

from collections.abc import Callable, Iterator
from math import log2

import numpy as np
from numpy.typing import NDArray

NUM_WORDS = 3  # of 64 bits, in a code
NUM_TABLES = 4 * NUM_WORDS  # sorted lists, each by 32 bits that begin at another 16
SPARE_BITS = 5  # by which lists are divided further than into one group for each code
MAX_DIFFERENT_BITS = 20  # of 192; near-duplicates differ in 3 as a rule, 98 % of them in 10 or fewer
MAX_NEIGHBOURS = 64  # of a vector that are looked at in one list
NUM_COMPONENTS = 16  # principal components that are projected
EXPONENT = -0.25  # of a component's variance: between its own scale (0) and the same for all (-0.5)
CODES_AT_A_TIME = 4_096

Codes = NDArray[np.uint64]
Floats = NDArray[np.float32]


def make_coder(sample: Floats) -> Callable[[Floats], Codes]:
    """Return a function that turns vectors into codes, uint64 ``(num_vectors, NUM_WORDS)``.

    Args:
        sample: Vectors such as those to be coded, float32 ``(num_vectors, num_values)``: each bit of a code is 1 for
            half of them.
    """
    centred = sample - sample.mean(axis=0)
    variances, components = np.linalg.eigh(centred.T.astype(np.float64) @ centred / len(sample))
    largest = np.argsort(variances)[::-1][:NUM_COMPONENTS]
    scales = np.maximum(variances[largest], 1e-3 * variances.max() + 1e-12) ** EXPONENT
    random = np.random.default_rng(0).standard_normal((len(largest), 64 * NUM_WORDS))
    projection = (components[:, largest] * scales @ random).astype(np.float32)
    thresholds = np.median(sample @ projection, axis=0)

    def codes(vectors: Floats) -> Codes:
        words = np.empty((len(vectors), NUM_WORDS), np.uint64)
        for start in range(0, len(vectors), CODES_AT_A_TIME):
            some = slice(start, start + CODES_AT_A_TIME)
            words[some] = np.packbits(vectors[some] @ projection > thresholds, axis=1).view(np.uint64)
        return words

    return codes


def similar_codes(queries: Codes, stored: Codes) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of codes that differ in few bits: positions in `queries` and in `stored`, int64 ``(2, num_pairs)``.

    A pair may come several times. A few are missed.

    Args:
        queries: uint64 ``(num_queries, NUM_WORDS)``.
        stored: uint64 ``(num_stored, NUM_WORDS)``.
    """
    num_bits = min(32, round(log2(max(2, len(stored)))) + SPARE_BITS)
    other_bits = np.uint32(2 ** (32 - num_bits) - 1)
    for table in range(NUM_TABLES):
        # Both in the order of the table's keys, so that memory is read nearly in order
        keys, wanted = _keys(stored, table), _keys(queries, table)
        order, turn = np.argsort(keys, kind="stable"), np.argsort(wanted, kind="stable")
        keys, codes = keys[order], np.asfortranarray(stored[order])
        for start in range(0, len(turn), CODES_AT_A_TIME):
            some = turn[start : start + CODES_AT_A_TIME]
            numbers, places = _near_keys(wanted[some], keys, other_bits)
            different = np.zeros(len(numbers), np.uint8)
            for query_word, word in zip(queries[some].T, codes.T, strict=True):
                different += np.bitwise_count(query_word[numbers] ^ word[places])
            alike = different <= MAX_DIFFERENT_BITS
            yield np.stack([some[numbers[alike]], order[places[alike]]])


def _keys(codes: Codes, table: int) -> NDArray[np.uint32]:
    """Return 32 bits of each code."""
    pieces = codes.view(np.uint16)
    return pieces[:, table].astype(np.uint32) << np.uint32(16) | pieces[:, (table + 1) % NUM_TABLES].astype(np.uint32)


def _near_keys(
    wanted: NDArray[np.uint32], keys: NDArray[np.uint32], other_bits: np.uint32
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places in a sorted list of keys that are equal to wanted ones but for `other_bits`.

    Of more than `MAX_NEIGHBOURS` those are taken whose other bits are nearest.

    Returns:
        Positions in `wanted`, and places in `keys`, int64 ``(num_pairs,)`` each.
    """
    low = np.searchsorted(keys, wanted & ~other_bits, side="left")
    high = np.searchsorted(keys, wanted | other_bits, side="right")
    middle = np.searchsorted(keys, wanted)
    low = np.maximum(low, middle - MAX_NEIGHBOURS // 2)
    counts = np.minimum(high, middle + MAX_NEIGHBOURS // 2) - low
    numbers = np.repeat(np.arange(len(wanted)), counts)
    steps = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers, np.repeat(low, counts) + steps
