import os
from pathlib import Path

import pytest

from tinysight.errors import OutputError
from tinysight.files import read_at_most, write_whole


def test_no_more_than_allowed_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_at_most(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="larger than"):
        read_at_most(tmp_path / "file", 4)


def test_what_may_have_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a file"):
            read_at_most(path, 10)


def test_files_that_wait_for_content_or_grow_are_not_read(tmp_path, monkeypatch):
    """As /proc/kmsg waits for the next message, and files in /proc have content but no size."""
    (tmp_path / "file").write_bytes(b"12345")
    stat = (tmp_path / "file").stat()
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    monkeypatch.setattr(os, "stat", lambda _: stat)
    with pytest.raises(OSError, match="^cannot be read .it waits for content.$"):
        read_at_most(tmp_path / "pipe", 10)
    os.close(writer)
    (tmp_path / "file").write_bytes(b"123456")
    with pytest.raises(OSError, match="^cannot be read .its size changes.$"):
        read_at_most(tmp_path / "file", 10)
    (tmp_path / "file").write_bytes(b"123")
    assert read_at_most(tmp_path / "file", 10) == b"123"


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="^there is no such file$"):
        read_at_most(tmp_path / "file", 10)
    with pytest.raises(IsADirectoryError, match="^is a folder; expected a file$"):
        read_at_most(tmp_path, 10)
    with pytest.raises(OSError, match=r"^cannot be read \(Not a directory\)$"):
        read_at_most(Path(__file__) / "file", 10)


def test_a_file_is_replaced(tmp_path):
    for data in (b"one", b"two"):
        write_whole(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"old")

    def fail(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
