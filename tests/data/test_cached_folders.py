import os
import subprocess
import sys
import time

import pytest

from tinysight.data import cached_folders
from tinysight.data.cached_folders import (
    complete,
    is_intact,
    limit_size,
    list_sets,
    locked,
    max_bytes,
    remove,
    remove_left_overs,
)
from tinysight.errors import SettingsError

posix = pytest.mark.skipif(os.name != "posix", reason="needs the rights and locks of POSIX")


def make_set(folder, num_bytes=10, last_used=None):
    folder.mkdir(mode=0o700, parents=True)
    (folder / "images.u8").write_bytes(bytes(range(256)) * (num_bytes // 256) + bytes(num_bytes % 256))
    (folder / "empty").touch()
    complete(folder, folder.name)
    if last_used is not None:
        os.utime(folder, (last_used, last_used))
    return folder


def age(folder, seconds=120):
    then = time.time() - seconds
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))
    return folder


def test_a_folder_is_intact_until_a_file_changes_appears_or_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(cached_folders, "PIECE_BYTES", 100)
    changes = {
        "changed": lambda folder: (folder / "images.u8").write_bytes(b"\1" + bytes(999)),
        "longer": lambda folder: (folder / "images.u8").write_bytes((folder / "images.u8").read_bytes() + b"0"),
        "shorter": lambda folder: os.truncate(folder / "images.u8", 999),
        "new": lambda folder: (folder / "new").touch(),
        "lost": lambda folder: (folder / "empty").unlink(),
        "filled": lambda folder: (folder / "empty").write_bytes(b"0"),
        "no checksums": lambda folder: (folder / "checksums.json").unlink(),
        "other checksums": lambda folder: (folder / "checksums.json").write_text("{}"),
        "damaged checksums": lambda folder: (folder / "checksums.json").write_bytes(b"\xff["),
        "deep checksums": lambda folder: (folder / "checksums.json").write_text("[" * 100_000),
        "a folder": lambda folder: (folder / "below").mkdir(),
    }
    for name, change in changes.items():
        folder = make_set(tmp_path / name, 1000)
        assert is_intact(folder), name
        change(folder)
        assert not is_intact(folder), name
    assert not is_intact(tmp_path / "none")


@posix
def test_folders_that_others_may_write_and_links_are_not_used(tmp_path):
    folder = make_set(tmp_path / "set")
    (tmp_path / "link").symlink_to(folder)
    assert not is_intact(tmp_path / "link")
    folder.chmod(0o720)
    assert not is_intact(folder)
    folder.chmod(0o755)
    assert is_intact(folder)


@posix
@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only the administrator can give files away")
@pytest.mark.parametrize(("owner", "user", "is_used"), [(12345, 0, False), (12345, 12345, True), (0, 12345, True)])
def test_folders_of_other_users_are_not_used_but_for_the_administrators(tmp_path, monkeypatch, owner, user, is_used):
    folder = make_set(tmp_path / "set")
    os.chown(folder, owner, owner)
    monkeypatch.setattr(os, "getuid", lambda: user)
    assert is_intact(folder) == is_used


def test_what_killed_programs_left_is_removed(tmp_path):
    left_over, kept = age(make_set(tmp_path / ".key-1")), age(make_set(tmp_path / "key"))
    new = make_set(tmp_path / ".key-2")
    remove_left_overs(tmp_path)
    assert not left_over.exists()
    assert kept.exists()
    assert new.exists()  # it may be about to be locked


@posix
def test_a_folder_that_a_process_is_writing_is_no_left_over_until_the_process_ends(tmp_path):
    folder = age(make_set(tmp_path / ".key-1"))
    code = (
        "import sys, time; from pathlib import Path; from tinysight.data.cached_folders import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        remove_left_overs(tmp_path)
        assert folder.exists()
        process.kill()
    remove_left_overs(tmp_path)
    assert not folder.exists()


def test_without_locks_left_overs_are_known_by_their_age(tmp_path, monkeypatch):
    monkeypatch.setattr(cached_folders, "fcntl", None)
    old, new = age(make_set(tmp_path / ".old"), 90_000), age(make_set(tmp_path / ".new"), 3_000)
    with locked(new):
        remove_left_overs(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_the_sets_not_used_for_longest_are_removed_above_the_limit(tmp_path):
    sets = [make_set(tmp_path / name, 10_000, used) for name, used in (("b", 2), ("a", 1), ("d", 4), ("c", 3))]
    size = list_sets(tmp_path)[0].num_bytes
    assert 10_000 < size < 11_000
    limit_size(tmp_path, sets[0], 4 * size)
    assert [one.source for one in list_sets(tmp_path)] == ["d", "c", "b", "a"]
    limit_size(tmp_path, sets[0], 3 * size)
    assert [one.source for one in list_sets(tmp_path)] == ["d", "c", "b"]
    limit_size(tmp_path, sets[0], 2 * size - 1)
    assert [one.source for one in list_sets(tmp_path)] == ["b"]
    limit_size(tmp_path, sets[0], 0)
    assert list_sets(tmp_path)[0].folder == sets[0]


def test_the_limit_is_given_in_gigabytes(monkeypatch):
    monkeypatch.delenv("TINYSIGHT_CACHE_GB", raising=False)
    assert max_bytes() == 20e9
    monkeypatch.setenv("TINYSIGHT_CACHE_GB", "0.5")
    assert max_bytes() == 5e8


@pytest.mark.parametrize("text", ["many", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("TINYSIGHT_CACHE_GB", text)
    with pytest.raises(SettingsError, match=f"TINYSIGHT_CACHE_GB is '{text}'; expected a number of gigabytes"):
        max_bytes()


def test_whatever_is_in_the_place_of_a_folder_is_removed(tmp_path):
    folder = make_set(tmp_path / "folder")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").touch()
    for name in ("link", "file", "none"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == [folder]
    remove(folder)
    assert not folder.exists()


def test_sets_without_a_source_are_listed_too(tmp_path):
    (make_set(tmp_path / "key") / "source.txt").unlink()
    (tmp_path / "file").touch()
    assert [one.source for one in list_sets(tmp_path)] == [""]
    assert list_sets(tmp_path / "none") == []
