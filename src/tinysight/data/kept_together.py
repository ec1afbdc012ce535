"""Finds the images that must stay in one split: equal ones, near-duplicates, and those of one group."""

import numpy as np
from numpy.typing import NDArray

from .dataset import ImageSet, hash_numbers
from .groups import NO_GROUP


def kept_together(images: ImageSet, near_duplicates: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a number for each image, the same for images that must stay in one split.

    Images stay together if their pixels are equal, if they are near-duplicates, or if they are of one group, and so do
    all that are linked by such pairs. The number depends on nothing but these images: it is the smallest number of
    their groups, or else of their pixels' hashes.

    Args:
        images: The images, perhaps with groups.
        near_duplicates: Pairs of near-duplicates, positions in the set, int64 ``(num_pairs, 2)``.

    Returns:
        uint64 ``(num_images,)``.
    """
    # Images with the same pixels are one node; two different ones with the same number would stay together, no harm
    hashes, nodes = np.unique(hash_numbers(images.hashes), return_inverse=True)
    edges = [nodes[near_duplicates]]
    # A group is a node of its own, linked to its images
    grouped = np.flatnonzero(images.groups != NO_GROUP) if images.groups is not None else np.empty(0, np.int64)
    if len(grouped) and images.groups is not None:
        names, group_nodes = np.unique(images.groups[grouped], return_inverse=True)
        edges.append(np.stack([nodes[grouped], len(hashes) + group_nodes], axis=1))
    else:
        names = np.empty(0, np.int64)
    components = connected_components(len(hashes) + len(names), np.concatenate(edges))
    # Their numbers: a group's replaces all of pixels
    largest = np.iinfo(np.uint64).max
    by_pixels, by_group = (np.full(len(components), largest, np.uint64) for _ in range(2))
    np.minimum.at(by_pixels, components[: len(hashes)], hashes)
    np.minimum.at(by_group, components[len(hashes) :], names.astype(np.uint64))
    return np.where(by_group < largest, by_group, by_pixels)[components[nodes]]


def connected_components(num_nodes: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the smallest node of each node's connected component, int64 ``(num_nodes,)``.

    Args:
        num_nodes: Number of nodes.
        edges: Pairs of linked nodes, int64 ``(num_edges, 2)``.

    Source: Y. Shiloach, U. Vishkin, "An O(log n) parallel connectivity algorithm", Journal of Algorithms 3 (1982).
    """
    roots = np.arange(num_nodes)
    while True:
        # The larger of two linked roots is hooked to the smaller
        ends = roots[edges]
        ends = ends[ends[:, 0] != ends[:, 1]]
        if not len(ends):
            return roots
        np.minimum.at(roots, ends.max(axis=1), ends.min(axis=1))
        # Each node points to its root again
        while not np.array_equal(further := roots[roots], roots):
            roots = further
