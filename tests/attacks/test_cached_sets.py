import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tinysight import load_images


@pytest.fixture
def many_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(100):
            picture = Image.fromarray(rng.integers(0, 256, (100, 100), dtype=np.uint8))
            picture.save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


@pytest.mark.slow
def test_flipped_bits_in_any_cached_file_are_found_and_healed(class_folders, tmp_path, monkeypatch, attack_rounds):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(attack_rounds)
    sound = load_images(class_folders)
    expected = np.array(sound.images)
    (folder,) = (tmp_path / "cache" / "images").iterdir()
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 7
    for name in names * 6 * attack_rounds:
        stored = (folder / name).read_bytes()
        damaged = bytearray(stored)
        damaged[rng.integers(len(stored))] ^= 1 << rng.integers(8)
        (folder / name).write_bytes(damaged)
        found = load_images(class_folders)
        np.testing.assert_array_equal(found.images, expected)
        assert found.data_hash == sound.data_hash
        assert list(found.sources) == list(sound.sources)
        assert (folder / name).read_bytes() == stored, name


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs locks and signals of POSIX")
def test_killed_programs_leave_nothing_that_stays(many_pictures, tmp_path, monkeypatch, attack_rounds):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(attack_rounds)
    code = f"import tinysight; tinysight.load_images({str(many_pictures)!r})"
    cached = tmp_path / "cache" / "images"
    num_left_over = 0
    for _ in range(3 * attack_rounds):
        process = subprocess.Popen([sys.executable, "-c", code])
        while process.poll() is None and not (cached.is_dir() and any(cached.glob(".*"))):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.wait()
        num_left_over += len(list(cached.glob(".*")))
        for path in (*cached.glob(".*/*"), *cached.glob(".*")):
            os.utime(path, (1, 1))
        sound = load_images(many_pictures)
        assert len(sound) == 200
        (folder,) = cached.iterdir()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert num_left_over
