import io
import shutil
import sys
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tinysight import predict_files
from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError
from tinysight.predict_files import PICTURES_AT_A_TIME, predict_sources


@pytest.fixture
def pictures(tmp_path, trained):
    for number in range(5):
        Image.fromarray(np.asarray(trained.images.images[number])).save(tmp_path / f"{number}.png")
    return tmp_path


def as_they_are(predictions, framed):
    assert len(predictions) == len(framed)
    return predictions


def outcomes_of(classifier, names, num_processes):
    return list(predict_sources(lambda: classifier, [str(name) for name in names], 1, as_they_are, num_processes))


def predictions_of(classifier, names, num_processes=1):
    outcomes = outcomes_of(classifier, names, num_processes)
    predictions = [prediction for outcome in outcomes for prediction in outcome.finished or ()]
    assert sum(outcome.num_predicted for outcome in outcomes) == len(predictions)
    return predictions, [failure for outcome in outcomes for failure in outcome.failures]


def names_of(classifier, names):
    predictions, failures = predictions_of(classifier, names)
    return [prediction.source for prediction in predictions], failures


def test_folders_and_patterns_give_their_pictures_in_order(classifier, pictures):
    expected = [str(pictures / f"{number}.png") for number in range(5)]
    assert names_of(classifier, [pictures]) == (expected, [])
    assert names_of(classifier, [pictures / "*.png"]) == (expected, [])
    assert names_of(classifier, [pictures / "[13].png", pictures / "0.png"])[0] == [
        expected[1],
        expected[3],
        expected[0],
    ]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(classifier, pictures):
    shutil.copy(pictures / "0.png", pictures / "a[1].png")
    assert names_of(classifier, [pictures / "a[1].png"]) == ([str(pictures / "a[1].png")], [])


def test_archives_are_read_in_memory_and_what_is_damaged_is_named(classifier, pictures):
    path = pictures / "some.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(pictures / "1.png", "in/b.png")
        archive.write(pictures / "0.png", "a.PNG")
        archive.writestr("notes.txt", "no picture")
        archive.writestr("__MACOSX/a.png", "no picture")
        archive.writestr("bad.png", "no picture")
    sources, failures = names_of(classifier, [path])
    assert sources == [f"{path}/in/b.png", f"{path}/a.PNG"]
    assert len(failures) == 1
    assert failures[0].startswith(f"{path}/bad.png: not a picture that can be read")


def test_what_is_not_there_costs_a_line(classifier, pictures):
    (pictures / "empty").mkdir()
    (pictures / "no.zip").write_bytes(b"PK nothing")
    with zipfile.ZipFile(pictures / "none.zip", "w") as archive:
        archive.writestr("a.txt", "")
    wrong = [pictures / name for name in ("empty", "no.zip", "none.zip", "*.gif", "missing.png")]
    sources, failures = names_of(classifier, [*wrong, pictures / "0.png"])
    assert sources == [str(pictures / "0.png")]
    reasons = [
        "no pictures in this folder",
        "not a ZIP archive",
        "no pictures in this archive",
        "no file fits",
        "no such",
    ]
    assert len(failures) == len(reasons)
    for failure, path, reason in zip(failures, wrong, reasons, strict=True):
        assert failure.startswith(f"{path}: ")
        assert reason in failure


def test_standard_input_is_a_picture(classifier, pictures, monkeypatch):
    content = (pictures / "0.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert names_of(classifier, ["-"]) == (["-"], [])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    sources, (failure,) = names_of(classifier, ["-"])
    assert not sources
    assert "empty" in failure


def test_few_pictures_are_in_memory_at_a_time(classifier, pictures):
    many = [pictures / "0.png"] * (2 * PICTURES_AT_A_TIME + 1)
    sizes = [outcome.num_predicted for outcome in outcomes_of(classifier, many, 1)]
    assert sizes == [PICTURES_AT_A_TIME, PICTURES_AT_A_TIME, 1]


def test_content_from_archives_is_in_memory_a_few_pictures_at_a_time(classifier, pictures, monkeypatch):
    with zipfile.ZipFile(pictures / "some.zip", "w") as archive:
        for path in sorted(pictures.glob("*.png")):
            archive.write(path, path.name)
    monkeypatch.setattr(predict_files, "BYTES_AT_A_TIME", 1)
    assert [outcome.num_predicted for outcome in outcomes_of(classifier, [pictures / "some.zip"], 1)] == [1] * 5


def test_files_are_read_ahead_up_to_so_many_bytes(classifier, pictures, monkeypatch):
    read = []
    for name in ("read_file", "read_picture"):
        function = getattr(predict_files, name)
        monkeypatch.setattr(predict_files, name, lambda *given, f=function, n=name: read.append(n) or f(*given))
    assert len(predictions_of(classifier, [pictures])[0]) == 5
    assert read == ["read_file"] * 5 + ["read_picture"] * 5
    read.clear()
    monkeypatch.setattr(predict_files, "BYTES_AT_A_TIME", 1)
    assert len(predictions_of(classifier, [pictures])[0]) == 5
    assert read == ["read_file", "read_picture"] * 5


def test_several_processes_answer_like_one_and_in_order(model_path, pictures):
    (pictures / "bad.png").write_bytes(b"no picture")
    Image.new("RGB", (90, 60), "white").save(pictures / "large.png")
    with zipfile.ZipFile(pictures / "some.zip", "w") as archive:
        archive.write(pictures / "1.png", "in/b.png")
        archive.writestr("in/bad.png", "no picture")
    many = [pictures, pictures / "missing.png", pictures / "some.zip"] * 60
    load = partial(Classifier.load, model_path, 1)
    names = [str(name) for name in many]
    one, several = (list(predict_sources(load, names, 3, as_they_are, num_processes)) for num_processes in (1, 3))
    assert len(one) > 3
    assert several == one
    failures = [failure.partition(": ")[0] for outcome in several for failure in outcome.failures]
    assert failures == [str(pictures / name) for name in ("bad.png", "missing.png", "some.zip/in/bad.png")] * 60


def test_a_damaged_classifier_is_refused_with_several_processes(pictures):
    names = [str(pictures / "0.png")] * (PICTURES_AT_A_TIME + 1)
    load = partial(Classifier.load, pictures / "0.png")
    with pytest.raises(ModelFileError, match="not a classifier file"):
        list(predict_sources(load, names, 1, as_they_are, 2))
