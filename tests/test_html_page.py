"""Export to one HTML page, without a browser."""

import base64
import hashlib
import re
from dataclasses import asdict

import numpy as np
import pytest
from samples import photograph_model, stored_in, unpacked

from tinysight.errors import OutputError
from tinysight.html_page import PAGE, build_page, combine_scripts, export_page, run_layers

SCRIPTS = sorted(path.name.removesuffix(".js") for path in PAGE.iterdir() if path.name.endswith(".js"))


@pytest.fixture(scope="module")
def page(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "digits.html"
    exported = export_page(classifier, path)
    assert exported.num_bytes == path.stat().st_size
    assert 0 < exported.largest_change < 0.05
    return path.read_text(encoding="utf-8")


def test_the_layers_give_the_classifiers_probabilities(classifier, trained):
    images = np.asarray(trained.images.images[:100])
    assert [weights.shape for weights, _ in classifier.layers] == [(784, 64), (64, 32), (32, 10)]
    np.testing.assert_allclose(run_layers(classifier.layers, images), classifier.probabilities(images), atol=1e-6)


def test_the_page_holds_the_classifier_in_8_bits(page, classifier, trained):
    stored = stored_in(page)
    assert stored["class_names"] == list(classifier.class_names)
    assert stored["framing"] == asdict(classifier.framing)
    assert stored["reject_below"] == classifier.reject_below
    assert stored["name"] == "digits"
    images = np.asarray(trained.images.images)
    ours, its = classifier.probabilities(images), run_layers([unpacked(layer) for layer in stored["layers"]], images)
    assert (ours.argmax(axis=1) == its.argmax(axis=1)).mean() > 0.995
    assert np.abs(ours - its).mean() < 0.002
    assert np.abs(ours - its).max() < 0.05  # as the export says of random drawings


def test_the_pages_policy_allows_its_own_script_and_style_and_nothing_else(page):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src 'none'" in policy
    for kind, pattern in (("script", r'<script type="module">(.*?)</script>'), ("style", r"<style>(.*?)</style>")):
        (text,) = re.findall(pattern, page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_page_names_nothing_elsewhere(page):
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert set(re.findall(r"https?://[^\s'\"<]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "fetch(" not in page
    assert not re.findall(r"^(?:import|export) ", page, re.MULTILINE)


def test_names_cannot_break_out_of_the_page():
    page = build_page({"class_names": ["</script><script>alert(1)</script>", "<!--<script>", "été \ud800"]})
    assert "alert(1)</script>" not in page
    assert stored_in(page)["class_names"] == ["</script><script>alert(1)</script>", "<!--<script>", "été \ud800"]


@pytest.mark.parametrize("start", ["page", "exported"])
def test_scripts_share_no_names_so_that_they_can_be_one(start):
    script = combine_scripts(start)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE)
    assert len(names) > 20
    assert len(names) == len(set(names))


def test_every_script_is_part_of_a_page_and_opens_with_a_comment():
    both = combine_scripts("page") + combine_scripts("exported")
    for name in SCRIPTS:
        text = (PAGE / f"{name}.js").read_text(encoding="utf-8")
        first_line = text.partition("\n")[0]
        assert first_line in both, name
        assert first_line.startswith("// "), name
        assert len(text.splitlines()) <= 400
        assert max(map(len, text.splitlines())) <= 120, name


def test_the_command_writes_prints_and_does_not_overwrite(tinysight, model_path, tmp_path):
    out = tmp_path / "page.html"
    status, printed, _ = tinysight("export", model_path, "--out", out)
    assert status == 0
    assert re.match(rf"wrote {re.escape(str(out))}: 0\.\d\d MB\n", printed)
    assert re.search(
        r"on 100 random drawings, that changes no probability by more than \d\.\d percentage points", printed
    )
    out.write_text("mine")
    status, _, complaint = tinysight("export", model_path, "--format", "page", "--out", out)
    assert (status, complaint) == (1, f"tinysight: {out}: is there already; --overwrite replaces it\n")
    assert out.read_text() == "mine"
    assert tinysight("export", model_path, "--out", out, "--overwrite")[0] == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_wrong_usage_is_explained_in_a_line(tinysight, model_path, tmp_path):
    for arguments, expected_status, words in (
        ((model_path, "--format", "pdf"), 2, "expected one of: page"),
        ((model_path, "--out", tmp_path), 1, "is a folder"),
        ((model_path, "--out", tmp_path / "no" / "page.html"), 1, "there is no folder"),
        ((tmp_path / "no.onnx", "--out", tmp_path / "page.html"), 1, "there is no such classifier file"),
    ):
        status, _, complaint = tinysight("export", *arguments)
        assert status == expected_status
        assert words in complaint
        assert complaint.count("\n") == 1


def test_a_page_that_is_there_is_refused_in_python_too(classifier, tmp_path):
    (tmp_path / "page.html").touch()
    with pytest.raises(OutputError, match="is there already"):
        export_page(classifier, tmp_path / "page.html")


def test_a_network_that_the_page_cannot_compute_is_refused(tinysight, tmp_path):
    (tmp_path / "model.onnx").write_bytes(photograph_model())
    status, _, complaint = tinysight("export", tmp_path / "model.onnx", "--out", tmp_path / "page.html")
    assert status == 2
    needs = "the page computes dense and convolutional networks only"
    assert complaint == f"tinysight: {needs}; for this classifier use 'tinysight serve'\n"
    assert not (tmp_path / "page.html").exists()
