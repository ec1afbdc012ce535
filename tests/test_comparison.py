from dataclasses import replace

import numpy as np
import pytest
from chosen_answers import classifier_of_answers, images_of_answers
from scipy.stats import binomtest

from tinysight.classifier import Classifier
from tinysight.comparison import compare, images_needed
from tinysight.data.dataset import hash_numbers
from tinysight.data.loading import load_images
from tinysight.errors import DataError
from tinysight.intervals import mcnemar_p_value, paired_interval
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.preprocessing.framing import Framing


@pytest.fixture(scope="module")
def classifier():
    return classifier_of_answers(3)


def compared(classifier, answers_a, answers_b, labels):
    """Compare by what each is made to answer: it sees its own images, with the same sources."""
    sets = (images_of_answers(answers, labels, 3) for answers in (answers_a, answers_b))
    return compare(classifier, classifier, *sets, names=("first", "second"))


def test_the_counts_are_of_images_on_which_each_is_right(classifier):
    labels = np.zeros(100, int)
    answers_a, answers_b = labels.copy(), labels.copy()
    answers_a[:12], answers_b[10:13], answers_b[:2] = 1, 1, 2
    found = compared(classifier, answers_a, answers_b, labels)
    # 0, 1, 10, 11: both wrong; 2 to 9: only B is right; 12: only A is
    assert (found.num_both_correct, found.num_only_a_correct, found.num_only_b_correct) == (87, 1, 8)
    assert found.num_both_wrong == 4
    assert (found.a.name, found.a.num_correct, found.b.name, found.b.num_correct) == ("first", 88, "second", 95)
    assert found.difference == pytest.approx(0.07)
    assert found.difference_interval == paired_interval(1, 8, 100)
    assert found.p_value == pytest.approx(binomtest(1, 9).pvalue)
    assert (found.better, found.images_needed, found.verdict) == ("b", None, "B is better, by 7.00 points of accuracy")
    # 0 and 1 are answered differently too
    assert [int(one.source.removesuffix(".png")) for one in found.differing] == [*range(10), 12]
    assert (found.differing[0].label, found.differing[0].a, found.differing[0].b) == ("class 0", "class 1", "class 2")
    mirrored = compared(classifier, answers_b, answers_a, labels)
    assert (mirrored.better, mirrored.difference) == ("a", -found.difference)
    assert mirrored.verdict == "A is better, by 7.00 points of accuracy"


def test_a_difference_that_may_be_chance_is_not_called_one(classifier):
    labels = np.zeros(400, int)
    answers_a, answers_b = labels.copy(), labels.copy()
    answers_a[:4], answers_b[4:5] = 1, 1
    found = compared(classifier, answers_a, answers_b, labels)
    assert found.better is None
    assert found.images_needed == 2_000
    assert found.verdict == (
        "not to be told apart: the difference of 0.75 points may be chance; "
        "if it is real, about 2,000 images would probably show it"
    )
    equal = compared(classifier, np.r_[1, labels[1:]], np.r_[0, 1, labels[2:]], labels)
    assert (equal.images_needed, equal.verdict) == (None, "not to be told apart: both are right equally often")
    same = compared(classifier, answers_a, answers_a, labels)
    assert same.verdict == "not to be told apart: both are right on the same images"
    assert (same.p_value, same.differing) == (1, ())
    assert same.difference_interval[0] < 0 < same.difference_interval[1]


@pytest.mark.parametrize("counts", [(27, 40, 10_000), (10, 14, 360), (40, 55, 1_000)])
def test_that_many_images_tell_with_the_stated_power(counts):
    only_a, only_b, num_images = counts
    needed = images_needed(*counts)
    chances = [only_a / num_images, only_b / num_images, 1 - (only_a + only_b) / num_images]
    drawn = np.random.default_rng(0).multinomial(needed, chances, 1_500)
    found = [mcnemar_p_value(first, second) < 0.05 and first < second for first, second, _ in drawn.tolist()]
    assert 0.77 <= np.mean(found) <= 0.84


def test_equal_classifiers_are_told_apart_at_most_one_time_in_twenty():
    drawn = np.random.default_rng(1).multinomial(500, [0.03, 0.03, 0.94], 1_000)
    assert np.mean([mcnemar_p_value(first, second) < 0.05 for first, second, _ in drawn.tolist()]) <= 0.05


def brightness_classifier(side, threshold, **metadata):
    """Return a classifier of squares: brighter than a threshold, or not."""
    layers = [
        (np.full((side * side, 1), 1 / side**2, np.float32), np.zeros(1, np.float32)),
        (np.array([[80, -80]], np.float32), np.array([-80 * threshold, 80 * threshold], np.float32)),
    ]
    return Classifier(build_model(layers, ModelMetadata(("light", "dark"), Framing("whole", side, side), **metadata)))


def test_each_classifier_gets_the_images_in_its_own_size(class_folders):
    a, b = brightness_classifier(12, 0.5), brightness_classifier(28, 0.25)
    sets = [load_images(class_folders, like=one.framing) for one in (a, b)]
    found = compare(a, b, *sets)
    assert (found.num_images, found.split, found.a.num_correct) == (20, "all", 20)
    means = [image.mean() / 255 for image in sets[1].images]
    num_wrong = sum(mean > 0.25 for mean, label in zip(means, sets[1].labels, strict=True) if label == 0)
    assert found.b.num_correct == 20 - num_wrong < 20
    assert {one.label for one in found.differing} == {"dark"}
    # Other orders of images and classes change nothing
    order = np.r_[0, 1 + np.random.default_rng(0).permutation(18), 19]
    parts = {name: getattr(sets[1], name)[order] for name in ("images", "split", "hashes")}
    sources = [sets[1].sources[row] for row in order]
    labels = 1 - sets[1].labels[order]
    shuffled = replace(sets[1], class_names=("light", "dark"), labels=labels, sources=sources, **parts)
    assert compare(a, b, sets[0], shuffled) == found
    # An image that could be loaded for one of them only
    fewer = compare(a, b, sets[0], sets[1].rows(np.arange(1, 20)))
    assert fewer.num_images == 19
    assert "1 images are left out: they could be loaded for one of the classifiers only" in fewer.notes


def test_images_that_trained_either_are_left_out(class_folders):
    a, b = brightness_classifier(12, 0.5), brightness_classifier(28, 0.25)
    set_a, set_b = (load_images(class_folders, like=one.framing) for one in (a, b))
    a = a.with_metadata(training_hashes=hash_numbers(set_a.hashes[:3]))
    b = b.with_metadata(training_hashes=hash_numbers(set_b.hashes[2:5]))
    found = compare(a, b, set_a, set_b)
    assert (found.num_images, found.split) == (15, "unseen")
    assert "5 of the 20 images are left out: one of the classifiers was trained on them" in found.notes
    assert len(found.notes) == 1
    trained_on_all = a.with_metadata(training_hashes=hash_numbers(set_a.hashes))
    with pytest.raises(DataError, match="no image is left to compare on: the classifiers were trained on them"):
        compare(trained_on_all, b, set_a, set_b)


def test_a_classifier_that_does_not_tell_what_trained_it_is_named(class_folders):
    a = brightness_classifier(12, 0.5)
    found = compare(a, a, load_images(class_folders, like=a.framing), names=("old.onnx", "new.onnx"))
    assert "old.onnx does not tell which images it was trained on" in found.notes


def test_the_test_images_of_a_set_are_used(trained, mnist):
    images = load_images("mnist", like=trained.classifier.framing)
    found = compare(trained.classifier, trained.classifier, images)
    assert (found.num_images, found.split, found.notes) == (mnist.num_test, "test", ())


def test_images_that_do_not_belong_together_are_refused(classifier):
    some = images_of_answers([0, 1, 2], [0, 1, 2], 3)
    with pytest.raises(DataError, match="differ in their labels"):
        compare(classifier, classifier, some, replace(some, labels=np.array([0, 2, 1])))
    with pytest.raises(DataError, match="no image is left"):
        compare(classifier, classifier, some, replace(some, sources=["a", "b", "c"]))
    with pytest.raises(DataError, match="has classes that B does not know: class 2"):
        compare(classifier, classifier_of_answers(2), some)
