"""Divides classes of which only two images can be told apart: too few for training, validation and test."""

import numpy as np
from numpy.typing import NDArray

PAIR = 2  # sets of images that stay together


def hold_out_of_pairs(
    labels: NDArray[np.int64], together: NDArray[np.uint64], draws: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Hold one half of each class out that consists of two sets of images; the other half is to train on.

    The half with the smaller random number is held out. Of the first such class it is for the test, of the second for
    validation, and so on, the classes in the order of these numbers.

    Args:
        labels: The class of each image, int64 ``(num_images,)``.
        together: The set of each image: those of one set stay together. uint64 ``(num_images,)``.
        draws: Random number of each image, the same in a set, float64 ``(num_images,)``.

    Returns:
        Which images are of such classes, which of them are test and which validation images; each bool
        ``(num_images,)``. Classes that share a set with another are left out.
    """
    is_of_pair, is_test, is_validation = (np.zeros(len(labels), np.bool_) for _ in range(3))
    held_out = []
    for label in np.unique(labels).tolist():
        rows = labels == label
        sets = np.unique(together[rows])
        if len(sets) == PAIR and (labels[np.isin(together, sets)] == label).all():
            is_of_pair |= rows
            lowest = draws[rows].min()
            held_out.append((lowest, rows & (draws == lowest)))
    for number, (_, rows) in enumerate(sorted(held_out, key=lambda one: one[0])):
        (is_validation if number % 2 else is_test)[rows] = True
    return is_of_pair, is_test, is_validation
