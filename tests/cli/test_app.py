"""The commands, as a user types them; each failure is one line, its exit status documented, and leaves no file."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysight.classifier import Classifier

QUICK = ("--recipe", "fast", "--hidden", "16", "--epochs", "2")


@pytest.fixture
def digit(trained, tmp_path):
    path = tmp_path / "digit.png"
    Image.fromarray(np.asarray(trained.images.images[7])).save(path)
    return path


def assert_one_line(error, *words):
    assert error.startswith("tinysight: ")
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    for word in words:
        assert word in error, error


def test_train_writes_a_run_and_says_what_next(tinysight, tmp_path):
    out = tmp_path / "run"
    status, printed, error = tinysight("train", "digits", "--out", out, *QUICK)
    assert status == 0, error
    assert "test accuracy" in printed
    assert str(out / "model.onnx") in printed
    assert f"tinysight evaluate {out / 'model.onnx'} digits" in printed
    assert f"tinysight predict {out / 'model.onnx'}" in printed
    status, evaluated, _ = tinysight("evaluate", out / "model.onnx", "digits")
    assert status == 0
    figures = [line for line in printed.splitlines() if line.startswith("test accuracy")]
    assert any(
        re.match(r"it (overfits|fits|underfits): |\d+ validation images are too few", line)
        for line in printed.splitlines()
    )
    assert figures[0] in evaluated.splitlines()


@pytest.mark.slow
def test_the_verdict_gives_a_command_that_works(tinysight, tmp_path):
    chosen = ("--recipe", "fast", "--hidden", "64", "--epochs", "12", "--validation", "0.8", "--seed", "3")
    status, printed, error = tinysight("train", "digits", "--out", tmp_path / "run", *chosen)
    assert status == 0, error
    assert re.search(r"^it overfits: [\d.]+ % .*; try the recipe accurate", printed, re.MULTILINE)
    advice = printed.splitlines()[-1].split()
    place = advice.index("train")
    expected = "train digits --framing ink --recipe accurate --seed 3 --validation 0.8 --hidden 64 --out"
    assert advice[place:] == [*expected.split(), str(tmp_path / "run-2")]
    status, _, error = tinysight(*advice[place:], "--epochs", "2")
    assert status == 0, error
    assert (tmp_path / "run-2" / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--dropout", "2"), "dropout is 2.0"),
        (("--dropout", "some"), "as in 0,0.5"),
        (("--seeds", "1"), "seeds is 1"),
        (("--train-sizes", "99999"), "at most 1,"),
        (("--train-sizes", "5"), "leaves no image"),
        (("--augment", "mirrors"), "augment is 'mirrors'"),
        (("--image-size", "28"), "as in 28x28"),
    ],
)
def test_a_study_of_nonsense_is_refused_in_a_line(tinysight, tmp_path, options, words):
    status, _, error = tinysight("study", "digits", "--out", tmp_path / "study", *options)
    assert status == 2
    assert_one_line(error, words)
    assert not (tmp_path / "study" / "study.json").exists()


def test_train_refuses_to_replace_a_run(tinysight, run_folder):
    status, _, error = tinysight("train", "digits", "--out", run_folder, *QUICK)
    assert status == 1
    assert_one_line(error, "--overwrite")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dropout", "1.5"], ["dropout is 1.5", "from 0 to"]),
        (["--hidden", "0"], ["hidden width is 0"]),
        (["--hidden", "many"], ["'many'", "784,512"]),
        (["--epochs", "0"], ["epochs is 0"]),
        (["--epochs", "few"], ["--epochs", "valid integer"]),
        (["--batch-size", "-3"], ["batch size is -3"]),
        (["--api", "odd"], ["'odd'", "sequential, functional"]),
        (["--recipe", "odd"], ["'odd'", "fast"]),
        (["--framing", "odd"], ["'odd'", "whole, ink"]),
        (["--image-size", "28"], ["'28'", "28x28"]),
        (["--seed", "-1"], ["seed is -1"]),
        (["--validation", "1"], ["validation is 1"]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
)
def test_wrong_options_are_wrong_usage(tinysight, tmp_path, options, words):
    status, _, error = tinysight("train", "digits", "--out", tmp_path / "run", *options)
    assert status == 2
    assert_one_line(error, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_unknown_command_is_wrong_usage(tinysight):
    status, _, error = tinysight("tarin")
    assert status == 2
    assert_one_line(error, "tarin")
    status, _, error = tinysight("train")
    assert status == 2
    assert_one_line(error, "DATA")


def idx_folder(folder, num_labels=20, cut=0, magic=8):
    images = np.random.default_rng(0).integers(0, 255, (20, 6, 6), dtype=np.uint8)
    data = struct.pack(">BBBB3I", 0, 0, magic, 3, *images.shape) + images.tobytes()
    (folder / "train-images-idx3-ubyte").write_bytes(data[: len(data) - cut])
    labels = struct.pack(">BBBBI", 0, 0, 8, 1, num_labels) + bytes([0, 1] * (num_labels // 2))
    (folder / "train-labels-idx1-ubyte").write_bytes(labels)
    return folder


def picture_folder(folder, counts):
    for class_name, count in counts.items():
        (folder / class_name).mkdir()
        for number in range(count):
            pixels = np.random.default_rng([len(class_name), number]).integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / class_name / f"{number}.png")
    return folder


def npz(folder, **arrays):
    np.savez(folder / "set.npz", **arrays)
    return folder / "set.npz"


IMAGES, LABELS = np.zeros((4, 5, 5), np.uint8), np.arange(4)
BAD_DATA = {
    "missing path": (lambda _: "no/such/path", ["no/such/path", "neither"]),
    "unknown name": (lambda _: "mnits", ["did you mean 'mnist'"]),
    "empty folder": (lambda folder: folder, ["holds no pictures"]),
    "one class": (lambda folder: picture_folder(folder, {"a": 9}), ["1 class ('a')", "2 or more"]),
    "class of one": (
        lambda folder: picture_folder(folder, {"a": 9, "bb": 1}),
        ["'bb' has 1 image to", "3 or more"],
    ),
    "many classes": (lambda folder: npz(folder, x_train=IMAGES, y_train=LABELS), ["4 images, 4 classes", "3 or more"]),
    "truncated IDX": (lambda folder: idx_folder(folder, cut=5), ["truncated", "train-images"]),
    "no IDX": (lambda folder: idx_folder(folder, magic=0x77), ["type 0x77"]),
    "IDX counts": (lambda folder: idx_folder(folder, num_labels=18), ["train: 20 images but 18 labels"]),
    "pickle": (lambda folder: npz(folder, x_train=IMAGES, y_train=np.array([None] * 4)), ["pickled"]),
    "missing keys": (lambda folder: npz(folder, pictures=IMAGES), ["x_train", "set.npz"]),
    "a text file": (lambda _: __file__, ["is a file"]),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_used_is_named(tinysight, tmp_path, own_cache, case):
    make, words = BAD_DATA[case]
    (tmp_path / "data").mkdir()
    cached = sorted((own_cache / "images").rglob("*"))
    status, _, error = tinysight("train", make(tmp_path / "data"), "--out", tmp_path / "run", *QUICK)
    assert status == 1
    assert_one_line(error, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    if case not in ("one class", "class of one", "many classes"):  # those are sound sets, only not for training
        assert sorted((own_cache / "images").rglob("*")) == cached


@pytest.mark.slow
def test_pictures_that_cannot_be_read_are_left_out_and_named(tinysight, class_folders, tmp_path):
    (class_folders / "dark" / "text.png").write_text("no picture")
    (class_folders / "light" / "nothing.png").write_bytes(b"")
    status, printed, error = tinysight("train", class_folders, "--out", tmp_path / "run", *QUICK)
    assert status == 3
    assert "text.png: not a picture" in error
    assert "nothing.png: the file is empty" in error
    assert "20 grey images" in printed
    assert (class_folders / "dark" / "text.png").exists()


@pytest.mark.parametrize("out", ["{tmp}/file/run", "/proc/tinysight-run"])
def test_an_unwritable_place_is_refused_before_training(tinysight, tmp_path, out):
    (tmp_path / "file").write_text("x")
    status, printed, error = tinysight("train", "digits", "--out", out.format(tmp=tmp_path), *QUICK)
    assert status == 1
    assert_one_line(error, "cannot be written")
    assert "epoch" not in printed


def test_evaluate_refuses_classes_that_the_classifier_does_not_know(tinysight, model_path, class_folders):
    status, _, error = tinysight("evaluate", model_path, class_folders)
    assert status == 1
    assert_one_line(error, "does not know: dark, light")


def test_predict_takes_files_folders_and_standard_input(tinysight, model_path, digit, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(digit.read_bytes())))
    status, printed, error = tinysight("predict", model_path, digit, digit.parent, "-")
    assert (status, error) == (0, "")
    lines = [line.split("\t") for line in printed.splitlines()]
    assert [line[0] for line in lines] == [str(digit), str(digit), "-"]
    assert {line[1] for line in lines} == {"7"}


def test_predict_prints_json_lines(tinysight, model_path, digit):
    status, printed, _ = tinysight("predict", model_path, digit, digit, "--format", "json", "--top", 3)
    assert status == 0
    first, second = map(json.loads, printed.splitlines())
    assert first == second
    assert first["source"] == str(digit)
    assert first["class_name"] == "7" == first["ranking"][0]["class_name"]
    assert len(first["ranking"]) == 3
    (prediction,) = Classifier.load(model_path).predict(digit, top=3)
    assert first == {**prediction.to_dict(), "probability": first["probability"], "ranking": first["ranking"]}
    assert first["probability"] == pytest.approx(prediction.probability, abs=1e-6)
    assert first["probability"] != round(first["probability"], 6)  # unrounded


def test_predict_prints_csv(tinysight, model_path, digit):
    status, printed, _ = tinysight("predict", model_path, digit, "--format", "csv", "--top", 2)
    assert status == 0
    (row,) = csv.DictReader(io.StringIO(printed))
    assert row["source"] == str(digit)
    assert row["class_name"] == "7"
    assert float(row["probability"]) > float(row["probability_2"])


def test_predict_without_a_classifier_uses_the_one_in_the_box(tinysight):
    status, printed, error = tinysight("predict", "docs/examples/digits")
    assert (status, error) == (0, "")
    classes = {line.split("\t")[0].rpartition("/")[2]: line.split("\t")[1] for line in printed.splitlines()}
    assert classes == {"five.jpg": "5", "seven.jpg": "7", "three.jpg": "3"}


def test_predict_rejects_what_is_of_no_class(tinysight, digit, tmp_path):
    Image.new("L", (50, 50), 200).save(tmp_path / "blank.png")
    status, printed, _ = tinysight("predict", tmp_path / "blank.png", "--reject")
    assert status == 0
    assert printed.split("\t")[1] == "none"
    assert "the picture is blank" in printed
    status, printed, _ = tinysight("predict", tmp_path / "blank.png", digit, "--format", "json")
    assert [json.loads(line)["is_rejected"] for line in printed.splitlines()] == [True, False]


def test_predict_marks_what_is_doubtful_without_being_asked(tinysight, model_path, digit, tmp_path):
    Image.new("L", (50, 50), 200).save(tmp_path / "blank.png")
    status, printed, error = tinysight("predict", tmp_path / "blank.png", digit)
    assert (status, error) == (0, "")
    blank, sure = (line.split("\t") for line in printed.splitlines())
    assert blank[3] == "doubtful"
    assert "the picture is blank" in blank[5]
    assert sure[1] == Classifier.pretrained().predict(digit)[0].class_name
    assert "doubtful" not in sure
    unsure = tmp_path / "unsure.onnx"
    Classifier.load(model_path).with_metadata(reject_below=1.0).save(unsure)
    _, printed, _ = tinysight("predict", unsure, digit, "--top", "2")
    cells = printed.rstrip("\n").split("\t")
    assert cells[1] != "none"
    assert cells[3] == "doubtful"
    assert cells[4].endswith("%")
    _, printed, _ = tinysight("predict", unsure, digit, "--reject")
    assert "doubtful" not in printed


def test_predict_counts_what_it_passes_over(tinysight, model_path, digit, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b", "c\x1b.csv"):
        (tmp_path / "in" / name).write_text("no picture")
    digit.rename(tmp_path / "in" / "digit.png:large")
    status, printed, error = tinysight("predict", model_path, tmp_path / "in")
    assert status == 0
    assert printed.startswith(f"{tmp_path / 'in' / 'digit.png:large'}\t")
    assert error == f"note: {tmp_path / 'in'}: 3 files that are no pictures skipped\n"


def test_predict_draws_what_the_network_sees(tinysight, model_path, digit):
    status, printed, _ = tinysight("predict", model_path, digit, "--show")
    lines = printed.splitlines()
    assert status == 0
    assert sum(len(line) == 28 for line in lines) == 14
    assert any(set(line) & set("*#%@") for line in lines)


def test_predict_wants_a_picture_beside_the_classifier(tinysight, model_path):
    status, _, error = tinysight("predict", model_path)
    assert status == 2
    assert error == "tinysight: no picture is given; expected at least one after the classifier\n"


def test_predict_goes_on_after_a_bad_picture(tinysight, model_path, digit, tmp_path):
    bad = tmp_path / "text.png"
    bad.write_text("no picture")
    status, printed, error = tinysight("predict", model_path, bad, digit, tmp_path / "missing.png")
    assert status == 3
    assert printed.startswith(str(digit))
    assert "text.png: not a picture" in error
    assert "missing.png: there is no such file" in error
    assert error.count("\n") == 2


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_predict_fails_where_no_picture_can_be_read(tinysight, model_path, tmp_path, content):
    bad = tmp_path / "bad.png"
    bad.write_bytes(content)
    status, printed, error = tinysight("predict", model_path, bad)
    assert (status, printed) == (1, "")
    assert_one_line(error, "bad.png")


def test_predict_says_which_of_many_pictures_are_bad_in_their_order(tinysight, model_path, digit, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    names = [*[digit] * 200, tmp_path / "bad.png", *[digit] * 300, tmp_path / "missing.png"]
    status, printed, error = tinysight("predict", model_path, *names, "--format", "csv")
    assert status == 3
    assert [row["source"] for row in csv.DictReader(io.StringIO(printed))] == [str(digit)] * 500
    assert [line.partition("png")[0].rpartition("/")[2] for line in error.splitlines()] == ["bad.", "missing."]


def test_predict_frames_other_sizes_with_a_note(tinysight, model_path, digit, tmp_path):
    Image.open(digit).resize((90, 90)).convert("RGB").save(tmp_path / "large.png")
    status, printed, _ = tinysight("predict", model_path, tmp_path / "large.png")
    assert status == 0
    assert "framed from 90×90 colour" in printed


@pytest.mark.parametrize("kind", ["missing", "truncated", "random", "empty", "picture", "foreign"])
def test_files_that_are_no_classifier_are_refused(tinysight, model_path, digit, tmp_path, kind):
    from test_onnx_file import foreign_model

    contents = {
        "truncated": model_path.read_bytes()[:-1000],
        "random": np.random.default_rng(0).bytes(5000),
        "empty": b"",
        "picture": digit.read_bytes(),
        "foreign": foreign_model().SerializeToString(),
    }
    path = tmp_path / "model.onnx"
    if kind in contents:
        path.write_bytes(contents[kind])
    for command in (("predict", path, digit), ("evaluate", path, "digits")):
        status, printed, error = tinysight(*command)
        assert (status, printed) == (1, "")
        assert_one_line(error, str(path), "tinysight train" if kind in ("missing", "foreign") else "damaged")


def test_an_unexpected_error_is_one_line_unless_debugging(tinysight, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("something\nodd")

    monkeypatch.setattr("tinysight.data.loading.load_images", fail)
    status, _, error = tinysight("train", "digits", "--out", "somewhere")
    assert status == 1
    assert_one_line(error, "unexpected RuntimeError: something odd", "--debug")
    with pytest.raises(RuntimeError):
        tinysight("--debug", "train", "digits", "--out", "somewhere")


def test_without_arguments_the_help_is_printed(tinysight):
    status, printed, error = tinysight()
    assert (status, error) == (2, "")
    assert "train" in printed


@pytest.mark.slow
def test_names_that_are_too_long_or_no_text_are_one_line(tinysight, model_path, class_folders, tmp_path):
    status, _, error = tinysight("train", "x" * 300, "--out", tmp_path / "run", *QUICK)
    assert status == 1
    assert_one_line(error, "too long")
    status, _, error = tinysight("predict", model_path, "x" * 300)
    assert status == 1
    assert_one_line(error, "too long")
    (class_folders / "dark").rename(class_folders / os.fsdecode(b"dunkel\xff"))
    status, _, error = tinysight("train", class_folders, "--out", tmp_path / "run", *QUICK)
    assert status == 0, error


def test_a_closed_standard_input_is_one_line(tinysight, model_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    status, _, error = tinysight("predict", model_path, "-")
    assert status == 1
    assert_one_line(error, "standard input", "closed")


def test_the_version_is_printed(tinysight):
    from tinysight import __version__

    assert tinysight("--version")[:2] == (0, f"tinysight {__version__}\n")


def start(*arguments):
    command = [sys.executable, "-m", "tinysight", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


@pytest.mark.slow
def test_interrupting_a_training_keeps_the_best_so_far(tmp_path):
    with start("train", "digits", "--out", tmp_path / "run", "--hidden", "16", "--epochs", "100000") as process:
        while not process.stdout.readline().strip().startswith("2 "):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        printed, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "stopping after this epoch" in error
    assert "of 100000" in error
    assert "test accuracy" in printed
    assert (tmp_path / "run" / "model.onnx").is_file()
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["was_stopped"]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["tinysight.errors", "numpy.exceptions"])
def test_interrupting_while_modules_are_loaded_is_one_line(tmp_path, monkeypatch, module):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # Python then tells what it has just imported
    with start("train", "digits", "--out", tmp_path / "run") as process:
        while module not in (line := process.stderr.readline()):
            assert line, f"{module} was never imported"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    said = [line for line in error.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, said) == (130, ["tinysight: interrupted"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_interrupting_before_the_training_writes_nothing(tmp_path):
    with start("train", "digits", "--out", tmp_path / "run") as process:
        process.stdout.readline()
        time.sleep(0.5)  # TensorFlow is being loaded now
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "tinysight: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def children_of(process_id):
    """Return the processes whose parent a process is."""
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    rows = [(int(stat.split()[0]), int(stat.rpartition(")")[2].split()[1])) for stat in stats]
    return [child for child, parent in rows if parent == process_id]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupting_a_prediction_leaves_no_process_behind(model_path, digit, how):
    with start("predict", model_path, *[digit] * 20_000) as process:
        process.stdout.readline()
        children = children_of(process.pid)
        assert len(children) > 1 or os.cpu_count() == 1
        for one in [*children, process.pid] if how == signal.SIGINT else [process.pid]:  # as a terminal does
            os.kill(one, how)
        _, error = process.communicate(timeout=20)
    if how == signal.SIGINT:
        assert (process.returncode, error) == (130, "tinysight: interrupted\n")
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_terminal(*arguments, output=None):
    """Run the program in a terminal of its own; give its exit status and what the terminal got."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tinysight", *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(command, stdin=theirs, stdout=output or theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody is there any more
        while piece := os.read(ours, 65536):
            seen += piece
    os.close(ours)
    return process.wait(timeout=60), seen.decode()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_a_terminal_shows_how_far_a_prediction_is(model_path, digit, tmp_path):
    names = [*[digit] * 600, tmp_path / "missing.png"]
    status, seen = in_terminal("predict", model_path, *names)
    assert status == 3
    assert "601/601" in seen
    assert seen.count("digit.png") == 600
    assert "missing.png: there is no such file" in seen
    with (tmp_path / "out.csv").open("w+") as output:
        status, seen = in_terminal("predict", model_path, *names, "--format", "csv", output=output)
        output.seek(0)
        assert len(list(csv.DictReader(output))) == 600
    assert "601/601" in seen
    assert "digit.png" not in seen


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="a process's memory is not told here")
def test_ten_times_as_many_pictures_need_no_more_memory(model_path, class_folders, tmp_path):
    peaks = []
    for times in (50, 500):
        with (tmp_path / "out.txt").open("w") as output:
            command = [sys.executable, "-m", "tinysight", "predict", model_path, *[class_folders] * times]
            process = subprocess.Popen(command, stdout=output)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        assert len((tmp_path / "out.txt").read_text().splitlines()) == 20 * times
        peaks.append(usage.ru_maxrss)
    assert peaks[1] < peaks[0] * 1.1


@pytest.mark.slow
def test_a_pipe_gets_no_progress_bar(model_path, digit):
    with start("predict", model_path, *[digit] * 600) as process:
        printed, error = process.communicate(timeout=60)
    assert (len(printed.splitlines()), error) == (600, "")


def test_a_reader_that_goes_away_gets_no_traceback(model_path, digit):
    with start("predict", model_path, *[digit] * 600) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


@pytest.mark.parametrize(
    ("first_without", "advice"),
    [((9, 0), "pip install 'tinysight[train]'"), (sys.version_info[:2], "has no release for Python 3.")],
)
def test_a_missing_extra_says_what_to_install(first_without, advice):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; sys.argv = ['tinysight', 'summary'];"
        f"from tinysight import errors; errors.FIRST_PYTHON_WITHOUT_TENSORFLOW = {tuple(first_without)};"
        "from tinysight.cli.app import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert_one_line(result.stderr, advice)


@pytest.mark.parametrize("content", [b"no picture", None])
def test_names_of_strangers_files_do_not_steer_the_terminal(tinysight, model_path, digit, tmp_path, content):
    path = tmp_path / "\x1b[31mred\x1b]0;title\x07.png"
    path.write_bytes(content or digit.read_bytes())
    _, printed, error = tinysight("predict", model_path, path)
    assert "\\x1b[31mred\\x1b]0;title\\x07.png" in printed + error
    assert "\x1b" not in printed + error


def test_json_is_valid_whatever_the_terminal_can_write(model_path, digit, tmp_path):
    command = [sys.executable, "-m", "tinysight", "predict", model_path, tmp_path / "größe.png", "--format", "json"]
    Image.open(digit).resize((300, 320)).save(tmp_path / "größe.png")
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    printed = subprocess.run(command, env=ascii_only, capture_output=True, check=True).stdout
    assert json.loads(printed)["note"] == "framed from 300×320 grey"
    assert json.loads(printed)["source"].endswith("größe.png")


def run_in_shell(redirections, *arguments):
    command = " ".join([sys.executable, "-m", "tinysight", *map(str, arguments), redirections])
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name != "posix", reason="needs a shell of POSIX")
def test_closed_streams_are_no_crash(tmp_path):
    closed = run_in_shell(">&-", "cache", "list")
    assert (closed.returncode, closed.stdout) == (1, "")
    assert closed.stderr == "tinysight: standard output is closed; send it to a file or to /dev/null\n"
    without_errors = run_in_shell("2>&-", "predict", tmp_path / "none.png")
    assert (without_errors.returncode, without_errors.stdout, without_errors.stderr) == (1, "", "")
    all_closed = run_in_shell(">&- 2>&- <&-", "cache", "list")
    assert (all_closed.returncode, all_closed.stdout, all_closed.stderr) == (1, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_behind_standard_output_is_named():
    full = run_in_shell(">/dev/full", "cache", "list")
    assert (full.returncode, full.stderr) == (1, "tinysight: standard output: No space left on device\n")


def test_a_process_ends_with_its_status_and_all_that_was_printed():
    code = """
import atexit
from tinysight.__main__ import main
from tinysight.cli import app
run = app.main
app.main = lambda was_interrupted: atexit.register(print, "at the end") and run(was_interrupted)
main()
"""
    command = [sys.executable, "-c", code, "predict", "none.png"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "at the end\n")
    assert_one_line(ended.stderr, "none.png")
