import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tinysight import load_images
from tinysight.data import decoding
from tinysight.data.journal import Journal
from tinysight.preprocessing.decode import read_picture

ON_LINUX = sys.platform == "linux"


@pytest.fixture
def many_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for row in range(120):
        (tmp_path / "set" / "ab"[row % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 7), dtype=np.uint8)).save(
            tmp_path / "set" / "ab"[row % 2] / f"{row}.png"
        )
    return tmp_path / "set"


@pytest.fixture
def in_processes(monkeypatch):
    """Have pictures decoded by processes, four at a time, even if another test has loaded TensorFlow."""
    if not ON_LINUX:
        pytest.skip("processes are forked on Linux only")
    monkeypatch.setattr(decoding, "PICTURES_AT_A_TIME", 4)
    monkeypatch.setattr(decoding, "_num_processes", lambda _: 2)


def test_processes_and_threads_give_the_same(many_pictures, monkeypatch, in_processes):
    (many_pictures / "a" / "0.png").write_bytes(b"damaged")
    by_processes = load_images(many_pictures, framing="whole")
    monkeypatch.setattr(decoding, "_num_processes", lambda _: 0)
    monkeypatch.setenv("TINYSIGHT_CACHE", str(many_pictures / ".cache"))
    by_threads = load_images(many_pictures, framing="whole")
    assert by_threads.images.filename != by_processes.images.filename
    np.testing.assert_array_equal(by_threads.images, by_processes.images)
    assert by_threads.unreadable == by_processes.unreadable
    assert len(by_threads.unreadable) == 1


def test_pictures_that_end_their_process_are_named(many_pictures, monkeypatch, in_processes):
    def end_at_two(content, name=None):
        if name.endswith(("/7.png", "/8.png")):
            os.kill(os.getpid(), signal.SIGKILL)
        return read_picture(content, name)

    monkeypatch.setattr(decoding, "read_picture", end_at_two)
    images = load_images(many_pictures, framing="whole")
    assert len(images) == 118
    reason = "reading it crashed, or took longer than 30 seconds of computing; save it anew"
    assert images.unreadable == tuple(f"{many_pictures / name}: {reason}" for name in ("a/8.png", "b/7.png"))


def test_faults_of_ours_cost_one_picture(many_pictures, monkeypatch, in_processes):
    def fail_at_one(content, name=None):
        if name.endswith(("/6.png", "/9.png")):
            raise MemoryError if name.endswith("6.png") else IndexError
        return read_picture(content, name)

    monkeypatch.setattr(decoding, "read_picture", fail_at_one)
    assert load_images(many_pictures, framing="whole").unreadable == (
        f"{many_pictures / 'a' / '6.png'}: there is not enough memory for it; make it smaller",
        f"{many_pictures / 'b' / '9.png'}: unexpected IndexError; please report it",
    )


def test_colour_that_comes_late_is_found(many_pictures, in_processes):
    Image.new("RGB", (9, 7), (200, 10, 10)).save(many_pictures / "b" / "z.png")
    images = load_images(many_pictures, framing="whole")
    assert images.images.shape == (121, 28, 28, 3)
    assert (images.images[:120, ..., 0] == images.images[:120, ..., 2]).all()
    grey = load_images(many_pictures, framing="whole", channels=1)
    assert grey.images.shape == (121, 28, 28)
    np.testing.assert_array_equal(grey.images[:120], images.images[:120, ..., 0])


def test_framed_pictures_are_kept_whole_too(many_pictures, in_processes):
    Image.new("RGB", (300, 200), (200, 10, 10)).save(many_pictures / "a" / "large.png")
    (many_pictures / "a" / "0.png").write_bytes(b"damaged")
    framed = load_images(many_pictures, framing="ink", image_size=(12, 20))
    whole = load_images(many_pictures, framing="whole", image_size=(12, 20), channels=1)
    assert len(framed) == len(whole) == 120
    assert not np.array_equal(framed.images, whole.images)
    np.testing.assert_array_equal(framed.whole.images, whole.images)
    np.testing.assert_array_equal(framed.whole.hashes, whole.hashes)
    assert load_images(many_pictures, like=framed.framing).whole is None
    assert whole.whole is None


def test_colour_may_be_asked_for(many_pictures):
    images = load_images(many_pictures, framing="whole", channels=3, image_size=(5, 6))
    assert images.images.shape == (120, 5, 6, 3)


@pytest.mark.parametrize("framing", ["whole", "ink"])
def test_an_interrupted_run_is_taken_up(many_pictures, framing, tmp_path, monkeypatch, in_processes):
    monkeypatch.setattr(decoding, "SECONDS_BETWEEN_ENTRIES", 0)
    first = many_pictures / "a" / "0.png"
    first.write_bytes(b"damaged")

    def interrupt(what, done, total):
        if done >= 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(many_pictures, framing=framing, progress=interrupt)
    (part,) = (tmp_path / "cache" / "images").iterdir()
    assert part.name.endswith("-part")
    read = []
    monkeypatch.setattr(decoding, "_num_processes", lambda _: 0)
    monkeypatch.setattr(decoding, "read_picture", lambda content, name: read.append(name) or read_picture(content))
    images = load_images(many_pictures, framing=framing)
    assert 0 < len(read) <= 120 - 76
    assert len(images.unreadable) == 1
    assert not part.exists()
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "other"))
    undisturbed = load_images(many_pictures, framing=framing)
    np.testing.assert_array_equal(images.images, undisturbed.images)
    if framing == "ink":
        np.testing.assert_array_equal(images.whole.images, undisturbed.whole.images)


def test_a_journal_that_was_cut_off_is_read_up_to_there(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.begin(3)
    journal.add(5, {1: "gone"}, {})
    journal.add(9, {1: "gone", 7: "damaged"}, {2: "blank"})
    for length in range(path.stat().st_size - 1):  # the end of the line may be missing
        path.with_name("cut").write_bytes(path.read_bytes()[:length])
        assert Journal(path.with_name("cut")).num_done in (0, 5)
    again = Journal(path)
    assert (again.channels, again.num_done) == (3, 9)
    assert (again.problems, again.faults) == ({1: "gone", 7: "damaged"}, {2: "blank"})
    again.begin(3)
    assert len(path.read_bytes().splitlines()) == 1
    assert Journal(path).problems == again.problems
    again.begin(1)
    assert (again.num_done, Journal(path).problems) == (0, {})


@pytest.mark.parametrize("text", ["x", "[]", '{"channels": 1}', '{"channels": 1, "done": 5, "p": [], "f": 1}'])
def test_a_journal_that_makes_no_sense_is_not_used(tmp_path, text):
    (tmp_path / "journal").write_text(text + "\n")
    assert Journal(tmp_path / "journal").num_done == 0


LOAD = """
import sys
from tinysight.data import decoding
decoding.PICTURES_AT_A_TIME, decoding.SECONDS_BETWEEN_ENTRIES, decoding.MIN_FOR_PROCESSES = 4, 0.0, 1
import tinysight
print(tinysight.load_images(sys.argv[1], framing="whole").data_hash)
"""


def start(folder):
    return subprocess.Popen([sys.executable, "-c", LOAD, str(folder)], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(not ON_LINUX, reason="needs signals and locks of Linux")
def test_after_a_kill_the_next_run_ends_as_an_undisturbed_one(many_pictures, tmp_path, attack_rounds, monkeypatch):
    rng = np.random.default_rng(attack_rounds)
    undisturbed = load_images(many_pictures, framing="whole").data_hash
    num_taken_up = 0
    for number in range(3 * attack_rounds):
        monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / f"cache-{number}"))
        with start(many_pictures) as process:
            while process.poll() is None and not list((tmp_path / f"cache-{number}").glob("images/.*-part")):
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
        num_taken_up += bool(list((tmp_path / f"cache-{number}").glob("images/.*-part")))
        assert load_images(many_pictures, framing="whole").data_hash == undisturbed
        assert len(list((tmp_path / f"cache-{number}" / "images").iterdir())) == 1
    assert num_taken_up or attack_rounds == 1


@pytest.mark.slow
@pytest.mark.skipif(not ON_LINUX, reason="needs locks of Linux")
def test_two_processes_may_load_the_same_set_at_once(many_pictures, tmp_path):
    both = [start(many_pictures) for _ in range(2)]
    hashes = [process.communicate()[0].split()[-1] for process in both]
    assert hashes == [load_images(many_pictures, framing="whole").data_hash] * 2
    assert len(list((tmp_path / "cache" / "images").iterdir())) == 1
