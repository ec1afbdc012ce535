import re
import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "tutorial.ipynb"


@pytest.fixture
def stored():
    return pytest.importorskip("nbformat").read(NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook):
    """Return what the code cells have printed, and how many pictures they show; nothing may be on standard error."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"stream", "display_data"}, "an error, or a last expression"
    printed = [output for output in outputs if output.output_type == "stream"]
    assert [output.text for output in printed if output.name != "stdout"] == []
    return "".join(output.text for output in printed), sum("image/png" in output.get("data", {}) for output in outputs)


def test_the_notebook_is_stored_as_it_ran_from_top_to_bottom(stored):
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert NOTEBOOK.stat().st_size < 500_000


def test_what_the_notebook_says_is_true_of_its_stored_outputs(stored):
    text, _ = outputs_of(stored)
    losses = dict(re.findall(r"^(training|validation) +accuracy .*, loss ([\d.]+)$", text, re.MULTILINE))
    assert float(losses["validation"]) > 10 * float(losses["training"])
    without, with_dropout = (float(gap) for gap in re.findall(r"gap in loss ([\d.]+)", text))
    assert with_dropout < without


def test_pages_that_the_notebook_links_are_there(stored):
    text = "".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert len(links) > 2
    for link in links:
        assert (DOCS / link).exists(), link


@pytest.mark.slow
@pytest.mark.usefixtures("needs_tensorflow")
def test_the_notebook_runs_and_prints_what_is_stored_in_it(stored, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    shutil.copytree(DOCS / "examples", tmp_path / "examples")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    expected, num_pictures = outputs_of(stored)
    for cell in code_cells(stored):
        cell.outputs = []
    nbclient.NotebookClient(stored, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text, num_shown = outputs_of(stored)
    for line in ("equal outputs: True", "training   accuracy 100.00%", "with ReLU: True", "with tanh: False", "\n5  "):
        assert line in text
    assert num_shown == num_pictures == 5
    # Figures may differ with the processor, sentences may not
    assert [re.sub(r"[\d., ]+", "", line) for line in text.splitlines()] == [
        re.sub(r"[\d., ]+", "", line) for line in expected.splitlines()
    ]
