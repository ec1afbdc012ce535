import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinysight.training import compile_cache
from tinysight.training.compile_cache import MAX_PROGRAMS, keep_compiled_programs

pytestmark = pytest.mark.usefixtures("needs_tensorflow")  # its version is part of a folder's name


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    return tmp_path / "cache"


def told_folder():
    return Path(os.environ["TF_XLA_FLAGS"].partition("=")[2])


def keep(**files):
    """Go through a training that compiles programs with these names and contents; return what it found."""
    with keep_compiled_programs():
        folder = told_folder()
        found = {path.stem for path in folder.glob("*.pb")}
        for name, text in files.items():
            (folder / f"{name}.pb").write_text(text)
    return folder, found


def test_programs_are_there_the_next_time(cache):
    folder, found = keep(first="code")
    assert folder.is_relative_to(cache)
    assert not found
    assert "TF_XLA_FLAGS" not in os.environ
    assert keep(second="more code")[1] == {"first"}
    assert keep()[1] == {"first", "second"}


@pytest.mark.parametrize("change", [b"", b"cod", b"codf", b"code and more"])
def test_a_program_that_has_changed_is_removed(cache, change):
    folder, _ = keep(first="code", second="code")
    (folder / "first.pb").write_bytes(change)
    assert keep()[1] == {"second"}


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null"])
def test_damaged_checksums_cost_the_programs_only(cache, text):
    folder, _ = keep(first="code")
    (folder / "checksums.json").write_text(text)
    assert keep(second="code")[1] == set()
    assert keep()[1] == {"second"}


def test_programs_of_a_training_that_failed_are_not_used(cache):
    def fail():
        with keep_compiled_programs():
            (told_folder() / "first.pb").write_text("code")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert keep()[1] == set()


def test_the_newest_programs_are_kept(cache):
    folder, _ = keep(**{f"program{number}": "code" for number in range(MAX_PROGRAMS + 5)})
    for number in range(MAX_PROGRAMS + 5):
        os.utime(folder / f"program{number}.pb", (number, number))
    assert keep()[1] == {f"program{number}" for number in range(5, MAX_PROGRAMS + 5)}


def test_other_processors_and_settings_have_folders_of_their_own(cache, tmp_path, monkeypatch):
    folders = [keep(first="code")[0]]
    monkeypatch.setattr(compile_cache, "version", lambda _: "0.1")
    folders.append(keep()[0])
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=1")
    folders.append(keep()[0])
    (tmp_path / "cpuinfo").write_text("model name : another\nflags : few\nprocessor : 0\n")
    monkeypatch.setattr(compile_cache, "CPU_INFO", tmp_path / "cpuinfo")
    folders.append(keep()[0])
    assert len(set(folders)) == 4


def test_machine_code_that_others_could_have_written_is_not_used(cache):
    folder, _ = keep(first="code")
    folder.chmod(0o777)
    with keep_compiled_programs():
        assert "TF_XLA_FLAGS" not in os.environ


@pytest.mark.parametrize("place", ["a file", "with a space", "no room", "no processor"])
def test_training_goes_on_where_nothing_can_be_kept(cache, tmp_path, monkeypatch, place):
    if place == "a file":
        cache.write_text("")
    if place == "with a space":
        monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "my cache"))
    if place == "no room":
        monkeypatch.setattr(compile_cache, "MIN_FREE_BYTES", 2**70)
    if place == "no processor":
        monkeypatch.setattr(compile_cache, "CPU_INFO", tmp_path / "none")
    with keep_compiled_programs():
        assert "TF_XLA_FLAGS" not in os.environ


def test_flags_of_the_users_own_are_left_alone(cache, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug=false")
    with keep_compiled_programs():
        assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_clustering_debug=false"
    assert not cache.exists()


@pytest.mark.slow
def test_a_kept_program_trains_the_same_classifier_and_a_damaged_one_does_no_harm(cache, tmp_path):
    classifiers, written = [], []
    for name in ("first", "again", "damaged"):
        command = [sys.executable, "-m", "tinysight", "train", "digits", "--out", str(tmp_path / name)]
        subprocess.run([*command, "--epochs", "2"], check=True, capture_output=True)
        classifiers.append((tmp_path / name / "model.onnx").read_bytes())
        kept = list((cache / "programs").glob("*/*.pb"))
        written.append({path.name: path.stat().st_mtime_ns for path in kept})
        if name == "again":
            for path in kept:
                path.write_bytes(path.read_bytes()[:-1])
    assert written[0] == written[1]
    assert written[0].keys() == written[2].keys()
    assert len(written[0]) == 1
    assert classifiers[0] == classifiers[1] == classifiers[2]
