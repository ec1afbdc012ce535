"""The report's page: what it says, and how a browser shows it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from pages import chromium

from tinysight import report
from tinysight.classifier import Classifier
from tinysight.data.dataset import ImageSet
from tinysight.errors import MissingExtraError
from tinysight.evaluation import evaluate
from tinysight.gallery import choose_pictures
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.preprocessing.framing import Framing
from tinysight.report import RunFacts, interval, percent, render_report

SERIOUS = ("serious", "critical")
CHECKED_BY_AXE = ("two", "odd")  # of others it takes long, and the same parts of the template are in them
SMALL = Framing("whole", 6, 5)
MARKUP = "<script>alert(1)</script>"
ODD_NAMES = (
    MARKUP,
    "\u05e9\u05dc\u05d5\u05dd",
    "猫 \U0001f431",
    "n" * 150,
    "$x^2$",
    "bell\x07",
    "turned\u202e",
    "half\udcff",
)


def history(num_epochs=5):
    names = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
    return [SimpleNamespace(epoch=n, **dict.fromkeys(names, 1 - 0.2 / n)) for n in range(1, num_epochs + 1)]


def facts(num_epochs=5, verdict="it overfits: a gap of 3 points"):
    return RunFacts(verdict, history(num_epochs), num_epochs, {"network": "small"}, {"epochs": num_epochs, "seed": 0})


def made_up(names, per_class=4, framing=SMALL):
    """Return a classifier of random weights, images of its classes, and probabilities that are often right."""
    rng = np.random.default_rng(0)
    size = framing.height * framing.width * framing.channels
    layers = [(rng.normal(size=(size, len(names))).astype(np.float32), np.zeros(len(names), np.float32))]
    classifier = Classifier(build_model(layers, ModelMetadata(tuple(f"class {n}" for n in range(len(names))), framing)))
    classifier.metadata = replace(classifier.metadata, class_names=tuple(names), reject_below=0.3, temperature=1.5)
    number = per_class * len(names)
    pixels = rng.integers(0, 256, (number, *framing.image_shape), dtype=np.uint8)
    labels = np.repeat(np.arange(len(names)), per_class)
    sources = [f"{names[label]}/{place} <b>&.png" for place, label in enumerate(labels)]
    hashes = rng.integers(0, 256, (number, 32), dtype=np.uint8)
    images = ImageSet("set", pixels, labels, tuple(names), sources, np.full(number, 2, np.uint8), hashes, framing)
    logits = rng.normal(size=(number, len(names))) + 3 * np.eye(len(names))[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return classifier, images, shares.astype(np.float32)


def page_of(names, per_class=4, run=None, **framing):
    classifier, images, probabilities = made_up(
        names, per_class, Framing("whole", **{"height": 6, "width": 5, **framing})
    )
    evaluation = evaluate(classifier, images, probabilities=probabilities)
    training = images, np.arange(0, len(images), 2)
    gallery = choose_pictures(classifier, images, probabilities, evaluation.mistakes, training)
    return render_report(evaluation, run or facts(), gallery), evaluation


@pytest.fixture(scope="module")
def pages():
    """Reports of sets of every kind."""
    numbered = [f"class {number}" for number in range(200)]
    kinds = {
        "ten": page_of(list("0123456789"), 30),
        "two": page_of(["yes", "no"], 3, facts(1)),
        "many": page_of(numbered, 3),
        "odd": page_of(ODD_NAMES, 5, facts(verdict=MARKUP), height=60, width=50, channels=3),
        "perfect": perfect(),
    }
    return {kind: page for kind, (page, _) in kinds.items()}


def perfect():
    """Return the report of images that are all right, some of a class without images and one with a single image."""
    classifier, images, _ = made_up(["a", "b", "c"])
    images = replace(images, labels=np.array([0] * 11 + [1]))
    probabilities = np.full((12, 3), 0.1, np.float32)
    probabilities[np.arange(12), images.labels] = 0.8
    evaluation = evaluate(classifier, images, probabilities=probabilities)
    return render_report(evaluation, facts(), choose_pictures(classifier, images, probabilities, ())), evaluation


class Tags(HTMLParser):
    """Collects what a page loads, its text, and whether its tags are closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.loaded, self.found, self.texts = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_pages_load_nothing_and_have_no_script(pages):
    for kind, page in pages.items():
        tags = Tags(page)
        assert tags.open == []
        assert tags.loaded
        assert all(address.startswith(("data:", "#")) for address in tags.loaded), kind
        assert "<script" not in page
        assert all(attributes["alt"] for tag, attributes in tags.found if tag == "img")
        assert not [attributes for tag, attributes in tags.found if any(name.startswith("on") for name in attributes)]


def test_the_verdict_comes_first_and_figures_have_intervals():
    page, evaluation = page_of(list("0123456789"), 30)
    text = "".join(Tags(page.partition("<body>")[2].partition("</body>")[0]).texts)
    assert text.index("It overfits: a gap of 3 points.") < text.index(percent(evaluation.accuracy)) < 120
    for ends in (
        evaluation.accuracy_interval,
        evaluation.balanced_accuracy_interval,
        evaluation.top_k[0].accuracy_interval,
    ):
        assert interval(ends) in text
    assert "{:.4f} to {:.4f}".format(*evaluation.log_loss_interval) in text
    assert percent(evaluation.calibration.ece) in text
    assert f"threshold {percent(0.3, 0)}" in text
    row = evaluation.class_scores[3]
    assert f"{percent(row.precision)} (" in text
    assert f"{percent(row.recall)} (" in text


def test_curves_the_kept_epoch_and_every_epoch_are_there(pages):
    page = pages["ten"]
    assert page.count('<svg class="plot"') == 4
    assert page.count("kept: epoch 5</text>") == 2
    assert page.count("(kept)") == 1
    assert 'aria-label="accuracy by epoch; after the last of 5 it is 96.00\u00a0% for training' in page


def test_the_matrix_is_a_table_for_few_classes_and_a_heat_map_for_many(pages):
    assert pages["ten"].count('class="right"') == 10
    assert pages["two"].count('class="right"') == 2
    many = pages["many"]
    assert 'class="right"' not in many
    assert 'aria-label="Confusion matrix of 200 classes: ' in many
    assert "The 20 classes with the lowest F1 score" in many
    assert "All 200 classes" in many
    assert len(many) < 3_000_000


def test_images_have_what_explains_them(pages):
    tags = Tags(pages["ten"])
    pictures = [attributes for tag, attributes in tags.found if tag == "img"]
    cards = [attributes for tag, attributes in tags.found if attributes.get("class") == "card"]
    overlays = [picture for picture in pictures if picture.get("class") == "overlay"]
    assert len(cards) == len(overlays) > 24
    assert len(pictures) == len(cards) * (2 + 3)
    assert "The least sure hits" in pages["ten"]
    assert "The least sure hits" in pages["perfect"]
    assert "The surest mistakes" not in pages["perfect"]


def test_names_are_escaped_and_what_turns_the_text_is_written_out(pages):
    page = pages["odd"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search("[\x07\u202e\udcff]", page)
    assert {"bell\\x07", "turned\\u202e", "half\\udcff"} <= {text.strip() for text in Tags(page).texts}
    page.encode()


def test_without_images_the_page_says_why_and_lists_the_mistakes():
    classifier, images, _ = made_up(["a", "b"], 20)
    probabilities = np.tile(np.array([0.4, 0.6], np.float32), (40, 1))
    evaluation = evaluate(classifier, images, probabilities=probabilities)
    page = render_report(evaluation, facts(), None, "The images are gone.")
    assert "The images are gone." in page
    assert evaluation.mistakes[0].source in " ".join(Tags(page).texts)
    assert "<img" not in page
    assert "Settings" not in render_report(evaluation)


def test_the_same_evaluation_gives_the_same_page():
    assert page_of(["a", "b", "c"]) == page_of(["a", "b", "c"])


def test_what_is_not_installed_is_named_before_anything_is_computed(monkeypatch, tinysight, tmp_path):
    monkeypatch.setattr(report, "find_spec", lambda name: None if name == "matplotlib" else name)
    with pytest.raises(MissingExtraError, match=r"tinysight\[train\]"):
        report.check_installed()
    status, _, complaint = tinysight("train", "digits", "--out", tmp_path / "run")
    assert (status, complaint.count("\n")) == (1, 1)
    assert "tinysight[train]" in complaint
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(380, "dark"), (1400, "light")])
def test_a_browser_shows_the_pages_without_a_fault(browser, pages, tmp_path, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra dev is not installed")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, complaints, requested = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    for kind, text in pages.items():
        (tmp_path / "report.html").write_text(text, encoding="utf-8")
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, kind
        # Each part is opened, and the pixels that decided are shown: by keyboard, without a script
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.locator(".overlay:visible").count() == 0
        page.locator(".why").focus()
        page.keyboard.press("Space")
        assert page.locator(".overlay:visible").count() == page.locator(".card").count() > 0
        assert page.locator(".plain:visible").count() == 0
        if kind in CHECKED_BY_AXE:
            violations = [one for one in axe.Axe().run(page).response["violations"] if one["impact"] in SERIOUS]
            assert not violations, (kind, json.dumps(violations)[:2000])
    context.close()
    assert not complaints
    assert all(address.startswith(("file:", "data:")) for address in requested)
