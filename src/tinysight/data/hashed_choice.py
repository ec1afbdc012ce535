"""Chooses sets of images by hashes: what becomes of a set follows from its number and the seed, not from other sets."""

import numpy as np
from numpy.typing import NDArray

GOLDEN_RATIO, FIRST_FACTOR, SECOND_FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
NUM_PURPOSES = 4  # choices with one seed that do not depend on each other
MAX_ATTEMPTS = 20  # to choose where sets have images of several classes
LARGEST_SHARE = 0.5  # of a class's images: a set that is more of a class is chosen last


class TooFewSetsError(ValueError):
    """A class has too few sets to choose from.

    Attributes:
        label: The class.
        num_sets: How many sets have images of it.
    """

    def __init__(self, label: int, num_sets: int) -> None:
        super().__init__(f"{num_sets} sets of class {label}")
        self.label, self.num_sets = label, num_sets


def random_shares(numbers: NDArray[np.uint64], seed: int, purpose: int) -> NDArray[np.float64]:
    """Turn numbers into random ones in 0…1, float64 of the same shape; equal numbers into equal ones.

    Args:
        numbers: Any numbers, uint64.
        seed: Another seed gives others.
        purpose: So does another purpose, 0 to 3.

    Source: G. L. Steele Jr., D. Lea, C. H. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014: the
    function that mixes the bits in SplitMix64.
    """
    start = (seed * NUM_PURPOSES + purpose + 1) * GOLDEN_RATIO % 2**64
    mixed = numbers + np.uint64(start)
    for shift, factor in ((30, FIRST_FACTOR), (27, SECOND_FACTOR)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose_sets(
    labels: NDArray[np.int64], sets: NDArray[np.int64], draws: NDArray[np.float64], share: float, leave: int
) -> NDArray[np.bool_]:
    """Choose the sets whose random number is below a share, and at least one set of each class.

    Where a class would have none chosen, or fewer than `leave` left, the sets with the numbers nearest to the share
    are chosen or left. A set that is more than half of a class's images is chosen only if no other can be.

    Args:
        labels: The class of each image, int64 ``(num_images,)``.
        sets: The set of each image, numbered from 0, int64 ``(num_images,)``. A set may have images of several classes.
        draws: Random number of each set, 0…1, float64 ``(num_sets,)``.
        share: Share of the sets to choose.
        leave: How many sets of each class are to be left.

    Returns:
        Whether each set is chosen, bool ``(num_sets,)``.

    Raises:
        TooFewSetsError: A class has too few sets for that.
    """
    members = _Members(labels, sets, len(draws))
    draws = draws + members.is_large()  # 1 or more is below no share, and the last of all
    if (members.num_sets <= leave).any():
        raise members.too_few(int((members.num_sets - leave).argmin()))
    chosen = draws < share
    failed: list[int] = []  # classes that could not be served, the latest first
    for _ in range(MAX_ATTEMPTS):
        label = members.balance(chosen, draws, leave, failed)
        if label is None:
            return chosen
        # Sets of several classes are in each other's way: begin with none chosen, and with the class that failed
        failed = [label, *(one for one in failed if one != label)]
        chosen = np.zeros(len(draws), np.bool_)
    raise members.too_few(failed[0])


class _Members:
    """Which sets have images of which classes.

    Attributes:
        classes: The class of each pair of a class and a set that has images of it, rising.
        sets: Its set.
        num_classes: Number of classes.
        num_sets: Number of sets that have images of each class.
    """

    def __init__(self, labels: NDArray[np.int64], sets: NDArray[np.int64], num_sets: int) -> None:
        """Take the class and the set of each image, and the number of sets."""
        pairs, self._sizes = np.unique(labels * num_sets + sets, return_counts=True)
        self.classes, self.sets = np.divmod(pairs, num_sets)
        self._class_sizes = np.bincount(labels)
        self.num_classes = len(self._class_sizes)
        self.num_sets = np.bincount(self.classes, minlength=self.num_classes)
        self._class_starts = np.searchsorted(self.classes, np.arange(self.num_classes + 1))
        self._by_set = np.argsort(self.sets, kind="stable")
        self._set_starts = np.searchsorted(self.sets[self._by_set], np.arange(num_sets + 1))

    def sets_of(self, label: int) -> NDArray[np.int64]:
        """Return the sets that have images of a class, rising."""
        found: NDArray[np.int64] = self.sets[self._class_starts[label] : self._class_starts[label + 1]]
        return found

    def classes_of(self, one: int) -> NDArray[np.int64]:
        """Return the classes that a set has images of."""
        found: NDArray[np.int64] = self.classes[self._by_set[self._set_starts[one] : self._set_starts[one + 1]]]
        return found

    def is_large(self) -> NDArray[np.bool_]:
        """Return whether each set is more than `LARGEST_SHARE` of a class's images, bool ``(num_sets,)``."""
        found = np.zeros(len(self._set_starts) - 1, np.bool_)
        found[self.sets[self._sizes > LARGEST_SHARE * self._class_sizes[self.classes]]] = True
        return found

    def balance(
        self, chosen: NDArray[np.bool_], draws: NDArray[np.float64], leave: int, first: list[int]
    ) -> int | None:
        """Change the choice until each class has a set chosen and `leave` sets left.

        Args:
            chosen: Whether each set is chosen, bool ``(num_sets,)``; changed.
            draws: Random number of each set.
            leave: How many sets of each class are to be left.
            first: Classes to serve before others.

        Returns:
            A class for which that is impossible, or None.
        """
        held = np.bincount(self.classes[chosen[self.sets]], minlength=self.num_classes)
        # Where too few would be left
        for label in np.flatnonzero(self.num_sets - held < leave).tolist():
            of_class = self.sets_of(label)
            for one in of_class[np.argsort(-draws[of_class], kind="stable")]:
                if chosen[one] and self.num_sets[label] - held[label] < leave:
                    chosen[one] = False
                    held[self.classes_of(one)] -= 1
        # Where none is chosen: the first set that all its classes can spare
        for label in [*first, *np.flatnonzero(held == 0).tolist()]:
            of_class = self.sets_of(label)
            for one in of_class[np.argsort(draws[of_class], kind="stable")]:
                its_classes = self.classes_of(one)
                if not held[label] and (self.num_sets - held > leave)[its_classes].all():
                    chosen[one] = True
                    held[its_classes] += 1
            if not held[label]:
                return int(label)
        return None

    def too_few(self, label: int) -> TooFewSetsError:
        """Return the error that says so of a class."""
        return TooFewSetsError(label, int(self.num_sets[label]))
