"""Labels that look wrong: planted ones come first, and a sound set has hardly any."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight.checks.wrong_labels import find_wrong_labels, out_of_fold_probabilities
from tinysight.data.loading import load_images


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


@pytest.fixture(scope="module")
def flipped(digits):
    """The positions of 36 digits, and the set with other labels there."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(digits), 36, replace=False))
    labels = digits.labels.copy()
    labels[rows] = (labels[rows] + rng.integers(1, 10, 36)) % 10
    return rows, replace(digits, labels=labels)


def test_wrong_labels_come_first_with_the_right_suggestion(digits, flipped):
    rows, images = flipped

    wrong = find_wrong_labels(images)

    first = [one.row for one in wrong[:36]]
    assert len(set(first) & set(rows.tolist())) >= 33
    right = [one for one in wrong if digits.class_names[digits.labels[one.row]] == one.suggestion]
    assert len(right) >= 33
    assert all(one.label == images.class_names[images.labels[one.row]] for one in wrong)
    assert wrong[0].source == images.sources[wrong[0].row]
    assert wrong[0].label_probability <= 0.05


def test_the_same_images_give_the_same_list(flipped):
    assert find_wrong_labels(flipped[1]) == find_wrong_labels(flipped[1])


def test_hardly_any_label_of_a_sound_set_looks_wrong(digits):
    assert len(find_wrong_labels(digits)) <= 5


def test_probabilities_are_of_classifiers_that_have_not_seen_the_image(digits):
    """Random labels cannot be guessed, unless the classifier has seen them."""
    labels = np.random.default_rng(0).integers(0, 10, len(digits))
    probabilities = out_of_fold_probabilities(replace(digits, labels=labels), np.arange(len(digits)))
    assert abs((probabilities.argmax(axis=1) == labels).mean() - 0.1) < 0.04
    assert find_wrong_labels(replace(digits, labels=labels)) == []


def test_copies_do_not_vouch_for_one_another(digits):
    """A wrong label in three equal images is found, although the others have it too."""
    rows = np.concatenate([np.arange(1_000), np.full(2, 0)])
    images, labels = digits.images[rows], digits.labels[rows].copy()
    labels[[0, 1_000, 1_001]] = (labels[0] + 1) % 10
    tripled = replace(
        digits,
        images=images,
        labels=labels,
        hashes=digits.hashes[rows],
        split=digits.split[rows],
        sources=list(map(str, rows)),
    )
    assert {0, 1_000, 1_001} <= {one.row for one in find_wrong_labels(tripled)}


def test_classes_of_few_images_are_not_judged(digits):
    assert find_wrong_labels(digits.rows(np.arange(12))) == []
