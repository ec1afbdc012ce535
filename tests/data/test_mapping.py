from pathlib import Path

import numpy as np
import pytest

from tinysight.data import cache
from tinysight.data.cache import create_array, open_array, release_pages, row_slices, select_rows


@pytest.fixture
def mapped(tmp_path):
    array = create_array(tmp_path / "array", (1000, 7))
    array[:] = np.arange(7000).reshape(1000, 7) % 251
    array.flush()
    return open_array(tmp_path / "array", (1000, 7))


def test_an_array_in_a_file_can_be_opened_at_any_byte(mapped, tmp_path):
    np.testing.assert_array_equal(open_array(tmp_path / "array", (10, 7), 14), mapped[2:12])
    assert not mapped.flags.writeable


def test_no_room_on_the_disk_is_found_at_once(tmp_path):
    with pytest.raises(OSError, match="space|large|big"):
        create_array(tmp_path / "array", (2**62,))


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
    parts = list(row_slices(array))
    assert np.concatenate([np.arange(37)[part] for part in parts]).tolist() == list(range(37))
    assert max(array[part].nbytes for part in parts) <= 100


def test_what_was_let_go_is_still_there(mapped):
    view = mapped[5:10][::2]
    before = view.copy()
    release_pages(view)
    np.testing.assert_array_equal(view, before)
    release_pages(np.zeros(3, np.uint8))  # not mapped: nothing to do


def test_pages_let_go_leave_this_processs_memory(tmp_path):
    resident = _resident_file_pages()
    if resident is None:
        pytest.skip("this system does not tell how much of a file is in memory")
    array = create_array(tmp_path / "large", (2**26,))
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
