import io
import os
import shutil
import signal
import sys
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tinysight import prediction, zip_members
from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError, PictureError, SettingsError
from tinysight.picture_sources import PassedOver, count_sources, find_sources, read_member
from tinysight.prediction import PICTURES_AT_A_TIME, predict_files, predict_sources
from tinysight.preprocessing import framing, reading


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
    return predictions, [message for outcome in outcomes for _, message in outcome.failures]


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
        "no file matches",
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


def test_archives_are_read_a_few_pictures_at_a_time(classifier, pictures, monkeypatch):
    with zipfile.ZipFile(pictures / "some.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(32):
            archive.writestr(f"{number}.png", (pictures / "0.png").read_bytes() + bytes(2**20))
    monkeypatch.setattr(reading, "BYTES_AT_A_TIME", 2**20)
    tracemalloc.start()
    predictions, failures = predictions_of(classifier, [pictures / "some.zip"], 1)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    assert (len(predictions), failures) == (32, [])


def test_files_are_read_ahead_up_to_so_many_bytes(classifier, pictures, monkeypatch):
    read = []
    for name in ("read_file", "read_picture"):
        function = getattr(prediction, name)
        monkeypatch.setattr(prediction, name, lambda *given, f=function, n=name: read.append(n) or f(*given))
    assert len(predictions_of(classifier, [pictures])[0]) == 5
    assert read == ["read_file"] * 5 + ["read_picture"] * 5
    read.clear()
    monkeypatch.setattr(reading, "BYTES_AT_A_TIME", 1)
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
    failures = [message.partition(": ")[0] for outcome in several for _, message in outcome.failures]
    assert failures == [str(pictures / name) for name in ("bad.png", "missing.png", "some.zip/in/bad.png")] * 60


def test_a_damaged_classifier_is_refused_with_several_processes(pictures):
    names = [str(pictures / "0.png")] * (PICTURES_AT_A_TIME + 1)
    load = partial(Classifier.load, pictures / "0.png")
    with pytest.raises(ModelFileError, match="not a classifier file"):
        list(predict_sources(load, names, 1, as_they_are, 2))


def test_pictures_below_a_folder_are_found_sorted_without_hidden_ones(class_folders):
    for name in ("notes.txt", ".hidden.png", "light/0.PNG"):
        (class_folders / name).write_bytes(b"")
    (class_folders / "__MACOSX").mkdir()
    (class_folders / "__MACOSX" / "a.png").write_bytes(b"")
    (class_folders / "loop").symlink_to(class_folders, target_is_directory=True)
    expected = [class_folders / "dark" / f"{number}.png" for number in range(10)]
    expected += sorted((class_folders / "light").iterdir())
    *found, (folder, note) = find_sources([str(class_folders)])
    assert [content for _, content in found] == [str(path) for path in expected]
    assert isinstance(note, PassedOver)
    assert note == f"{folder}: 1 file that is no picture and 1 link to a folder that is read anyway skipped"
    assert count_sources([str(class_folders)]) == 21


def test_pictures_under_other_suffixes_are_found_by_their_content(classifier, pictures):
    odd = ["0.jpg?v=1", "1.png:large", "2.PNG_large", "3", "4.png~"]
    for number, name in enumerate(odd):
        (pictures / f"{number}.png").rename(pictures / name)
    for name in ("notes", "notes.txt", "raw.nef"):
        (pictures / name).write_bytes(b"II*\0" if name == "raw.nef" else b"no picture")
    (pictures / "loop").symlink_to("loop")
    with zipfile.ZipFile(pictures / "some.zip", "w") as archive:
        for path in sorted(pictures.iterdir()):
            if path.name not in ("some.zip", "loop"):
                archive.write(path, path.name)
    for source in (pictures, pictures / "some.zip"):
        assert names_of(classifier, [source]) == ([f"{source}/{name}" for name in odd], [])
    (pictures / "some.zip").unlink()
    outcomes = outcomes_of(classifier, [pictures, pictures], 1)
    assert [outcome.notes for outcome in outcomes] == [[f"{pictures}: 4 files that are no pictures skipped"] * 2]


def test_what_is_passed_over_is_counted_where_there_is_no_picture(classifier, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"no picture")
    (outcome,) = outcomes_of(classifier, [tmp_path], 1)
    assert outcome.failures == [(0, f"{tmp_path}: no pictures in this folder")]
    assert outcome.notes == [f"{tmp_path}: 1 file that is no picture skipped"]
    assert [str(error) for error in predict_files(classifier, tmp_path)] == [f"{tmp_path}: no pictures in this folder"]


def test_notes_do_not_move_failures(classifier, pictures):
    (pictures / "a.txt").write_bytes(b"")
    (pictures / "b.png").write_bytes(b"no picture")
    results = list(predict_files(classifier, [pictures, pictures / "missing.png", pictures / "0.png"]))
    assert [isinstance(result, PictureError) for result in results] == [False] * 5 + [True, True, False]


def test_names_are_those_that_were_typed(class_folders, monkeypatch):
    monkeypatch.chdir(class_folders / "dark")
    assert [name for name, _ in find_sources([".", "./", "[01].png"])][:1] == ["0.png"]
    assert [name for name, _ in find_sources(["[01].png"])] == ["0.png", "1.png"]
    monkeypatch.chdir(class_folders)
    assert next(find_sources(["dark/"]))[0] == "dark/0.png"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such permissions")
def test_a_folder_that_cannot_be_read_costs_a_line(class_folders, monkeypatch):
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("dark"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(prediction.os, "scandir", refuse)
    (name, failure), *others = find_sources([str(class_folders)])
    assert name == str(class_folders / "dark")
    assert isinstance(failure, PictureError)
    assert str(failure) == f"{name}: cannot be read (Permission denied)"
    assert len(others) == 10


def test_pictures_are_counted_where_that_is_cheap(class_folders):
    assert count_sources([str(class_folders), str(class_folders / "*" / "1.png")]) == 22
    assert count_sources([str(class_folders), "-"]) == 0
    assert count_sources([str(class_folders), "some.zip"]) == 0


def test_a_link_that_leads_nowhere_costs_a_line_and_no_folder(class_folders):
    (class_folders / "dark" / "a.png").symlink_to("a.png")
    (class_folders / "dark" / "b.png").symlink_to("missing")
    names = [name for name, _ in find_sources([str(class_folders / "dark")])]
    assert len(names) == 12
    assert str(class_folders / "dark" / "a.png") in names


def test_a_pattern_for_all_folders_names_each_picture_once(class_folders):
    names = [name for name, _ in find_sources([str(class_folders / "**")])]
    assert len(names) == len(set(names)) == 20


def test_a_file_whose_name_means_standard_input_is_a_file_in_a_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(b"no picture")
    assert list(find_sources(["*"])) == [("-", "-")]


def test_folders_may_be_deeper_than_calls(tmp_path):
    deepest = tmp_path.joinpath(*["d"] * 300)
    deepest.mkdir(parents=True)
    (deepest / "a.png").write_bytes(b"")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        found = list(find_sources([str(tmp_path)]))
        ((_, failure),) = find_sources([f"{tmp_path}/**"])
    finally:
        sys.setrecursionlimit(before)
    assert [name for name, _ in found] == [str(deepest / "a.png")]
    assert str(failure) == f"{tmp_path}/**: the folders are nested too deep for a pattern; give the folder itself"


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_BZIP2, "BZIP2"), (zipfile.ZIP_LZMA, "LZMA"), (99, "method 99")]
)
def test_members_that_would_be_unpacked_without_limit_are_named(tmp_path, pictures, method, name):
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", bytes(2**24), zipfile.ZIP_DEFLATED if method == 99 else method)
        archive.writestr("noext", bytes(2**24), zipfile.ZIP_DEFLATED if method == 99 else method)
        archive.write(pictures / "0.png", "b.png")
    data = bytearray(path.read_bytes())
    for start in (data.index(b"PK\1\2") + 10, data.index(b"PK\1\2", data.index(b"PK\1\2") + 4) + 10):
        data[start] = method
    path.write_bytes(data)
    tracemalloc.start()
    (_, failure), (good, member), (_, note) = find_sources([str(path)])
    content = read_member(member)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert str(failure).startswith(f"{path}/a.png: is compressed with {name}")
    assert (good, content) == (f"{path}/b.png", (pictures / "0.png").read_bytes())
    assert isinstance(note, PassedOver)


def test_a_member_larger_than_a_picture_may_be_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_members, "MAX_FILE_BYTES", 2**20)
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(2**24))
    tracemalloc.start()
    ((_, failure),) = find_sources([str(path)])
    assert tracemalloc.get_traced_memory()[1] < 2**18
    tracemalloc.stop()
    assert str(failure) == f"{path}/a.png: the file is larger than 1 MiB"


def fail_at(monkeypatch, target, run):
    """Have `run` be called for each picture of 33×33 pixels, just before it is framed."""
    frame = framing.frame_picture

    def frame_or_fail(picture, wanted):
        if picture.size == (33, 33):
            run()
        return frame(picture, wanted)

    monkeypatch.setattr(target, "frame_picture", frame_or_fail)


@pytest.mark.parametrize(
    ("error", "words"), [(IndexError("x"), "unexpected IndexError"), (MemoryError(), "not enough memory")]
)
@pytest.mark.parametrize("num_pictures", [3, 200])
def test_whatever_a_picture_raises_is_its_own_failure(classifier, pictures, monkeypatch, error, words, num_pictures):
    def fail():
        raise error

    fail_at(monkeypatch, framing, fail)
    Image.new("L", (33, 33)).save(pictures / "guilty.png")
    names = [pictures / "1.png"] * num_pictures
    names[1] = pictures / "guilty.png"
    predictions, failures = predictions_of(classifier, names, 2)
    assert len(predictions) == num_pictures - 1
    (failure,) = failures
    assert failure.startswith(f"{pictures / 'guilty.png'}: ")
    assert words in failure


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that end a process")
@pytest.mark.parametrize("end", ["hangs", "crashes"])
def test_a_picture_that_hangs_or_crashes_is_named_and_left_out(classifier, pictures, monkeypatch, end):
    def hang():
        while True:
            pass

    fail_at(monkeypatch, framing, hang if end == "hangs" else lambda: os._exit(1))
    monkeypatch.setattr(prediction, "PICTURE_SECONDS", 0.2)
    monkeypatch.setattr(prediction, "PICTURES_AT_A_TIME", 4)
    Image.new("L", (33, 33)).save(pictures / "guilty.png")
    names = [pictures / "1.png", pictures / "guilty.png", *[pictures / "2.png"] * 10]
    predictions, failures = predictions_of(classifier, names, 2)
    assert [prediction.source for prediction in predictions] == [str(name) for name in names if name.stem != "guilty"]
    (failure,) = failures
    assert failure.startswith(f"{pictures / 'guilty.png'}: reading it crashed, or took longer than 0.2 seconds")


def test_a_large_file_is_read_in_a_process_that_can_be_ended(classifier, pictures, monkeypatch):
    fail_at(monkeypatch, framing, lambda: os.kill(os.getpid(), signal.SIGKILL))
    Image.new("L", (33, 33)).save(pictures / "guilty.png")
    with (pictures / "guilty.png").open("ab") as file:
        file.write(bytes(2**22))
    predictions, failures = predictions_of(classifier, [pictures / "0.png", pictures / "guilty.png"], 2)
    assert (len(predictions), len(failures)) == (1, 1)


def test_damage_in_an_archive_costs_a_line(tmp_path):
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(range(256)) * 9)
        archive.writestr("b.png", b"b")
    data = bytearray(path.read_bytes())
    data[40:70] = b"\xff" * 30
    path.write_bytes(data)
    (_, damaged), (name, member) = find_sources([str(path)])
    with pytest.raises(OSError, match="cannot be read from the archive"):
        read_member(damaged)
    assert (name, read_member(member)) == (f"{path}/b.png", b"b")


def test_a_file_without_a_name_in_an_archive_is_read(tmp_path):
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nameless.png", content := b"\x89PNG\r\n\x1a\n")
    path.write_bytes(path.read_bytes().replace(b"nameless.png", b"\0ameless.png"))
    ((name, member),) = find_sources([str(path)])
    assert (name, read_member(member)) == (f"{path}/", content)


def test_an_archive_of_a_later_kind_costs_a_line(tmp_path):
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"a")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 6] = 99  # the version that is needed to read it
    path.write_bytes(data)
    ((name, failure),) = find_sources([str(path)])
    assert name == str(path)
    assert isinstance(failure, PictureError)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_predict_files_gives_predictions_and_errors_in_order(classifier, pictures, num_processes):
    (pictures / "2b.png").write_bytes(b"no picture")
    names = [pictures / "0.png", pictures / "missing.png", pictures]
    results = list(predict_files(classifier, names, top=2, num_processes=num_processes))
    expected = ["0.png", "missing.png", "0.png", "1.png", "2.png", "2b.png", "3.png", "4.png"]
    assert [getattr(result, "source", None) or str(result).partition(": ")[0] for result in results] == [
        str(pictures / name) for name in expected
    ]
    assert [isinstance(result, PictureError) for result in results] == [
        name in ("missing.png", "2b.png") for name in expected
    ]
    assert results[0] == classifier.predict(pictures / "0.png", top=2)[0]


def test_predict_files_takes_one_name_and_many_pictures(classifier, pictures, trained):
    num_pictures = PICTURES_AT_A_TIME + 3
    for number in range(num_pictures):
        Image.fromarray(np.asarray(trained.images.images[number])).save(pictures / f"{number:03}.png")
    found = list(predict_files(classifier, str(pictures / "???.png"), num_processes=2))
    assert [result.source[-7:-4] for result in found] == [f"{number:03}" for number in range(num_pictures)]
    expected = classifier.probabilities(np.asarray(trained.images.images[:num_pictures])).argmax(axis=1)
    assert [result.class_name for result in found] == [classifier.class_names[index] for index in expected]


def test_the_number_of_classes_is_checked(classifier, pictures):
    with pytest.raises(SettingsError, match="top is 0"):
        list(predict_files(classifier, pictures, top=0))
