import os
import sys
import zipfile

import pytest

from tinysight import predict_files
from tinysight.errors import PictureError
from tinysight.predict_files import count_sources, find_sources


def test_pictures_below_a_folder_are_found_sorted_without_hidden_ones(class_folders):
    for name in ("notes.txt", ".hidden.png", "light/0.PNG"):
        (class_folders / name).write_bytes(b"")
    (class_folders / "__MACOSX").mkdir()
    (class_folders / "__MACOSX" / "a.png").write_bytes(b"")
    (class_folders / "loop").symlink_to(class_folders, target_is_directory=True)
    expected = [class_folders / "dark" / f"{number}.png" for number in range(10)]
    expected += sorted((class_folders / "light").iterdir())
    assert [content for _, content in find_sources([str(class_folders)])] == [str(path) for path in expected]


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

    monkeypatch.setattr(predict_files.os, "scandir", refuse)
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
    finally:
        sys.setrecursionlimit(before)
    assert [name for name, _ in found] == [str(deepest / "a.png")]


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_in_an_archive_costs_a_line(tmp_path, compression):
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.png", bytes(range(256)) * 9)
        archive.writestr("b.png", b"b")
    data = bytearray(path.read_bytes())
    data[40:70] = b"\xff" * 30
    path.write_bytes(data)
    (_, failure), (name, content) = find_sources([str(path)])
    assert str(failure).startswith(f"{path}/a.png: cannot be read from the archive")
    assert (name, content) == (f"{path}/b.png", b"b")


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
