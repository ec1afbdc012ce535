import os
import sys

import pytest

from tinysight.data.image_folder import read_folder
from tinysight.data.listing import list_class_folders
from tinysight.data.loading import load_images
from tinysight.errors import DataError


def list_picture_files(folder):
    listing = list_class_folders(read_folder(str(folder)))
    return listing.pictures, [*listing.notes, *listing.problems]


def test_hidden_things_and_empty_folders_are_no_classes(class_folders):
    (class_folders / ".ipynb_checkpoints").mkdir()
    (class_folders / "dark" / ".DS_Store").write_bytes(b"x")
    (class_folders / "dark" / "notes.txt").write_text("x")
    (class_folders / "empty").mkdir()
    files, skipped = list_picture_files(class_folders)
    assert {file.class_name for file in files} == {"dark", "light"}
    assert len(files) == 20
    assert any("empty" in line for line in skipped)
    assert any("1 file that is no picture" in line for line in skipped)


def test_folders_named_train_and_test_are_splits(class_folders, tmp_path):
    (tmp_path / "set").mkdir()
    class_folders.rename(tmp_path / "set" / "Train")
    (tmp_path / "set" / "test" / "dark").mkdir(parents=True)
    (tmp_path / "set" / "Train" / "dark" / "0.png").rename(tmp_path / "set" / "test" / "dark" / "0.png")
    files, _ = list_picture_files(tmp_path / "set")
    assert [file.split for file in files].count("test") == 1
    assert {file.class_name for file in files} == {"dark", "light"}


def test_a_folder_beside_train_and_test_is_no_class(class_folders, tmp_path):
    (tmp_path / "set").mkdir()
    class_folders.rename(tmp_path / "set" / "train")
    (tmp_path / "set" / "plots").mkdir()
    (tmp_path / "set" / "plots" / "curve.png").write_bytes(b"x")
    files, skipped = list_picture_files(tmp_path / "set")
    assert {file.class_name for file in files} == {"dark", "light"}
    assert any("plots" in line and "skipped" in line for line in skipped)


def test_a_class_may_be_called_train(class_folders):
    (class_folders / "dark").rename(class_folders / "train")
    files, _ = list_picture_files(class_folders)
    assert {file.class_name for file in files} == {"train", "light"}
    assert {file.split for file in files} == {"all"}


def test_pictures_in_no_class_folder_are_noted(class_folders):
    (class_folders / "dark" / "0.png").rename(class_folders / "loose.png")
    files, skipped = list_picture_files(class_folders)
    assert len(files) == 19
    assert "1 file in no class folder" in skipped[0]


def test_a_loose_picture_beside_the_classes_of_a_split_is_noted(class_folders, tmp_path):
    (tmp_path / "set" / "test").mkdir(parents=True)
    class_folders.rename(tmp_path / "set" / "train")
    (tmp_path / "set" / "train" / "dark").rename(tmp_path / "set" / "test" / "dark")
    (tmp_path / "set" / "test" / "dark" / "0.png").rename(tmp_path / "set" / "train" / "preview.png")
    files, skipped = list_picture_files(tmp_path / "set")
    assert {(file.class_name, file.split) for file in files} == {("light", "train"), ("dark", "test")}
    assert skipped == [f"{tmp_path / 'set' / 'train'}: 1 file in no class folder skipped"]


def test_accents_may_be_written_in_two_ways(class_folders, tmp_path):
    for split, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        (tmp_path / "set" / split).mkdir(parents=True)
        (class_folders / ("dark" if split == "train" else "light")).rename(tmp_path / "set" / split / name)
    files, _ = list_picture_files(tmp_path / "set")
    assert {file.class_name for file in files} == {"caf\u00e9"}


def test_pictures_under_other_suffixes_are_found_by_their_content(class_folders):
    odd = {"0": "0.jpg?v=1", "1": "1.png:large", "2": "2.PNG_large", "3": "3"}
    for number, name in odd.items():
        (class_folders / "dark" / f"{number}.png").rename(class_folders / "dark" / name)
    (class_folders / "dark" / "notes").write_text("no picture")
    files, skipped = list_picture_files(class_folders)
    assert len(files) == 20
    assert {file.name.rpartition("/")[2] for file in files} >= set(odd.values())
    assert skipped == [f"{class_folders / 'dark'}: 1 file that is no picture skipped: notes"]
    assert len(load_images(class_folders)) == 20


def test_what_is_no_file_is_named(class_folders):
    dark = class_folders / "dark"
    os.mkfifo(dark / "pipe.png")
    os.mkfifo(class_folders / "pipe")
    (dark / "gone.png").symlink_to("nothing")
    (dark / "gone").symlink_to("nothing")
    (dark / "loop.png").symlink_to("loop.png")
    listing = list_class_folders(read_folder(str(class_folders)))
    assert len(listing.pictures) == 20
    assert listing.notes == [
        f"{class_folders / 'pipe'}: a pipe, a socket or a device; skipped",
        f"{dark / 'gone'}: a link that leads nowhere; skipped",
        f"{dark / 'pipe.png'}: a pipe, a socket or a device; skipped",
    ]
    assert listing.problems == [
        f"{dark / 'gone.png'}: a link that leads nowhere",
        f"{dark / 'loop.png'}: a link that leads nowhere",
    ]


def test_links_to_folders_outside_are_followed_once(class_folders, tmp_path):
    outside = tmp_path / "outside"
    (class_folders / "light").rename(outside)
    (class_folders / "light").symlink_to(outside)
    (class_folders / "same").symlink_to(outside)
    (outside / "loop").symlink_to(class_folders)
    (class_folders / "dark" / "inside").symlink_to(outside)
    files, skipped = list_picture_files(class_folders)
    assert len(files) == 20
    assert {file.class_name for file in files} == {"dark", "light"}
    assert sorted(line.partition(": ")[0] for line in skipped) == sorted(
        map(str, (class_folders / "dark" / "inside", class_folders / "same", class_folders / "light" / "loop"))
    ), skipped
    assert all(line.endswith("a link to a folder that is read anyway; skipped") for line in skipped)


def test_a_link_in_a_class_does_not_take_another_classs_pictures(class_folders):
    (class_folders / "dark" / "a").symlink_to(class_folders / "light")
    files, skipped = list_picture_files(class_folders)
    assert [file.class_name for file in files] == ["dark"] * 10 + ["light"] * 10
    assert len(skipped) == 1


def test_folders_may_be_deeper_than_calls(class_folders):
    deepest = (class_folders / "dark").joinpath(*["d"] * 300)
    deepest.mkdir(parents=True)
    (class_folders / "dark" / "0.png").rename(deepest / "deep.png")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        files, skipped = list_picture_files(class_folders)
    finally:
        sys.setrecursionlimit(before)
    assert (len(files), skipped) == (20, [])
    assert [file.name.rpartition("/")[2] for file in files if file.class_name == "dark"][-1] == "deep.png"


def test_names_of_classes_are_printable(class_folders):
    """They reach terminals, pages and metrics, some of which fail on what is not Unicode."""
    (class_folders / "dark").rename(os.fsdecode(os.fsencode(class_folders) + b"/\xff\x1b[31m"))
    (class_folders / "light").rename(class_folders / "a\u202eb")
    files, _ = list_picture_files(class_folders)
    assert {file.class_name for file in files} == {"\\udcff\\x1b[31m", "a\\u202eb"}


def test_pictures_in_no_class_folder_alone_are_refused(class_folders):
    with pytest.raises(DataError, match="holds no pictures in class folders"):
        list_picture_files(class_folders / "dark")
