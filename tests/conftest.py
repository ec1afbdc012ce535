"""What the tests share: where data lies, a cache of their own, one small trained classifier, pictures."""

import gzip
import importlib.util
import os
import struct
import sys
import warnings
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import damaged_files, png_files, write_photographs
from PIL import Image
from services import running

from tinysight.classifier import Classifier
from tinysight.cli.app import main
from tinysight.data.dataset import hash_numbers
from tinysight.data.loading import load_images
from tinysight.data.named_sets import NAMED_SETS
from tinysight.data.splits import split_images
from tinysight.errors import MissingExtraError
from tinysight.onnx_file import DataSource, ModelMetadata, build_model
from tinysight.training.settings import TrainingSettings

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / ".data", ROOT.parent / "shared" / "data")  # what `make data` fetches; a collection shared by clones
DATA = Path(os.environ.get("TINYSIGHT_DATA") or next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0]))
DATA = DATA.resolve()
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
WITHOUT_TENSORFLOW = "needs TensorFlow, which is not installed; it has releases for Python 3.11 to 3.13"


def pytest_report_header():
    """Say what the tests will find."""
    found = [name for name in (*NAMED_SETS, "strangers-digits") if (DATA / name).is_dir()]
    lines = [f"data: {', '.join(found) or 'none'} in {DATA}"]
    return lines if HAS_TENSORFLOW else [*lines, f"skipped: what {WITHOUT_TENSORFLOW}"]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Skip test modules that import TensorFlow where there is none."""
    report = yield
    if not HAS_TENSORFLOW and report.failed and "No module named 'tensorflow'" in str(report.longrepr):
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, f"Skipped: {WITHOUT_TENSORFLOW}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Skip tests of trained networks where there is no TensorFlow."""
    return (yield from _skipped_without_tensorflow())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip tests that train where there is no TensorFlow."""
    return (yield from _skipped_without_tensorflow())


def _skipped_without_tensorflow():
    try:
        return (yield)
    except (MissingExtraError, ModuleNotFoundError) as error:
        if HAS_TENSORFLOW or "tensorflow" not in f"{error} {error.__cause__}".lower():
            raise
        pytest.skip(WITHOUT_TENSORFLOW)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the tests out of the user's cache, and tell them where the named sets are."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSIGHT_CACHE", str(folder))
        patch.setenv("TINYSIGHT_DATA", str(DATA))
        yield folder


@pytest.fixture(scope="session")
def attack_rounds():
    """How often the tests in attacks/ repeat what they do; ``make attack`` says more than 1."""
    return int(os.environ.get("ATTACK_ROUNDS", "1"))


@pytest.fixture(scope="session")
def data_folder():
    """The folder with the files of MNIST and Fashion-MNIST."""
    if not all((DATA / name).is_dir() for name in NAMED_SETS):
        pytest.skip(f"MNIST and Fashion-MNIST are not in {DATA}; fetch them with: make data")
    return DATA


@pytest.fixture(scope="session")
def strangers_digits():
    """The files of 120 digits that strangers wrote, which cannot be published with the project."""
    if not (DATA / "strangers-digits").is_dir():
        pytest.skip(f"there is no folder {DATA / 'strangers-digits'}; its pictures are not published")
    return sorted((DATA / "strangers-digits").glob("*/*"))


@pytest.fixture(scope="session")
def photograph_folders(tmp_path_factory):
    """Folders of class folders of photographs held in eight ways: those made here, and a collection if there is one."""
    write_photographs(made := tmp_path_factory.mktemp("photographs"))
    collected = DATA / "folders" / "exif-orientation"
    return [made, *([collected] if collected.is_dir() else [])]


@pytest.fixture(scope="session")
def odd_pictures():
    """PNG files of every kind by name: those made here, and PngSuite if it is there, but for its damaged files."""
    collected = sorted((DATA / "odd-formats").rglob("*.png"))
    return png_files() | {str(path): path.read_bytes() for path in collected if not path.name.startswith("x")}


@pytest.fixture(scope="session")
def broken_pictures():
    """Damaged picture files by name: those made here, and other libraries' own if they are there."""
    collected = [path for path in sorted((DATA / "broken").glob("*/*")) if path.is_file()]
    return damaged_files() | {str(path): path.read_bytes() for path in collected}


@pytest.fixture(params=["small", "published"])
def mnist(request, tmp_path, monkeypatch):
    """MNIST, and a set of the same form made of scikit-learn's digits; gives its sizes and first test labels."""
    if request.param == "published":
        request.getfixturevalue("data_folder")
        return SimpleNamespace(num_train=60_000, num_test=10_000, num_validation=6_000, first_labels=[7, 2, 1, 0, 4])
    return _small_set("mnist", tmp_path, monkeypatch)


@pytest.fixture(params=["small", "published"])
def fashion_mnist(request, tmp_path, monkeypatch):
    """Fashion-MNIST, and digits under its name."""
    if request.param == "published":
        request.getfixturevalue("data_folder")
    else:
        _small_set("fashion-mnist", tmp_path, monkeypatch)


def _small_set(name, folder, monkeypatch):
    """Put 200 digits in the place of a named set, 160 of them to train on."""
    digits = load_images("digits")
    images = np.minimum(digits.images[:200], 254)  # no image that `trained` was trained on
    labels = digits.labels[:200].astype(np.uint8)
    arrays = (images[:160], labels[:160], images[160:], labels[160:])
    (folder / name).mkdir()
    hashes = {}
    for file, array in zip(NAMED_SETS[name].files, arrays, strict=True):
        content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        (folder / name / file).write_bytes(gzip.compress(content))
        hashes[file] = sha256(content).hexdigest()
    monkeypatch.setitem(NAMED_SETS, name, replace(NAMED_SETS[name], files=hashes))
    monkeypatch.setenv("TINYSIGHT_DATA", str(folder))
    monkeypatch.setenv("TINYSIGHT_CACHE", str(folder / "cache"))
    return SimpleNamespace(num_train=160, num_test=40, num_validation=16, first_labels=labels[160:165].tolist())


@pytest.fixture
def needs_tensorflow():
    """Skip a test that needs TensorFlow to be installed but does not import it."""
    if not HAS_TENSORFLOW:
        pytest.skip(WITHOUT_TENSORFLOW)


class StandIn:
    """What `trained` is without TensorFlow: the same network, trained by scikit-learn; tests of more are skipped."""

    def __init__(self):
        from sklearn.neural_network import MLPClassifier

        self.images = images = split_images(load_images("digits"))
        rows = np.concatenate([images.indices(split) for split in ("train", "validation")])
        network = MLPClassifier((64, 32), max_iter=12, random_state=0, tol=0, n_iter_no_change=12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it could train on
            network.fit(images.images[rows].reshape(len(rows), -1) / 255, images.labels[rows])
        layers = [
            (weights.astype(np.float32), biases.astype(np.float32))
            for weights, biases in zip(network.coefs_, network.intercepts_, strict=True)
        ]
        metadata = ModelMetadata(
            images.class_names,
            images.framing,
            data=DataSource(images.name, images.data_hash),
            training_hashes=hash_numbers(images.hashes[rows]),
        )
        self.classifier = Classifier(build_model(layers, metadata))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return pytest.skip(WITHOUT_TENSORFLOW)


@pytest.fixture(scope="session")
def trained():
    """A classifier of digits, trained for two seconds; read only."""
    if not HAS_TENSORFLOW:
        return StandIn()
    from tinysight.training.train import train

    return train(load_images("digits"), TrainingSettings(recipe="fast", hidden=(64, 32), epochs=6))


@pytest.fixture(scope="session")
def run_folder(trained, tmp_path_factory):
    """The folder of that training; read only."""
    from tinysight.evaluation import evaluate
    from tinysight.run_folder import save_run

    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(trained, evaluate(trained.classifier, trained.images.subset("test")), folder)
    return folder


@pytest.fixture(scope="session")
def model_path(request, trained, tmp_path_factory):
    """The file of that classifier."""
    if HAS_TENSORFLOW:
        return request.getfixturevalue("run_folder") / "model.onnx"
    path = tmp_path_factory.mktemp("without") / "model.onnx"
    trained.classifier.save(path)
    return path


@pytest.fixture(scope="session")
def classifier(model_path):
    return Classifier.load(model_path)


@pytest.fixture(scope="session")
def service(model_path, tmp_path_factory):
    """A service of that classifier, under the name ``digits``; a test that changes or measures one starts its own."""
    with running(tmp_path_factory.mktemp("service"), model_path, "--name", "digits") as started:
        yield started


@pytest.fixture
def client(service):
    with service.client() as opened:
        yield opened


@pytest.fixture
def tinysight(monkeypatch, capfd):
    """Run a command line in this process: gives exit status, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tinysight", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        if not HAS_TENSORFLOW and "building a network needs" in captured.err:
            pytest.skip(WITHOUT_TENSORFLOW)
        return stop.value.code, captured.out, captured.err

    return run


@pytest.fixture
def class_folders(tmp_path):
    """Two classes of ten small pictures each: dark and light noise."""
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for class_name, low in (("dark", 0), ("light", 128)):
        (folder / class_name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(low, low + 128, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / class_name / f"{number}.png")
    return folder
