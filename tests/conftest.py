"""What the tests share: the data folder, a cache of their own, and one small trained classifier."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from services import running

from tinysight.classifier import Classifier
from tinysight.cli.app import main
from tinysight.data.loading import load_images
from tinysight.training.settings import TrainingSettings

DATA = Path(os.environ.get("TINYSIGHT_DATA", "../shared/data")).resolve()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the tests out of the user's cache, and tell them where the named sets are."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSIGHT_CACHE", str(folder))
        patch.setenv("TINYSIGHT_DATA", str(DATA))
        yield folder


@pytest.fixture(scope="session")
def data_folder():
    if not (DATA / "mnist").is_dir():
        pytest.skip(f"the data for tests is not at {DATA}; set TINYSIGHT_DATA to its folder")
    return DATA


@pytest.fixture(scope="session")
def trained():
    """A classifier of digits, trained for two seconds; read only."""
    from tinysight.training.train import train

    return train(load_images("digits"), TrainingSettings(hidden=(64, 32), epochs=6))


@pytest.fixture(scope="session")
def run_folder(trained, tmp_path_factory):
    """The folder of that training; read only."""
    from tinysight.evaluation import evaluate
    from tinysight.run_folder import save_run

    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(trained, evaluate(trained.classifier, trained.images.subset("test")), folder)
    return folder


@pytest.fixture(scope="session")
def model_path(run_folder):
    return run_folder / "model.onnx"


@pytest.fixture(scope="session")
def classifier(model_path):
    return Classifier.load(model_path)


@pytest.fixture(scope="module")
def service(model_path, tmp_path_factory):
    """A service of that classifier, under the name ``digits``, with a log of its own for each test module."""
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
