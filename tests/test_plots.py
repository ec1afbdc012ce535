import logging
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from tinysight.errors import MissingExtraError
from tinysight.plots import MAX_NAMED_ROWS, SERIES, Curve, plot_coverage, plot_curves, plot_matrix, plot_reliability

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["training", "validation"]


def curves(names=NAMES, band=0.0):
    values = [[0.5 + 0.1 * place, 0.7, 0.8 - 0.1 * place] for place in range(len(names))]
    return [
        Curve(name, [1, 2, 3], y, *(([v - band for v in y], [v + band for v in y]) if band else ()))
        for name, y in zip(names, values, strict=True)
    ]


def texts(plot):
    return [element.text for element in ElementTree.fromstring(plot).iter(f"{SVG}text")]


def all_plots():
    bins = ([0.6, 0.9], [0.5, 0.95], [(0.4, 0.6), (0.9, 1.0)])
    return {
        "curves": plot_curves(curves(), "epoch", "accuracy", "how it went", (2, "kept"), is_share=True),
        "bands": plot_curves(curves(band=0.1), "epoch", "loss", "bands"),
        "counts": plot_curves(curves(), "images", "accuracy", "sizes", is_count=True),
        "reliability": plot_reliability([("after", *bins), ("before", *bins)], "reliability"),
        "coverage": plot_coverage([1.0, 0.5, 0.1], [0.1, 0.02, 0.0], "coverage", (0.5, 0.02, "threshold")),
        "matrix": plot_matrix(np.eye(3), ["a", "b", "c"], "matrix"),
    }


@pytest.fixture(scope="module")
def plots():
    return all_plots()


def test_the_same_figures_give_the_same_text(plots):
    assert all_plots() == plots


def test_plots_are_xml_with_a_description_and_nothing_to_load(plots):
    for plot in plots.values():
        root = ElementTree.fromstring(plot)
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert root.get("aria-label")
        addresses = [value for element in root.iter() for key, value in element.items() if key.endswith("href")]
        assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)
        assert root.find(f".//{SVG}style") is None  # it would apply to the whole page


def test_the_names_in_plots_of_one_page_differ(plots):
    names = [re.findall(r'\bid="([^"]+)"', plot) for plot in plots.values()]
    everything = [name for own in names for name in own]
    assert len(everything) == len(set(everything)) > 0
    for plot, own in zip(plots.values(), names, strict=True):
        assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', plot)) <= {
            pair for name in own for pair in ((name, ""), ("", name))
        }


def test_colours_are_the_pages_own(plots):
    for name, plot in plots.items():
        assert "currentColor" in plot, name
        drawn = set(re.findall(r"(?:fill|stroke): (#\w+)", plot))
        assert not drawn, name  # each is a variable
    assert f"var(--series-2, {SERIES[1][0]})" in plots["curves"]


def test_curves_are_told_apart_by_dashes_too(plots):
    lines = re.findall(r"fill: none; (?:stroke-dasharray: ([^;]+); [^\"]*)?stroke: var\(--series-(\d)", plots["curves"])
    dashes = {number: dash for dash, number in lines}
    assert set(dashes) == {"1", "2"}
    assert dashes["1"] != dashes["2"]


def test_axes_ticks_legend_and_mark_are_text(plots):
    written = texts(plots["curves"])
    assert {"epoch", "accuracy", "training", "validation", "kept"} <= set(written)
    assert "60\u2009%" in written
    assert {"1", "2", "3"} <= set(written)
    assert {"1", "2", "3"} <= set(texts(plots["counts"]))


def test_bands_are_filled(plots):
    assert plots["bands"].count("fill-opacity") == 2
    assert plots["curves"].count("fill-opacity") == 0


def test_one_epoch_is_a_point():
    plot = plot_curves([Curve("training", [1], [0.5])], "epoch", "loss", "one epoch")
    assert ElementTree.fromstring(plot).findall(f".//{SVG}use")


@pytest.mark.filterwarnings("error")
def test_names_of_every_kind_are_drawn_as_they_are_without_a_warning(caplog):
    odd = ["$x^2$", "<b>&amp;", "猫 \U0001f431", "\u05d0\u05d1\u05d2", "a\x07b", "bad\udcff", "n" * 300]
    plot = plot_matrix(np.eye(len(odd)), odd, "odd & <names>")
    written = texts(plot)
    assert {"$x^2$", "<b>&amp;", "猫 \U0001f431", "\u05d0\u05d1\u05d2", "a\\x07b", "bad\\udcff"} <= set(written)
    assert "n" * 17 + "…" in written
    assert ElementTree.fromstring(plot).get("aria-label") == "odd & <names>"
    legend = texts(plot_curves(curves(odd[:2]), "x\x01", "$y$", "d"))
    assert {"$x^2$", "<b>&amp;", "x\\x01", "$y$"} <= set(legend)
    assert not caplog.records


def test_of_many_classes_some_are_named():
    for num_classes in (2, 60, 200):
        names = [f"class {number}" for number in range(num_classes)]
        written = texts(plot_matrix(np.eye(num_classes), names, "m"))
        rows = [text for text in written if text.startswith("class ")]
        assert 2 * min(num_classes, 30) <= len(rows) <= 2 * MAX_NAMED_ROWS


def test_the_users_own_settings_of_matplotlib_change_nothing_and_stay(plots):
    import matplotlib

    before = logging.getLogger("matplotlib").level
    with matplotlib.rc_context({"axes.facecolor": "#ff0000", "font.size": 30, "svg.fonttype": "path"}):
        assert all_plots() == plots
        assert matplotlib.rcParams["font.size"] == 30
    assert logging.getLogger("matplotlib").level == before


@pytest.mark.slow
def test_matplotlib_is_imported_silently_whatever_backend_is_chosen(tmp_path):
    (tmp_path / "file").write_text("")  # below it, matplotlib cannot make the folder for its cache
    environment = {**os.environ, "MPLBACKEND": "nonsense", "MPLCONFIGDIR": str(tmp_path / "file" / "below")}
    code = "import logging, os; from tinysight.plots import import_matplotlib; import_matplotlib(); "
    code += "print(os.environ['MPLBACKEND'], logging.getLogger('matplotlib').level)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (found.stdout, found.stderr) == ("nonsense 0\n", "")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"tinysight\[train\]"):
        plot_curves(curves(), "epoch", "loss", "d")
