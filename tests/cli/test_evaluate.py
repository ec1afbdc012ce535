"""`tinysight evaluate`, as a user types it."""

import json

import numpy as np
import pytest
from chosen_answers import classifier_of_answers, pixels_of_answers


@pytest.fixture
def calibrated(trained, tmp_path):
    """The file of the trained classifier, with a threshold and a temperature."""
    trained.classifier.with_metadata(reject_below=0.5, temperature=1.25).save(tmp_path / "calibrated.onnx")
    return tmp_path / "calibrated.onnx"


@pytest.fixture
def answers_on_disk(tmp_path):
    """Return a function that writes a classifier, and a set of images that it answers as told, to files."""

    def write(num_classes, answers, labels, **metadata):
        names = tuple(map(str, range(num_classes)))
        classifier_of_answers(num_classes).with_metadata(class_names=names, **metadata).save(tmp_path / "model.onnx")
        images = pixels_of_answers(answers)
        np.savez(
            tmp_path / "set.npz",
            x_train=images[:1],
            y_train=np.array(labels)[:1],
            x_test=images,
            y_test=np.array(labels),
        )
        return tmp_path / "model.onnx", tmp_path / "set.npz"

    return write


def test_it_prints_json_and_nothing_else(tinysight, model_path):
    status, printed, error = tinysight("evaluate", model_path, "digits", "--json")
    assert (status, error) == (0, "")
    evaluation = json.loads(printed)
    assert evaluation["num_images"] == 352
    assert evaluation["accuracy_interval"][0] < evaluation["accuracy"] < evaluation["accuracy_interval"][1]
    assert evaluation["outside"] is None


def test_it_shows_figures_classes_and_confusions(tinysight, calibrated):
    status, printed, error = tinysight("evaluate", calibrated, "digits")
    assert (status, error) == (0, "")
    words = ("95 % interval", "log loss", "calibration error", "before temperature scaling", "with --reject it answers")
    for word in (*words, "precision", "recall", "F1", "predicted class", "most confused"):
        assert word in printed
    assert "balanced accuracy" not in printed  # its classes have equally many images
    assert max(map(len, printed.splitlines())) < 120


def test_images_of_no_class_are_measured_against_those_of_the_classes(tinysight, calibrated, class_folders):
    (class_folders / "dark" / "broken.png").write_bytes(b"no picture")
    status, printed, error = tinysight("evaluate", calibrated, "digits", "--outside", class_folders)
    assert status == 3
    assert "broken.png" in error
    assert f"20 images of {class_folders} told apart: AUROC 0." in printed
    assert "with --reject it rejects" in printed
    status, printed, _ = tinysight("evaluate", calibrated, "digits", "--outside", class_folders, "--json")
    outside = json.loads(printed)["outside"]
    assert (outside["num_images"], outside["data_name"]) == (20, str(class_folders))


def test_a_set_of_the_same_classes_is_not_outside(tinysight, model_path, class_folders):
    for class_name, renamed in (("dark", "3"), ("light", "letter")):
        (class_folders / class_name).rename(class_folders / renamed)
    status, printed, _ = tinysight("evaluate", model_path, "digits", "--outside", class_folders)
    assert status == 0
    assert f"note: {class_folders} should hold other things, but has the classifier's classes 3" in printed


def test_an_outside_set_that_is_not_there_is_named(tinysight, model_path):
    status, printed, error = tinysight("evaluate", model_path, "digits", "--outside", "letters")
    assert (status, printed) == (1, "")
    assert error.startswith("tinysight: letters: neither a path")


def test_balanced_accuracy_is_shown_where_classes_are_unbalanced(tinysight, answers_on_disk):
    labels = [0] * 30 + [1] * 20 + [2] + [3] * 9
    answers = [0] * 30 + [1] * 20 + [2] + [0] * 9  # class 3 is never predicted
    status, printed, error = tinysight("evaluate", *answers_on_disk(5, answers, labels))
    assert (status, error) == (0, "")
    assert "balanced accuracy 75.00 %" in printed
    assert "note: no images of 4" in printed
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line[:2] in ("2 ", "3 ", "4 ")}
    assert printed.count("–") == 4  # no precision of 3 and 4, no recall and F1 of 4
    assert rows["2"]


def test_of_two_hundred_classes_the_worst_are_listed(tinysight, answers_on_disk):
    labels = np.repeat(np.arange(200), 3)
    answers = np.where(np.arange(600) % 10 == 0, (labels + 1) % 200, labels)
    status, printed, error = tinysight("evaluate", *answers_on_disk(200, answers, labels))
    assert (status, error) == (0, "")
    assert "the 40 of 200 classes with the lowest F1" in printed
    assert "predicted class" not in printed
    assert len(printed.splitlines()) < 60


def test_two_classes_are_enough(tinysight, answers_on_disk):
    status, printed, error = tinysight("evaluate", *answers_on_disk(2, [0, 1, 1, 0], [0, 1, 0, 0]))
    assert (status, error) == (0, "")
    assert "test accuracy 75.00 %" in printed
    assert "with at most 1 % of the answers wrong, it can answer no image" in printed


def test_a_class_name_cannot_send_commands_to_the_terminal(tinysight, answers_on_disk):
    model, data = answers_on_disk(2, [0, 1, 1], [0, 1, 0])
    status, printed, _ = tinysight("evaluate", model, data)
    assert status == 0
    assert "\x1b" not in printed
