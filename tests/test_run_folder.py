import csv
import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from tinysight import run_folder
from tinysight.classifier import Classifier
from tinysight.data.dataset import SPLITS
from tinysight.data.groups import NO_GROUP
from tinysight.data.loading import load_images
from tinysight.data.splits import split_images
from tinysight.errors import OutputError
from tinysight.evaluation import evaluate
from tinysight.run_folder import check_output, save_run

FILES = ["evaluation.json", "history.csv", "model.keras", "model.onnx", "report.html", "settings.json", "splits.csv"]


@pytest.fixture(scope="module")
def evaluation(trained):
    return evaluate(trained.classifier, trained.images.subset("test"))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_holds_what_the_design_says(run_folder):
    assert names_in(run_folder) == FILES


def test_stock_keras_loads_the_network_and_agrees(run_folder, trained):
    images = trained.images.subset("test").images
    model = keras.saving.load_model(run_folder / "model.keras", safe_mode=True)
    ours = Classifier.load(run_folder / "model.onnx").probabilities(images)
    np.testing.assert_allclose(model.predict(images / 255, verbose=0), ours, atol=1e-5)
    labels = keras.utils.to_categorical(trained.images.subset("test").labels, 10)
    assert model.evaluate(images / 255, labels, verbose=0)[1] > 0.85
    model.fit(images / 255, labels, verbose=0)


def test_the_classifier_carries_its_test_figures(run_folder, evaluation):
    stored = Classifier.load(run_folder / "model.onnx").metadata.test
    assert stored.accuracy == evaluation.accuracy
    assert stored.num_images == evaluation.num_images


def test_the_settings_are_enough_to_repeat_the_training(run_folder, trained):
    stored = json.loads((run_folder / "settings.json").read_text())
    assert stored["settings"]["hidden"] == [64, 32]
    assert stored["settings"]["batch_size"] == 64
    assert stored["data"]["sha256"] == trained.images.data_hash
    assert {"tinysight", "tensorflow", "keras", "python"} <= stored["versions"].keys()


def test_the_splits_name_each_image(run_folder, trained):
    rows = list(csv.DictReader((run_folder / "splits.csv").read_text().splitlines()))
    assert len(rows) == 1797
    assert [row["split"] for row in rows].count("test") == len(trained.images.indices("test"))
    assert len({row["sha256"] for row in rows}) > 1700
    assert rows[5]["file"] == "digits[5]"
    assert rows[5]["label"] == "5"


def test_the_history_has_a_row_an_epoch(run_folder, trained):
    rows = list(csv.DictReader((run_folder / "history.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert float(rows[-1]["validation_accuracy"]) == trained.history[-1].validation_accuracy


def test_a_run_is_replaced_only_when_asked(trained, evaluation, tmp_path):
    folder = tmp_path / "run"
    save_run(trained, evaluation, folder)
    (folder / "history.csv").write_text("x")
    with pytest.raises(OutputError, match="--overwrite"):
        save_run(trained, evaluation, folder)
    save_run(trained, evaluation, folder, overwrite=True)
    assert (folder / "history.csv").read_text() != "x"
    assert names_in(folder) == FILES
    assert names_in(tmp_path) == ["run"]


def test_unfinished_files_of_a_killed_save_do_not_keep_a_run_from_being_replaced(trained, evaluation, tmp_path):
    save_run(trained, evaluation, tmp_path)
    (tmp_path / ".tinysight-killed").mkdir()
    (tmp_path / ".tinysight-killed" / "model.onnx").write_text("x")
    with pytest.raises(OutputError, match="--overwrite"):
        check_output(tmp_path)
    save_run(trained, evaluation, tmp_path, overwrite=True)
    assert names_in(tmp_path) == FILES


def test_a_link_to_a_folder_is_followed(trained, evaluation, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    save_run(trained, evaluation, tmp_path / "link")
    save_run(trained, evaluation, tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert names_in(tmp_path / "there") == FILES
    assert names_in(tmp_path) == ["link", "there"]


def test_folders_above_are_made(trained, evaluation, tmp_path):
    save_run(trained, evaluation, tmp_path / "a" / "b" / "run")
    assert names_in(tmp_path / "a" / "b" / "run") == FILES


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path):
    (tmp_path / "thesis.doc").write_text("x")
    (tmp_path / "model.onnx").write_text("x")
    with pytest.raises(OutputError, match=r"other things than a run, such as thesis\.doc"):
        check_output(tmp_path, overwrite=True)


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        check_output(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(tmp_path / "file" / "run")
    with pytest.raises(OutputError, match="cannot be written"):
        check_output("/proc/tinysight")
    assert names_in(tmp_path) == ["file"]


def test_an_empty_folder_may_be_filled(trained, evaluation, tmp_path):
    (tmp_path / "run").mkdir()
    save_run(trained, evaluation, tmp_path / "run")
    assert names_in(tmp_path) == ["run"]


def test_a_failure_while_writing_leaves_the_old_run(trained, evaluation, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    save_run(trained, evaluation, folder)
    before = (folder / "model.onnx").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "_write_splits", fail)
    with pytest.raises(OutputError, match="No space left"):
        save_run(trained, evaluation, folder, overwrite=True)
    with pytest.raises(OutputError, match="No space left"):
        save_run(trained, evaluation, tmp_path / "a" / "b")
    assert names_in(tmp_path) == ["run"]
    assert (folder / "model.onnx").read_bytes() == before


@pytest.mark.parametrize("kind", ["folder", "named set"])
def test_splits_csv_given_back_is_the_same_split(class_folders, tmp_path, kind):
    for folder in class_folders.iterdir():
        (folder / "0.png").rename(folder / 'name, with "quotes".png')
    (class_folders / "light" / "copy.png").write_bytes((class_folders / "light" / "1.png").read_bytes())
    root = class_folders if kind == "folder" else "digits"
    images = split_images(load_images(root), seed=5, group=r"(\d)\D*$")
    split = images.split.copy()
    split[3] = SPLITS.index("unused")
    images = replace(images, split=split)
    run_folder._write_splits(images, tmp_path / "splits.csv")
    again = load_images(tmp_path / "splits.csv", root=root)
    assert list(again.sources) == list(images.sources)
    assert (again.class_names, again.data_hash) == (images.class_names, images.data_hash)
    np.testing.assert_array_equal(again.split, images.split)
    assert (images.groups == NO_GROUP).any() == (kind == "folder")
    np.testing.assert_array_equal(again.groups == NO_GROUP, images.groups == NO_GROUP)
    pairs = {*zip(again.groups.tolist(), images.groups.tolist(), strict=True)}
    assert len(pairs) == len(set(images.groups.tolist()))
    assert split_images(again, seed=9).split_hash == images.split_hash


def test_without_groups_there_is_no_column_of_them(run_folder):
    header = (run_folder / "splits.csv").read_text().splitlines()[0]
    assert header == "file,label,split,sha256"


def test_names_with_commas_and_quotes_are_quoted_in_csv(trained, tmp_path):
    names = [f'a "{row}",\nb' if row % 2 else f"plain {row}" for row in range(len(trained.images))]
    class_names = ("zero, or nought", *trained.images.class_names[1:])
    images = replace(trained.images, sources=names, class_names=class_names)
    run_folder._write_splits(images, tmp_path / "splits.csv")
    with (tmp_path / "splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == names
    assert [row["label"] for row in rows] == [class_names[label] for label in images.labels]
    assert [row["sha256"] for row in rows] == [digest.tobytes().hex() for digest in images.hashes]
