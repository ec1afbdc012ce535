import errno
import os
import subprocess
import sys

import pytest

from tinysight import folders
from tinysight.errors import OutputError
from tinysight.folders import replace_folder, reserving


def make(folder, text):
    folder.mkdir()
    (folder / "file").write_text(text)
    return folder


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_anothers_place(tmp_path, monkeypatch, can_exchange):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "not here")

    if not can_exchange:
        monkeypatch.setattr(folders, "_exchange", refuse)
    old, new = make(tmp_path / "run", "old"), make(tmp_path / "new", "new")
    replace_folder(new, old)
    assert (old / "file").read_text() == "new"
    replace_folder(make(tmp_path / "new", "first"), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run"]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EBUSY, "in use")

    monkeypatch.setattr(folders, "_exchange", refuse)
    old, new = make(tmp_path / "run", "old"), make(tmp_path / "new", "new")
    with pytest.raises(OSError, match="in use"):
        replace_folder(new, old)
    assert (old / "file").read_text() == "old"


def test_a_reserved_folder_is_refused_to_other_processes(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tinysight.folders import reserving\n"
        "with reserving(Path(sys.argv[1]), Path(sys.argv[2])): print('reserved', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run"), str(tmp_path / "locks")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "reserved\n"
        with pytest.raises(OutputError, match=f"process {process.pid} is writing"), reserving_here(tmp_path):
            pass
        process.kill()
    with reserving_here(tmp_path), reserving_here(tmp_path):  # the lock of a killed process is free
        assert str(os.getpid()) in next((tmp_path / "locks").iterdir()).read_text()
    assert list((tmp_path / "locks").iterdir()) == []
    with reserving_here(tmp_path):
        pass


def reserving_here(tmp_path):
    return reserving(tmp_path / "run", tmp_path / "locks")


def test_where_no_lock_can_be_kept_nothing_is_reserved(tmp_path):
    (tmp_path / "locks").write_text("")
    with reserving_here(tmp_path):
        pass
