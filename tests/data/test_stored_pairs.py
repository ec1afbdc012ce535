import numpy as np
import pytest

from tinysight.data import stored_pairs
from tinysight.data.cache import images_folder
from tinysight.data.stored_pairs import find_near_duplicates, stored_near_duplicates

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 12, 12), dtype=np.uint8)
HASHES = np.random.default_rng(1).integers(0, 256, (6, 32), dtype=np.uint8)


@pytest.fixture
def searches(monkeypatch, tmp_path):
    """Count the searches, each of which is slow enough to be kept."""
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(stored_pairs, "MIN_SECONDS", -1)
    seen = []
    monkeypatch.setattr(
        stored_pairs, "near_duplicate_pairs", lambda images: seen.append(len(images)) or np.array([[0, 3], [1, 5]])
    )
    return seen


def test_pairs_are_found_once(searches):
    for _ in range(3):
        np.testing.assert_array_equal(find_near_duplicates(IMAGES, HASHES), [[0, 3], [1, 5]])
    assert searches == [6]
    np.testing.assert_array_equal(stored_near_duplicates(IMAGES, HASHES), [[0, 3], [1, 5]])
    assert stored_near_duplicates(IMAGES, HASHES[::-1]) is None  # other images, or in another order
    assert stored_near_duplicates(IMAGES[:5], HASHES[:5]) is None


@pytest.mark.parametrize("content", [b"", b"no array", "float", "outside", "pickle"])
def test_damaged_files_are_searched_anew(searches, content):
    find_near_duplicates(IMAGES, HASHES)
    (path,) = images_folder().iterdir()
    arrays = {"float": np.ones((2, 2)), "outside": np.array([[0, 6]]), "pickle": np.array([[0, None]])}
    if isinstance(content, str):
        np.save(path, arrays[content])
    else:
        path.write_bytes(content)
    np.testing.assert_array_equal(find_near_duplicates(IMAGES, HASHES), [[0, 3], [1, 5]])
    assert searches == [6, 6]


def test_pairs_that_are_found_at_once_are_not_kept(searches, monkeypatch):
    monkeypatch.setattr(stored_pairs, "MIN_SECONDS", 1.0)
    find_near_duplicates(IMAGES, HASHES)
    assert not images_folder().exists()


def test_a_cache_that_others_may_write_to_is_not_used(searches):
    find_near_duplicates(IMAGES, HASHES)
    images_folder().chmod(0o777)
    assert stored_near_duplicates(IMAGES, HASHES) is None
    assert searches == [6]
