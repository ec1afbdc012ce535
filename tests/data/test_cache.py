import os
from pathlib import Path

import numpy as np
import pytest

from tinysight.data import cache
from tinysight.data.cache import create_array, open_array, release_pages, row_slices, select_rows
from tinysight.errors import DataError

SHAPE = (2, 3)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def build(value=7):
    with cache.building("key", SHAPE) as entry:
        cache.writable_images(entry.folder, SHAPE)[:] = value
        cache.finish_images(entry.folder, SHAPE)
    return entry.folder


def values_in(folder):
    return np.unique(cache.open_images(folder, SHAPE)).tolist()


def test_a_set_is_kept_in_the_cache(empty_cache):
    folder = build()
    assert folder == empty_cache / "key" == cache.entry_folder("key")
    assert values_in(folder) == [7]
    assert list(empty_cache.iterdir()) == [folder]


def test_a_set_takes_the_place_of_an_older_one(empty_cache):
    (empty_cache / "key").mkdir(parents=True)
    (empty_cache / "key" / "damaged").write_text("x")
    folder = build()
    assert folder == empty_cache / "key"
    assert {path.name for path in folder.iterdir()} == {"images.u8", "source.txt", "checksums.json"}


def test_a_set_that_another_process_stores_at_the_same_time_is_no_failure(empty_cache, monkeypatch):
    first = build(1)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # as if the other had renamed its folder just after
    second = build(2)
    assert second != first
    assert (values_in(first), values_in(second)) == ([1], [2])


def test_a_build_that_fails_leaves_nothing(empty_cache):
    with pytest.raises(KeyboardInterrupt), cache.building("key", SHAPE):
        raise KeyboardInterrupt
    assert list(empty_cache.iterdir()) == []


def test_a_build_that_fails_leaves_the_older_set(empty_cache):
    folder = build()
    with pytest.raises(KeyboardInterrupt), cache.building("key", SHAPE):
        raise KeyboardInterrupt
    assert values_in(folder) == [7]


def test_a_cache_that_cannot_be_written_does_not_stop_the_job(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "file"))
    folder = build()
    assert tmp_path not in folder.parents
    assert values_in(folder) == [7]


def test_a_cache_without_room_does_not_stop_the_job(empty_cache, monkeypatch):
    allocate = os.posix_fallocate

    def full_at_first(*arguments):
        monkeypatch.setattr(os, "posix_fallocate", allocate)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full_at_first)
    folder = build()
    assert values_in(folder) == [7]
    assert empty_cache not in folder.parents
    assert list(empty_cache.iterdir()) == []


def test_no_room_anywhere_is_found_before_anything_is_decoded(empty_cache):
    message = f"^{empty_cache} and .*: no room for .* GB of decoded images .*(space|large|big).*; free some space"
    with pytest.raises(DataError, match=message), cache.building("key", (2**53, 3)):
        pytest.fail("the block ran")
    assert list(empty_cache.iterdir()) == []


def test_room_that_is_not_needed_is_given_back(empty_cache):
    with cache.building("key", (2000, 3)) as entry:
        cache.writable_images(entry.folder, (2000, 3))[:2] = 7
        cache.finish_images(entry.folder, SHAPE)
    assert (entry.folder / "images.u8").stat().st_size == 6
    assert values_in(entry.folder) == [7]


def test_fingerprints_tell_versions_of_a_file_apart(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = cache.fingerprint(cache.file_fingerprint(path))
    assert cache.fingerprint(cache.file_fingerprint(path)) == before
    path.write_bytes(b"three")
    assert cache.fingerprint(cache.file_fingerprint(path)) != before


@pytest.fixture
def mapped(tmp_path):
    with (tmp_path / "array").open("w+b") as file:
        array = create_array(file, (1000, 7))
    array[:] = np.arange(7000).reshape(1000, 7) % 251
    array.flush()
    return open_array(tmp_path / "array", (1000, 7))


def test_an_array_in_a_file_can_be_opened_at_any_byte(mapped, tmp_path):
    np.testing.assert_array_equal(open_array(tmp_path / "array", (10, 7), 14), mapped[2:12])
    assert not mapped.flags.writeable


def test_no_room_on_the_disk_is_found_at_once(tmp_path):
    with (tmp_path / "array").open("w+b") as file, pytest.raises(OSError, match="space|large|big"):
        create_array(file, (2**62,))


@pytest.mark.parametrize("limit", [2**26, 100])
def test_rows_are_selected_in_memory_or_through_a_file(mapped, monkeypatch, limit):
    monkeypatch.setattr(cache, "MAX_BYTES_IN_MEMORY", limit)
    rows = np.array([0, 3, 4, 500, 999])
    np.testing.assert_array_equal(select_rows(mapped, rows), np.asarray(mapped)[rows])
    many = np.flatnonzero(np.arange(1000) % 3)
    chosen = select_rows(mapped, many)
    np.testing.assert_array_equal(chosen, np.asarray(mapped)[many])
    assert isinstance(chosen, np.memmap) == (limit == 100)


def test_rows_without_a_gap_are_not_copied(mapped):
    assert np.shares_memory(select_rows(mapped, np.arange(10, 900)), mapped)


def test_slices_cover_all_rows_and_are_small(monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES_IN_MEMORY", 100)
    array = np.zeros((37, 3), np.uint16)
    slices = list(row_slices(array))
    assert np.concatenate([np.arange(37)[rows] for rows in slices]).tolist() == list(range(37))
    assert max(array[rows].nbytes for rows in slices) <= 100


def test_released_pages_are_read_again(mapped):
    view = mapped[5:10][::2]
    before = view.copy()
    release_pages(view)
    np.testing.assert_array_equal(view, before)
    release_pages(np.zeros(3, np.uint8))  # not mapped: nothing to do


def test_released_pages_leave_this_processs_memory(tmp_path):
    resident = _resident_file_pages()
    if resident is None:
        pytest.skip("this system does not tell how much of a file is in memory")
    with (tmp_path / "large").open("w+b") as file:
        array = create_array(file, (2**26,))
    array[::4096] = 1
    assert _resident_file_pages() - resident > 2**25
    release_pages(array)
    assert _resident_file_pages() - resident < 2**24


def _resident_file_pages():
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))
    except (OSError, StopIteration):
        return None
