import io
import shutil
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from tinysight.classifier import Classifier
from tinysight.predicting import PICTURES_AT_A_TIME, predict_sources


@pytest.fixture(scope="module")
def classifier(model_path):
    return Classifier.load(model_path)


@pytest.fixture
def pictures(tmp_path, trained):
    for number in range(5):
        Image.fromarray(np.asarray(trained.images.images[number])).save(tmp_path / f"{number}.png")
    return tmp_path


def names_of(classifier, names):
    failures = []
    batches = list(predict_sources(classifier, [str(name) for name in names], 1, failures.append))
    return [prediction.source for predictions, _ in batches for prediction in predictions], failures


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
    many = [str(pictures / "0.png")] * (2 * PICTURES_AT_A_TIME + 1)
    sizes = [len(predictions) for predictions, _ in predict_sources(classifier, many, 1, print)]
    assert sizes == [PICTURES_AT_A_TIME, PICTURES_AT_A_TIME, 1]
