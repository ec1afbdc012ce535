import os

import pytest

from tinysight import load_images


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cached_sets_are_listed_the_one_used_last_first(empty_cache, class_folders, tinysight, monkeypatch):
    monkeypatch.chdir(class_folders.parent)
    load_images(class_folders.name)
    load_images("digits")
    for folder in (empty_cache / "images").iterdir():
        if (folder / "source.txt").read_text() == "digits":
            os.utime(folder, (100_000, 100_000))
    status, out, err = tinysight("cache", "list")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0].split() == ["image", "set", "last", "used", "size"]
    assert lines[1].startswith(f"{class_folders} ")
    assert lines[2].split()[:2] == ["digits", "1970-01-02"]
    assert lines[2].endswith(" 1.5 MB")
    assert lines[3] == f"2 image sets, 1.5 MB of at most 20.0 GB, in {empty_cache}"


def test_names_cannot_send_commands_to_the_terminal(empty_cache, class_folders, tinysight):
    load_images(class_folders.rename(class_folders.with_name("a\x1b[31m\u202e")))
    _, out, _ = tinysight("cache", "list")
    assert "\x1b" not in out
    assert "a\\x1b[31m\\u202e " in out


def test_clear_removes_images_and_programs_but_not_downloads(empty_cache, tinysight):
    load_images("digits")
    for name in ("programs/kind", "downloads/mnist", "locks"):
        (empty_cache / name).mkdir(parents=True)
        (empty_cache / name / "file").write_bytes(bytes(1_000_000))
    status, out, err = tinysight("cache", "clear")
    assert (status, out, err) == (0, f"removed 2.5 MB from {empty_cache}\n", "")
    files = {path.relative_to(empty_cache).as_posix() for path in empty_cache.rglob("*") if path.is_file()}
    assert files == {"downloads/mnist/file", "locks/file"}
    assert tinysight("cache", "list")[1] == f"0 image sets, 0.0 MB of at most 20.0 GB, in {empty_cache}\n"


def test_an_empty_cache_is_no_error(empty_cache, tinysight):
    assert tinysight("cache", "clear") == (0, f"removed 0.0 MB from {empty_cache}\n", "")
    assert not empty_cache.exists()
