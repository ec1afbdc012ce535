"""Compares two classifiers on the same images: exact McNemar test, interval of the difference, differing answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, sqrt
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .data.dataset import ImageSet
from .errors import DataError
from .evaluation import labels_for, probabilities_of
from .intervals import Z_95, mcnemar_p_value, paired_interval, wilson_interval
from .unseen_images import known_images

SIGNIFICANCE = 0.05  # a smaller p-value of the McNemar test decides
Z_POWER = 0.841621  # quantile of the normal distribution with 80 % below it: the power that `images_needed` is for


@dataclass(frozen=True)
class ComparedClassifier:
    """One of the two classifiers, with Wilson's 95 % interval of its accuracy."""

    name: str
    num_correct: int
    accuracy: float
    accuracy_interval: tuple[float, float]


@dataclass(frozen=True)
class DifferingAnswer:
    """An image that the classifiers answer differently: its class, and the answers of A and B."""

    source: str
    label: str
    a: str
    b: str


@dataclass(frozen=True)
class Comparison:
    """Two classifiers, A and B, on the same images.

    Attributes:
        data_name: What the images were loaded from.
        split: Which of them were scored, such as ``test``.
        num_images: How many.
        a: The first classifier.
        b: The second classifier.
        num_both_correct: Count of images that both classify correctly.
        num_only_a_correct: Count of images that only A classifies correctly.
        num_only_b_correct: Count of images that only B classifies correctly.
        num_both_wrong: Count of images that neither classifies correctly.
        difference: Accuracy of B less accuracy of A.
        difference_interval: Its 95 % interval, see `intervals.paired_interval`.
        p_value: Of the exact McNemar test.
        better: ``a`` or ``b`` where the p-value is below 0.05, else None: they are not to be told apart.
        images_needed: With how many such images a test would find the measured difference, if it is the true one, with
            a chance of 80 %; None where it is found already, or where there is none.
        verdict: The same in one sentence.
        differing: The images that they answer differently, in the order of the data.
        notes: What a reader must know to trust the figures.
    """

    data_name: str
    split: str
    num_images: int
    a: ComparedClassifier
    b: ComparedClassifier
    num_both_correct: int
    num_only_a_correct: int
    num_only_b_correct: int
    num_both_wrong: int
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    better: str | None
    images_needed: int | None
    verdict: str
    differing: tuple[DifferingAnswer, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as what JSON can hold."""
        return asdict(self)


def compare(
    a: Classifier,
    b: Classifier,
    images_a: ImageSet,
    images_b: ImageSet | None = None,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Compare two classifiers on images that neither was trained on.

    The test images are used, or all images if there are none marked so. Those that trained either classifier or chose
    its best epoch are left out.

    Args:
        a: The first classifier.
        b: The second classifier; it may have another input size, framing and order of classes.
        images_a: Labelled images, loaded with A's framing: ``load_images(…, like=a.framing)``.
        images_b: The same images loaded with B's framing, matched by their sources; by default `images_a`.
        names: What the two are called.

    Raises:
        DataError: A class of the images is unknown to one of them, or no image is left.
    """
    # The same images in the same order, their labels, and both answers
    images_b = images_b or images_a
    rows_a, rows_b, split, notes = _unseen_rows((a, b), (images_a, images_b), names)
    all_names = sorted({*images_a.class_names, *images_b.class_names, *a.class_names, *b.class_names})
    shared = images_a.rows(rows_a)
    for name, classifier in zip(names, (a, b), strict=True):
        labels_for(classifier, shared, name)  # refuses classes that the classifier does not know
    labels, answers_a = _labels_and_answers(a, images_a, rows_a, all_names)
    labels_b, answers_b = _labels_and_answers(b, images_b, rows_b, all_names)
    if not np.array_equal(labels, labels_b):
        raise DataError(f"{images_a.name}: the two lists of images differ in their labels; expected the same images")
    # Counts
    is_a, is_b = answers_a == labels, answers_b == labels
    only_a, only_b, num_images = int((is_a & ~is_b).sum()), int((is_b & ~is_a).sum()), len(labels)
    p_value = mcnemar_p_value(only_a, only_b)
    better, needed, verdict = _decide(p_value, only_a, only_b, num_images)
    return Comparison(
        data_name=images_a.name,
        split=split,
        num_images=num_images,
        a=_compared(names[0], is_a),
        b=_compared(names[1], is_b),
        num_both_correct=int((is_a & is_b).sum()),
        num_only_a_correct=only_a,
        num_only_b_correct=only_b,
        num_both_wrong=int((~is_a & ~is_b).sum()),
        difference=(only_b - only_a) / num_images,
        difference_interval=paired_interval(only_a, only_b, num_images),
        p_value=p_value,
        better=better,
        images_needed=needed,
        verdict=verdict,
        differing=_differing(shared.sources, all_names, labels, answers_a, answers_b),
        notes=notes,
    )


def images_needed(num_only_a: int, num_only_b: int, num_images: int) -> int | None:
    """Return how many images would tell two classifiers apart with a chance of 80 %, if they differ as measured.

    Args:
        num_only_a: Count of images that only A classifies correctly.
        num_only_b: Count of images that only B classifies correctly.
        num_images: Count of all images.

    Returns:
        A number of images, or None where the measured difference is zero.

    Source: R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics
    43 (1987), with a continuity correction because the exact test needs more.
    """
    discordant = (num_only_a + num_only_b) / num_images
    difference = abs(num_only_b - num_only_a) / num_images
    if not difference:
        return None
    spread = Z_95 * sqrt(discordant) + Z_POWER * sqrt(discordant - difference**2)
    # n images tell where n × difference − 1 = √n × spread
    return ceil(((spread + sqrt(spread**2 + 4 * difference)) / (2 * difference)) ** 2)


def _decide(p_value: float, only_a: int, only_b: int, num_images: int) -> tuple[str | None, int | None, str]:
    """Return which classifier is better, how many images would tell, and a sentence."""
    points = f"{100 * abs(only_b - only_a) / num_images:.2f} points"
    if p_value < SIGNIFICANCE:
        better = "a" if only_a > only_b else "b"
        return better, None, f"{better.upper()} is better, by {points} of accuracy"
    needed = images_needed(only_a, only_b, num_images)
    if needed:
        reason = f"the difference of {points} may be chance"
        reason += f"; if it is real, about {_rounded(needed):,} images would probably show it"
    else:
        reason = f"both are right {'equally often' if only_a else 'on the same images'}"
    return None, needed, f"not to be told apart: {reason}"


def _rounded(number: int) -> int:
    """Return a number with two significant digits, rounded up."""
    unit: int = 10 ** max(len(str(number)) - 2, 0)
    return ceil(number / unit) * unit


def _differing(
    sources: Sequence[str],
    class_names: Sequence[str],
    labels: NDArray[np.int64],
    answers_a: NDArray[np.int64],
    answers_b: NDArray[np.int64],
) -> tuple[DifferingAnswer, ...]:
    return tuple(
        DifferingAnswer(sources[row], *(class_names[array[row]] for array in (labels, answers_a, answers_b)))
        for row in np.flatnonzero(answers_a != answers_b).tolist()
    )


def _compared(name: str, is_correct: NDArray[np.bool_]) -> ComparedClassifier:
    num_correct, num_images = int(is_correct.sum()), len(is_correct)
    return ComparedClassifier(name, num_correct, num_correct / num_images, wilson_interval(num_correct, num_images))


def _labels_and_answers(
    classifier: Classifier, images: ImageSet, rows: NDArray[np.int64], all_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels and most probable classes of an image set's rows, both as positions in `all_names`."""
    rising = np.sort(rows)  # as `ImageSet.rows` takes them
    chosen = images.rows(rising)
    answers = probabilities_of(classifier, chosen.images).argmax(axis=1)
    in_order = np.searchsorted(rising, rows)
    place = {class_name: index for index, class_name in enumerate(all_names)}
    return (
        np.array([place[class_name] for class_name in chosen.class_names])[chosen.labels][in_order],
        np.array([place[class_name] for class_name in classifier.class_names])[answers][in_order],
    )


def _unseen_rows(
    classifiers: tuple[Classifier, Classifier], sets: tuple[ImageSet, ImageSet], names: tuple[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], str, tuple[str, ...]]:
    """Return the rows of the images that both sets hold and neither classifier knows, their name, and notes."""
    notes = []
    # Images that both sets hold, in the first set's order
    rows_a, rows_b = _common_rows(*sets)
    if missing := len(sets[0]) + len(sets[1]) - 2 * len(rows_a):
        notes.append(f"{missing:,} images are left out: they could be loaded for one of the classifiers only")
    # Test images, if there are any
    is_test = np.isin(rows_a, sets[0].indices("test"))
    split = "test" if is_test.any() else "all"
    if is_test.any():
        rows_a, rows_b = rows_a[is_test], rows_b[is_test]
    # Images that trained one of the classifiers
    is_known = known_images(classifiers[0], sets[0])[rows_a] | known_images(classifiers[1], sets[1])[rows_b]
    if is_known.any():
        count = f"{is_known.sum():,} of the {len(rows_a):,} images"
        notes.append(f"{count} are left out: one of the classifiers was trained on them")
    if split == "all":
        split = "unseen" if is_known.any() else "all"
        notes += [] if is_known.any() else ["the set has no test images of its own; all were used"]
        unknown = [name for name, one in zip(names, classifiers, strict=True) if not len(one.metadata.training_hashes)]
        notes += [f"{name} does not tell which images it was trained on" for name in unknown]
    if is_known.all():
        reason = "the classifiers were trained on them; they prove nothing" if len(is_known) else "expected some"
        raise DataError(f"{sets[0].name}: no image is left to compare on: {reason}")
    return rows_a[~is_known], rows_b[~is_known], split, tuple(notes)


def _common_rows(first: ImageSet, second: ImageSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of images with the same source, in the first set's order."""
    if len(first) == len(second) and all(map(eq, first.sources, second.sources)):  # as always, unless a file changed
        rows = np.arange(len(first))
        return rows, rows
    row_of_source = {source: row for row, source in enumerate(second.sources)}
    pairs = [(row, row_of_source[source]) for row, source in enumerate(first.sources) if source in row_of_source]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
