import numpy as np

from tinysight import nearest_images as module
from tinysight.nearest_images import compared_rows, nearest_images


def images(number, shape=(6, 5), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, *shape), dtype=np.uint8)


def by_sorting(queries, candidates, rows, count):
    pairs = queries[:, None].reshape(len(queries), 1, -1).astype(float) - candidates[rows].reshape(1, len(rows), -1)
    return rows[np.argsort((pairs**2).sum(axis=2), axis=1)[:, :count]]


def test_the_nearest_are_found_block_by_block(monkeypatch):
    monkeypatch.setattr(module, "VALUES_AT_A_TIME", 30 * 7)  # seven images
    for shape in ((6, 5), (2, 5, 3)):
        candidates, queries = images(100, shape), images(9, shape, seed=1)
        rows = np.arange(3, 100, 2)
        expected = by_sorting(queries, candidates, rows, 4)
        np.testing.assert_array_equal(nearest_images(queries, candidates, rows, 4), expected)


def test_an_image_is_nearest_to_itself_and_others_are_not_searched():
    candidates = images(50)
    rows = np.array([4, 9, 30])
    assert nearest_images(candidates[rows], candidates, rows, 1).ravel().tolist() == [4, 9, 30]
    assert set(nearest_images(candidates[:5], candidates, rows, 3).ravel()) == {4, 9, 30}


def test_fewer_images_than_asked_for_and_none_are_no_error():
    candidates = images(2)
    assert nearest_images(candidates, candidates, np.arange(2), 3).tolist() == [[0, 1], [1, 0]]
    assert nearest_images(candidates, candidates, np.arange(0), 3).shape == (2, 0)
    assert nearest_images(candidates[:0], candidates, np.arange(2), 3).shape == (0, 2)


def test_of_very_many_images_some_are_searched(monkeypatch):
    rows = np.arange(5, 1005)
    assert compared_rows(rows, (28, 28)) is rows
    monkeypatch.setattr(module, "MAX_VALUES", 784 * 10)
    some = compared_rows(rows, (28, 28))
    assert len(some) == 10
    assert (some[0], some[-1]) == (5, 1004)
    assert (np.diff(some) > 0).all()
