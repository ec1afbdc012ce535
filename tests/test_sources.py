import os

import pytest

from tinysight import sources
from tinysight.errors import PictureError
from tinysight.sources import count_sources, find_sources


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

    monkeypatch.setattr(sources.os, "scandir", refuse)
    (name, failure), *others = find_sources([str(class_folders)])
    assert name == str(class_folders / "dark")
    assert isinstance(failure, PictureError)
    assert str(failure) == f"{name}: cannot be read (Permission denied)"
    assert len(others) == 10


def test_pictures_are_counted_where_that_is_cheap(class_folders):
    assert count_sources([str(class_folders), str(class_folders / "*" / "1.png")]) == 22
    assert count_sources([str(class_folders), "-"]) == 0
    assert count_sources([str(class_folders), "some.zip"]) == 0
