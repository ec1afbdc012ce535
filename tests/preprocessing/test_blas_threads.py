"""One BLAS thread while pictures are framed, and as many as before afterwards."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tinysight.classifier import Classifier
from tinysight.preprocessing import framing
from tinysight.preprocessing.blas_threads import _controller, one_blas_thread

PICTURE = np.full((40, 50), 250, np.uint8)


def num_threads():
    """Return the number of threads of each BLAS library that is limited."""
    return [library["num_threads"] for library in _controller().info() if library["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def two_threads():
    """Set two threads, also on a machine with one core."""
    with threadpool_limits(2, user_api="blas"):
        if 2 not in num_threads():
            pytest.skip("this BLAS library's number of threads cannot be set")
        yield


def test_blocks_that_overlap_leave_the_number_of_threads_as_it_was():
    """The block that begins first ends first, so the other one finds one thread and must not restore that."""
    others_begun, first_ended = threading.Event(), threading.Event()

    def overlap():
        with one_blas_thread():
            others_begun.set()
            first_ended.wait(10)

    before = num_threads()
    thread = threading.Thread(target=overlap)
    with one_blas_thread():
        assert set(num_threads()) == {1}
        with one_blas_thread():
            assert set(num_threads()) == {1}
        assert set(num_threads()) == {1}
        thread.start()
        others_begun.wait(10)
    first_ended.set()
    thread.join()
    assert num_threads() == before


def test_the_number_is_restored_after_an_error():
    before = num_threads()
    with pytest.raises(ValueError, match="odd"), one_blas_thread():
        raise ValueError("odd")
    assert num_threads() == before


@pytest.mark.parametrize("method", ["predict", "frame"])
def test_a_classifier_frames_with_one_thread_and_leaves_its_callers_setting(method, classifier, monkeypatch):
    seen = []
    frame_whole = framing.frame_picture

    def frame_picture(*arguments):
        seen.extend(num_threads())
        return frame_whole(*arguments)

    for name in ("tinysight.preprocessing.framing.frame_picture", "tinysight.classifier.frame_picture"):
        monkeypatch.setattr(name, frame_picture)
    before = num_threads()
    getattr(classifier, method)(PICTURE)
    assert set(seen) == {1}
    assert num_threads() == before


def test_the_methods_keep_their_documentation():
    assert "One prediction a picture" in Classifier.predict.__doc__
