from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.loading import load_images
from tinysight.training import loader
from tinysight.training.loader import ShuffledChunks, read_rows


@pytest.fixture(scope="module")
def numbered():
    """Digits whose first two pixels tell the row, and whose label is the row too."""
    digits = load_images("digits")
    images, rows = np.array(digits.images), np.arange(len(digits))
    images[:, 0, 0], images[:, 0, 1] = rows // 256, rows % 256
    return replace(digits, images=images, labels=rows)


def rows_of(chunk, order):
    pixels = chunk.images[order.ravel(), 0].astype(int)
    np.testing.assert_array_equal(pixels[:, 0] * 256 + pixels[:, 1], chunk.labels[order.ravel()])
    return chunk.labels[order.ravel()].tolist()


@pytest.fixture(params=["one chunk", "several chunks"])
def limit(request, monkeypatch):
    if request.param == "several chunks":
        monkeypatch.setattr(loader, "MAX_BYTES_IN_MEMORY", 300 * 28 * 28)
        monkeypatch.setattr(loader, "BLOCK_ROWS", 16)
    return request.param


def test_an_epoch_has_every_image_at_most_once_in_random_order(numbered, limit):
    rows = np.flatnonzero(np.arange(len(numbered)) % 5)
    shuffled, rng = ShuffledChunks(numbered, rows, 32), np.random.default_rng(0)
    seen = [row for chunk, order in shuffled.epoch(rng) for row in rows_of(chunk, order)]
    assert shuffled.num_chunks == (1 if limit == "one chunk" else 5)
    assert len(seen) == len(set(seen)) == shuffled.num_chunks * shuffled.steps * 32
    assert len(seen) > 0.85 * len(rows)
    assert set(seen) <= set(rows.tolist())
    again = [row for chunk, order in shuffled.epoch(rng) for row in rows_of(chunk, order)]
    assert again != seen
    assert abs(np.corrcoef(seen, np.arange(len(seen)))[0, 1]) < 0.3  # 90 blocks in random order: 0.1 by chance


def test_every_image_has_its_turn_in_some_epoch(numbered, limit):
    rows = np.arange(1_000)
    shuffled, rng = ShuffledChunks(numbered, rows, 64), np.random.default_rng(0)
    seen = {row for _ in range(8) for chunk, order in shuffled.epoch(rng) for row in rows_of(chunk, order)}
    assert seen == set(rows.tolist())


def test_the_same_seed_gives_the_same_order(numbered, limit):
    rows = np.arange(900)
    first, again = (
        [rows_of(*pair) for pair in ShuffledChunks(numbered, rows, 50).epoch(np.random.default_rng(3))]
        for _ in range(2)
    )
    assert first == again


def test_an_error_while_reading_ahead_is_raised(numbered, limit):
    damaged = replace(numbered, images=numbered.images[:500])
    with pytest.raises(IndexError):
        list(ShuffledChunks(damaged, np.arange(1_000), 50).epoch(np.random.default_rng(0)))


def test_rows_are_read_with_their_labels(numbered):
    chunk = read_rows(numbered, np.array([2, 300, 301]))
    assert chunk.labels.tolist() == [2, 300, 301]
    np.testing.assert_array_equal(chunk.images, numbered.images[[2, 300, 301]])


def test_a_chunk_holds_a_step_however_large_the_images(numbered, monkeypatch):
    monkeypatch.setattr(loader, "MAX_BYTES_IN_MEMORY", 1_100 * 28 * 28)
    shuffled = ShuffledChunks(numbered, np.arange(1_500), 1_000)
    assert (shuffled.num_chunks, shuffled.steps) == (1, 1)
