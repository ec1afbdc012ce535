import numpy as np
import pytest

from tinysight.data import cache


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def fill(folder):
    images = cache.create_images(folder, (2, 3))
    images[:] = 7
    cache.write_about(folder, {"answer": 42})


def test_a_set_is_built_once(empty_cache):
    calls = []
    for _ in range(2):
        folder = cache.stored_folder("name", lambda path: (calls.append(path), fill(path)))
    assert len(calls) == 1
    assert folder == empty_cache / "name"
    assert cache.read_about(folder) == {"answer": 42}
    np.testing.assert_array_equal(cache.open_images(folder, (2, 3)), np.full((2, 3), 7))


def test_a_build_that_fails_leaves_nothing(empty_cache):
    def fail(folder):
        cache.create_images(folder, (2, 3))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.stored_folder("name", fail)
    assert list(empty_cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_does_not_stop_the_job(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "file"))
    folder = cache.stored_folder("name", fill)
    assert cache.read_about(folder) == {"answer": 42}


def test_fingerprints_tell_versions_of_a_file_apart(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = cache.fingerprint(cache.file_fingerprint(path))
    assert cache.fingerprint(cache.file_fingerprint(path)) == before
    path.write_bytes(b"three")
    assert cache.fingerprint(cache.file_fingerprint(path)) != before
