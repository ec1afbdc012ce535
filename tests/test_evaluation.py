import json
from dataclasses import replace

import numpy as np
import pytest
from chosen_answers import classifier_of_answers, images_of_answers
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)

from tinysight.classifier import Classifier
from tinysight.data.dataset import SPLITS, hash_numbers
from tinysight.data.loading import load_images
from tinysight.errors import DataError
from tinysight.evaluation import evaluate
from tinysight.onnx_file import build_model
from tinysight.unseen_images import known_images, unseen_images


@pytest.fixture(scope="module")
def images_for_testing(trained):
    return trained.images.subset("test")


@pytest.fixture(scope="module")
def evaluation(trained, images_for_testing):
    return evaluate(trained.classifier, images_for_testing)


def test_the_figures_are_scikit_learns(trained, images_for_testing, evaluation):
    probabilities = trained.classifier.probabilities(images_for_testing.images)
    predicted = probabilities.argmax(axis=1)
    labels = images_for_testing.labels
    np.testing.assert_array_equal(evaluation.confusion_matrix, confusion_matrix(labels, predicted))
    expected = np.transpose(precision_recall_fscore_support(labels, predicted))
    rows = [(row.precision, row.recall, row.f1, row.num_images) for row in evaluation.class_scores]
    np.testing.assert_allclose(rows, expected)
    assert evaluation.accuracy == np.mean(predicted == labels)
    assert evaluation.log_loss == pytest.approx(log_loss(labels, probabilities), rel=1e-4)
    assert evaluation.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    for score in evaluation.top_k:
        assert score.accuracy == top_k_accuracy_score(labels, probabilities, k=score.k)
    assert [score.k for score in evaluation.top_k] == [2, 3, 5]


def test_each_interval_contains_its_figure(evaluation):
    figures = [
        (evaluation.accuracy, evaluation.accuracy_interval),
        (evaluation.balanced_accuracy, evaluation.balanced_accuracy_interval),
        (evaluation.log_loss, evaluation.log_loss_interval),
        *((score.accuracy, score.accuracy_interval) for score in evaluation.top_k),
    ]
    for figure, (low, high) in figures:
        assert 0 <= low < figure <= high


def test_the_most_frequent_confusions_are_those_of_the_matrix(evaluation):
    matrix, names = np.array(evaluation.confusion_matrix), evaluation.class_names
    counts = [one.count for one in evaluation.confusions]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == matrix.sum() - np.trace(matrix)  # of so small a set all are listed
    for one in evaluation.confusions:
        assert one.count == matrix[names.index(one.label), names.index(one.predicted)] > 0
        assert one.label != one.predicted


def test_figures_before_temperature_scaling_are_those_of_the_network_as_it_was_trained(trained, images_for_testing):
    """Training divides the last layer's weights by the temperature: multiplied by it, they are the trained ones."""
    *hidden, (weights, biases) = trained.classifier.layers
    temperature = np.float32(1.25)
    scaled = trained.classifier.with_metadata(temperature=1.25)
    as_trained = Classifier(build_model([*hidden, (weights * temperature, biases * temperature)], scaled.metadata))
    before = evaluate(as_trained, images_for_testing)
    found = evaluate(scaled, images_for_testing)
    assert found.log_loss_unscaled == pytest.approx(before.log_loss, rel=1e-4)
    assert found.calibration_unscaled.ece == pytest.approx(before.calibration.ece, abs=1e-5)
    assert found.log_loss_unscaled != pytest.approx(found.log_loss, rel=1e-3)
    unknown = evaluate(trained.classifier.with_metadata(temperature=None), images_for_testing)
    assert (unknown.log_loss_unscaled, unknown.calibration_unscaled) == (None, None)


def test_images_of_no_class_are_told_apart_by_their_probability(trained, images_for_testing):
    noise = np.random.default_rng(0).integers(0, 256, images_for_testing.images.shape, dtype=np.uint8)
    outside = replace(images_for_testing, images=noise, name="noise", class_names=("snow",), labels=noise[:, 0, 0] * 0)
    found = evaluate(trained.classifier, images_for_testing, outside=outside).outside
    scores = [trained.classifier.probabilities(part).max(axis=1) for part in (images_for_testing.images, noise)]
    truth = np.repeat([1, 0], [len(scores[0]), len(scores[1])])
    assert found.auroc == pytest.approx(roc_auc_score(truth, np.concatenate(scores)))
    assert found.auroc_interval[0] < found.auroc < found.auroc_interval[1]
    assert found.rejected == np.mean(scores[1] < trained.classifier.reject_below)
    assert (found.data_name, found.num_images) == ("noise", len(noise))
    empty = outside.rows(np.arange(0))
    with pytest.raises(DataError, match="noise: holds no images"):
        evaluate(trained.classifier, images_for_testing, outside=empty)


def test_images_of_no_class_whose_class_is_known_are_noted(trained, images_for_testing):
    found = evaluate(trained.classifier, images_for_testing, outside=images_for_testing)
    assert any("has the classifier's classes 0, 1, 2, 3, 4" in note for note in found.notes)
    assert found.outside.auroc == 0.5


def edge_case(kind):
    """Return the number of classes, the answers and the labels of an odd test set."""
    rng = np.random.default_rng(0)
    if kind == "one image of a class, another never predicted":
        labels = np.array([0] * 30 + [1] * 20 + [2] + [3] * 9)
        return 5, np.where(labels == 3, 0, labels), labels
    if kind == "one image":
        return 3, np.array([1]), np.array([1])
    num_classes = int(kind.removesuffix(" classes"))
    labels = rng.integers(0, num_classes, 1_000)
    return num_classes, np.where(rng.random(1_000) < 0.9, labels, rng.integers(0, num_classes, 1_000)), labels


EDGE_CASES = ("one image of a class, another never predicted", "one image", "2 classes", "200 classes")


@pytest.mark.parametrize("kind", EDGE_CASES)
def test_odd_sets_are_scored_without_a_warning(kind):
    num_classes, answers, labels = edge_case(kind)
    found = evaluate(classifier_of_answers(num_classes), images_of_answers(answers, labels, num_classes))
    right = answers == labels
    assert found.accuracy == right.mean()
    present = np.unique(labels)
    assert found.balanced_accuracy == pytest.approx(np.mean([right[labels == label].mean() for label in present]))
    assert [score.k for score in found.top_k] == [k for k in (2, 3, 5) if k < num_classes]
    predicted = set(answers.tolist())
    for label, row in enumerate(found.class_scores):
        assert (row.precision is None) == (label not in predicted)
        assert (row.recall is None) == (label not in present)
    assert found.calibration.bins
    assert found.coverage[0].error == pytest.approx(1 - found.accuracy)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("num_classes", [200, 300])
def test_of_many_classes_only_counts_that_are_not_0_are_kept(num_classes):
    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, num_classes, (2, 500))
    found = evaluate(classifier_of_answers(num_classes), images_of_answers(answers, labels, num_classes))
    np.testing.assert_array_equal(found.matrix(), confusion_matrix(labels, answers, labels=range(num_classes)))
    cells = found.confusion_counts
    assert bool(cells) == (num_classes > 200) == (not found.confusion_matrix)
    assert sum(count for _, _, count in cells) == (500 if cells else 0)
    assert len(json.dumps(found.to_dict())) < 200_000 or not cells


def test_of_a_mapped_file_little_is_in_memory_at_a_time(trained, images_for_testing, evaluation, tmp_path, monkeypatch):
    """Memory does not grow with the set: parts of it are scored and released one after the other."""
    monkeypatch.setattr("tinysight.data.cache.MAX_BYTES_IN_MEMORY", 100 * 28 * 28)
    scored, released = [], []
    probabilities = trained.classifier.probabilities
    monkeypatch.setattr(
        trained.classifier, "probabilities", lambda part: scored.append(len(part)) or probabilities(part)
    )
    monkeypatch.setattr("tinysight.evaluation.release_pages", lambda _: released.append(sum(scored)))
    found = evaluate(trained.classifier, images_for_testing)
    assert max(scored) == 100
    assert sum(scored) == len(images_for_testing)
    assert released == np.cumsum(scored).tolist()
    np.testing.assert_array_equal(found.confusion_matrix, evaluation.confusion_matrix)


def test_the_mistakes_are_listed_most_confident_first(trained, images_for_testing, evaluation):
    assert len(evaluation.mistakes) == evaluation.num_images - evaluation.num_correct > 0
    shares = [mistake.probability for mistake in evaluation.mistakes]
    assert shares == sorted(shares, reverse=True)
    for mistake in evaluation.mistakes:
        (prediction,) = trained.classifier.predict(images_for_testing.images[mistake.index])
        assert prediction.class_name == mistake.predicted != mistake.label
        assert images_for_testing.sources[mistake.index] == mistake.source


def test_classes_are_matched_by_name_not_by_number(trained, images_for_testing, evaluation):
    order = np.random.default_rng(0).permutation(10)
    renumbered = replace(
        images_for_testing,
        class_names=tuple(str(digit) for digit in order),
        labels=np.argsort(order)[images_for_testing.labels],
    )
    assert evaluate(trained.classifier, renumbered).confusion_matrix == evaluation.confusion_matrix


def test_an_unknown_class_is_refused_by_name(trained, images_for_testing):
    strange = replace(images_for_testing, class_names=(*"012345678", "nine"))
    with pytest.raises(DataError, match="does not know: nine"):
        evaluate(trained.classifier, strange)


def test_absent_classes_are_noted(trained, images_for_testing):
    rows = np.flatnonzero(images_for_testing.labels < 9)
    parts = {name: getattr(images_for_testing, name)[rows] for name in ("images", "labels", "split", "hashes")}
    fewer = replace(images_for_testing, **parts, class_names=tuple("012345678"))
    evaluation = evaluate(trained.classifier, fewer)
    assert evaluation.notes == ("no images of 9",)
    assert evaluation.class_scores[9].recall is None


def test_classes_of_the_set_without_test_images_are_noted(trained, images_for_testing):
    """The class names are those of all its images, of which some are test images."""
    some = images_for_testing.rows(np.flatnonzero(~np.isin(images_for_testing.labels, [3, 5])))
    evaluation = evaluate(trained.classifier, some)
    assert some.class_names == trained.classifier.class_names
    assert evaluation.notes == ("no images of 3, 5",)


def test_a_class_that_is_not_among_the_images_scored_need_not_be_known(trained, images_for_testing, evaluation):
    more = replace(images_for_testing, class_names=("another", *images_for_testing.class_names, "last"))
    more = replace(more, labels=images_for_testing.labels + 1)
    assert evaluate(trained.classifier, more) == evaluation


def test_no_images_are_refused(trained, images_for_testing):
    rows = slice(0, 0)
    parts = {name: getattr(images_for_testing, name)[rows] for name in ("images", "labels", "split", "hashes")}
    with pytest.raises(DataError, match="no images"):
        evaluate(trained.classifier, replace(images_for_testing, **parts))


def test_it_is_plain_json(evaluation):
    stored = json.loads(json.dumps(evaluation.to_dict()))
    assert stored["accuracy"] == evaluation.accuracy
    assert stored["class_scores"][3]["class_name"] == "3"


def test_of_its_own_set_a_classifier_is_scored_on_the_images_kept_for_testing(trained, images_for_testing):
    chosen, split, notes = unseen_images(trained.classifier, load_images("digits"))
    assert split == "test"
    assert notes
    np.testing.assert_array_equal(chosen.images, images_for_testing.images)


def test_of_another_set_without_test_images_all_are_scored(trained, class_folders):
    images = load_images(class_folders, like=trained.classifier.framing)
    chosen, split, notes = unseen_images(trained.classifier, images)
    assert (len(chosen), split) == (20, "all")
    assert "all were used" in notes[0]


def test_images_that_it_was_trained_on_are_left_out_of_any_set(trained, images_for_testing):
    """One image more changes the set's hash, not what the classifier knows."""
    digits = load_images("digits")
    changed = digits.rows(np.arange(1, len(digits)))
    chosen, split, notes = unseen_images(trained.classifier, changed)
    assert split == "unseen"
    assert len(chosen) == len(images_for_testing) - int(0 in trained.images.indices("test"))
    assert "are left out: the classifier was trained on them" in notes[0]
    only_known = digits.rows(trained.images.indices("train"))
    with pytest.raises(DataError, match="trained on all of these images"):
        unseen_images(trained.classifier, only_known)


def test_hashes_of_four_bytes_in_older_files_still_tell_the_training_images(trained, images_for_testing):
    numbers = hash_numbers(trained.images.hashes[trained.images.indices("train")])
    older = trained.classifier.with_metadata(training_hashes=(numbers >> np.uint64(32)).astype(np.uint32))
    assert known_images(older, trained.images.subset("train")).all()
    assert not known_images(older, images_for_testing).any()
    only_half = trained.images.hashes.copy()
    only_half[:, 4:] = 0  # the same four bytes, and others after them: another image
    changed = replace(trained.images, hashes=only_half)
    assert not known_images(trained.classifier, changed).any()


def test_a_classifier_without_hashes_of_its_training_images_is_noted(trained):
    classifier = trained.classifier.with_metadata(training_hashes=np.empty(0, np.uint64), data=None)
    chosen, split, notes = unseen_images(classifier, load_images("digits"))
    assert (len(chosen), split) == (1797, "all")
    assert "does not tell" in notes[0]


def test_images_that_it_was_trained_on_are_left_out_of_official_test_images_too(trained, images_for_testing):
    digits = load_images("digits")
    split = np.full(len(digits), SPLITS.index("train"), np.uint8)
    known, unknown = trained.images.indices("train")[:30], trained.images.indices("test")[:20]
    split[known] = split[unknown] = SPLITS.index("test")
    chosen, _, notes = unseen_images(trained.classifier, replace(digits, split=split))
    np.testing.assert_array_equal(chosen.images, digits.images[np.sort(unknown)])
    assert notes == ("30 of the 50 images are left out: the classifier was trained on them",)


def test_official_test_images_come_first(trained, mnist):
    chosen, split, notes = unseen_images(trained.classifier, load_images("mnist"))
    assert (len(chosen), split, notes) == (mnist.num_test, "test", ())


@pytest.mark.parametrize(("num_right", "is_noted"), [(19, True), (20, False)])
def test_a_score_no_better_than_the_commonest_class_is_noted(trained, num_right, is_noted):
    digits = trained.images
    zeros, ones = (np.flatnonzero(digits.labels == label)[:number] for label, number in ((0, 19), (1, 3)))
    some = digits.rows(np.sort(np.concatenate([zeros, ones])))
    probabilities = np.full((22, 10), 0.01, np.float32)
    probabilities[np.arange(22), 0] = 0.5
    probabilities[np.flatnonzero(some.labels == 1)[: num_right - 19], 1] = 0.9
    notes = evaluate(trained.classifier, some, probabilities=probabilities).notes
    found = [note for note in notes if "always answering 0 (86.36 % of the images)" in note]
    assert bool(found) == is_noted
