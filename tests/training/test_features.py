from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from tinysight.data.dataset import ImageSet
from tinysight.onnx_graph import Operation
from tinysight.preprocessing.framing import Framing
from tinysight.training import features as module
from tinysight.training.features import compute_features, features_folder

NETWORK = (Operation("Transpose"), Operation("Conv", 3, 2), Operation("GlobalAveragePool"), Operation("Flatten"))
WEIGHTS = [(np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32), np.zeros(5, np.float32))]
ROWS = np.arange(6)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))


def image_set(pixels):
    hashes = np.array([list(sha256(image.tobytes()).digest()) for image in pixels], np.uint8)
    labels, split = np.zeros(len(pixels), np.int64), np.zeros(len(pixels), np.uint8)
    sources = [str(number) for number in range(len(pixels))]
    return ImageSet("set", pixels, labels, ("a",), sources, split, hashes, Framing("whole", 8, 9, 3))


@pytest.fixture
def images():
    return image_set(np.random.default_rng(1).integers(0, 256, (6, 8, 9, 3), np.uint8))


@pytest.fixture
def computed(monkeypatch):
    """The numbers of images that are computed, call by call."""
    counts, compute = [], module._compute
    monkeypatch.setattr(module, "_compute", lambda *given: counts.append(len(given[1])) or compute(*given))
    return counts


def test_features_are_what_the_network_gives_for_each_image(images):
    found = compute_features(images, ROWS, NETWORK, WEIGHTS)
    pixels = np.pad(images.images.astype(np.float64) / 255, ((0, 0), (0, 1), (1, 1), (0, 0)))
    kernel = WEIGHTS[0][0].transpose(2, 3, 1, 0)
    windows = [pixels[:, y : y + 3, x : x + 3] for y in range(0, 7, 2) for x in range(0, 9, 2)]
    expected = np.mean([np.einsum("nyxc,yxco->no", window, kernel) for window in windows], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32


def test_no_image_is_computed_twice(images, computed):
    first = compute_features(images, ROWS[:4], NETWORK, WEIGHTS)
    np.testing.assert_array_equal(compute_features(images, ROWS[:4], NETWORK, WEIGHTS), first)
    found = compute_features(images, ROWS, NETWORK, WEIGHTS)
    np.testing.assert_array_equal(found[:4], first)
    turned = image_set(np.ascontiguousarray(images.images[::-1]))
    np.testing.assert_array_equal(compute_features(turned, ROWS, NETWORK, WEIGHTS), found[::-1])
    assert computed == [4, 2]


def test_other_weights_have_other_features(images, computed):
    other = [(2 * WEIGHTS[0][0], WEIGHTS[0][1])]
    first = compute_features(images, ROWS, NETWORK, WEIGHTS)
    np.testing.assert_allclose(compute_features(images, ROWS, NETWORK, other), 2 * first, rtol=1e-5)
    assert computed == [6, 6]


@pytest.mark.parametrize("damage", ["bit", "cut", "name", "writable by all"])
def test_what_is_damaged_in_the_cache_is_computed_anew(images, computed, damage):
    first = compute_features(images, ROWS, NETWORK, WEIGHTS)
    (path,) = features_folder().glob("*/*.npz")
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[:-50] if damage == "cut" else content)
    if damage == "name":
        path.rename(path.with_name("other.npz"))
    if damage == "writable by all":
        path.parent.chmod(0o777)
    np.testing.assert_array_equal(compute_features(images, ROWS, NETWORK, WEIGHTS), first)
    assert computed == [6, 6]


def test_a_cache_that_cannot_be_written_only_costs_time(images, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "file"))
    assert compute_features(images, ROWS, NETWORK, WEIGHTS).shape == (6, 5)


def test_the_features_used_first_are_removed_above_the_limit(images, monkeypatch):
    monkeypatch.setattr(module, "MAX_CACHED_BYTES", 1)
    compute_features(images, ROWS[:3], NETWORK, WEIGHTS)
    compute_features(images, ROWS, NETWORK, WEIGHTS)
    assert len(list(features_folder().glob("*/*.npz"))) == 1


def test_progress_counts_the_images_that_are_computed(images):
    calls = []
    compute_features(images, ROWS[:2], NETWORK, WEIGHTS)
    compute_features(images, ROWS, NETWORK, WEIGHTS, lambda *call: calls.append(call))
    assert calls == [("computing features", number, 4) for number in (1, 2, 3, 4)]


def test_the_command_clears_them(images, tinysight):
    compute_features(replace(images), ROWS, NETWORK, WEIGHTS)
    assert tinysight("cache", "clear")[0] == 0
    assert not list(features_folder().glob("*/*.npz"))
