import re
from html.parser import HTMLParser

import pytest

from tinysight.evaluation import evaluate
from tinysight.report import MAX_MISTAKES_SHOWN, render_report


@pytest.fixture(scope="module")
def evaluated(trained):
    test_images = trained.images.subset("test")
    return evaluate(trained.classifier, test_images), test_images, trained.history


class Tags(HTMLParser):
    """Collects what a page loads, and whether its tags are closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.loaded = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br", "link", "polyline"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_loads_nothing(evaluated):
    page = render_report(*evaluated)
    tags = Tags(page)
    assert tags.open == []
    assert tags.loaded
    assert all(address.startswith("data:image/png;base64,") for address in tags.loaded)
    assert "<script" not in page


def test_the_page_shows_figures_classes_plots_and_mistakes(evaluated):
    evaluation, _, history = evaluated
    page = render_report(*evaluated, {"network": "small"})
    assert f"{evaluation.accuracy:.2%}" in page
    assert "small" in page
    assert page.count("<polyline") == 4
    assert f"{history[-1].validation_accuracy:.4f}" in page
    assert page.count("<figure><img") == min(len(evaluation.mistakes), MAX_MISTAKES_SHOWN) > 0
    assert len(re.findall(r"--share: [\d.]+", page)) == 100


def test_names_are_escaped(evaluated):
    evaluation, images, _ = evaluated
    page = render_report(evaluation, images, facts={"name": "<script>alert(1)</script>"})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
