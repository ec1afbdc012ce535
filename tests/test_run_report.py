"""The report made anew from a run's folder."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinysight.errors import DataError, OutputError
from tinysight.evaluation import evaluate, probabilities_of
from tinysight.run_folder import save_run
from tinysight.run_report import read_run, write_report


@pytest.fixture
def run(run_folder, tmp_path):
    """A copy of a run."""
    return shutil.copytree(run_folder, tmp_path / "run")


def test_the_report_is_the_one_that_training_wrote(run):
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert write_report(run) == (run / "report.html", "")
    assert (run / "report.html").read_bytes() == before


def test_the_verdict_of_the_training_is_kept(trained, tmp_path):
    test_images = trained.images.subset("test")
    probabilities = probabilities_of(trained.classifier, test_images.images)
    evaluation = evaluate(trained.classifier, test_images, probabilities=probabilities)
    save_run(trained, evaluation, tmp_path / "run", verdict="it fits: no gap", probabilities=probabilities)
    before = (tmp_path / "run" / "report.html").read_text()
    assert before.count("It fits: no gap.") == 1
    write_report(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").read_text() == before


def test_a_run_without_report_has_none_nor_keeps_an_old_one(trained, run):
    evaluation = evaluate(trained.classifier, trained.images.subset("test"))
    save_run(trained, evaluation, run, overwrite=True, has_report=False)
    assert not (run / "report.html").exists()
    write_report(run)
    assert (run / "report.html").exists()


def test_what_was_stored_is_read_as_it_was(run, trained):
    stored = read_run(run)
    evaluation = evaluate(trained.classifier, trained.images.subset("test"))
    assert stored.evaluation == evaluation
    assert [vars(epoch) for epoch in stored.history] == [vars(epoch) for epoch in trained.history]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "gone/away"}, "gone/away: neither a path that exists"),
        ({"sha256": "0" * 64}, "those in digits are no longer the ones of the training"),
    ],
)
def test_without_the_images_there_is_a_report_that_says_why(run, tinysight, change, reason):
    described = json.loads((run / "settings.json").read_text())
    described["data"].update(change)
    (run / "settings.json").write_text(json.dumps(described))
    status, printed, noted = tinysight("report", run)
    assert status == 0
    assert printed == f"wrote {run / 'report.html'}: {(run / 'report.html').stat().st_size / 1e6:.2f} MB\n"
    assert noted.startswith("note: The images are not shown: ")
    assert reason in noted
    assert noted.count("\n") == 1
    page = (run / "report.html").read_text()
    assert "<img" not in page
    assert "The surest mistakes" in page
    if "name" in change:
        assert tinysight("report", run, "--data", "digits")[2] == ""
        assert "<img" in (run / "report.html").read_text()


@pytest.mark.parametrize("content", [None, "file,label,split,sha256\n", "a\n1\n"])
def test_images_are_shown_only_with_the_splits_of_the_training(run, content):
    (run / "splits.csv").unlink() if content is None else (run / "splits.csv").write_text(content)
    assert "splits.csv" in write_report(run)[1]


def test_images_in_another_order_are_not_shown(run):
    first, *rows = (run / "splits.csv").read_text().splitlines()
    (run / "splits.csv").write_text("\n".join([first, *reversed(rows)]))
    assert "no longer in the order" in write_report(run)[1]


def test_pictures_in_folders_are_found_again(class_folders, trained, tmp_path, monkeypatch):
    from tinysight.data.loading import load_images
    from tinysight.data.splits import split_images

    monkeypatch.chdir(class_folders.parent)
    images = split_images(load_images("pictures"))
    training = replace(trained, images=images, classifier=two_classes(images))
    evaluation = evaluate(training.classifier, images.subset("test"))
    save_run(training, evaluation, tmp_path / "run")
    before = (tmp_path / "run" / "report.html").read_bytes()
    assert b"dark/" in before
    assert write_report(tmp_path / "run")[1] == ""
    assert (tmp_path / "run" / "report.html").read_bytes() == before


def two_classes(images):
    from tinysight.classifier import Classifier
    from tinysight.onnx_file import DataSource, ModelMetadata, build_model

    weights = np.random.default_rng(0).normal(size=(784, 2)).astype(np.float32)
    metadata = ModelMetadata(images.class_names, images.framing, DataSource(images.name, images.data_hash))
    return Classifier(build_model([(weights, np.zeros(2, np.float32))], metadata))


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("evaluation.json", None, "cannot be read (No such file or directory); expected a file of a run"),
        ("evaluation.json", "{}", "damaged, or of another version of Tinysight"),
        ("evaluation.json", "[", "damaged"),
        ("settings.json", "nothing", "damaged"),
        ("settings.json", '{"settings": {"api": "sequential"}}', "damaged"),
        ("history.csv", "epoch\nx\n", "damaged"),
        ("model.onnx", "x", "model.onnx: not a classifier file"),
    ],
)
def test_a_damaged_run_is_refused_in_a_line(run, tinysight, name, content, error):
    (run / name).unlink() if content is None else (run / name).write_text(content)
    status, printed, complaint = tinysight("report", run)
    assert (status, printed, complaint.count("\n")) == (1, "", 1)
    assert error in complaint
    assert name in complaint


def test_a_folder_that_is_none_is_named(tmp_path, tinysight):
    with pytest.raises(DataError, match="there is no such folder"):
        write_report(tmp_path / "nothing")
    assert tinysight("report", tmp_path / "nothing")[0] == 1
    assert tinysight("report")[0] == 2


def test_a_report_that_cannot_be_written_is_an_error_in_a_line(run, monkeypatch):
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html: cannot be written"):
        write_report(run)
