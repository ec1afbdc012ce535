import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def outputs_of(notebook):
    """Return what each code cell has printed, and how many pictures it shows."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.slow
@pytest.mark.usefixtures("needs_tensorflow")
def test_the_notebook_runs_and_says_what_is_stored_in_it(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    shutil.copytree(DOCS / "examples", tmp_path / "examples")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    stored = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    ran = nbformat.from_dict(stored)
    for cell in ran.cells:
        cell.pop("outputs", None)
    nbclient.NotebookClient(ran, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text, num_pictures = outputs_of(ran)
    for line in ("equal outputs: True", "training   accuracy 100.00%", "ReLU: True", "tanh: False", "\n5 (('5', 0.9"):
        assert line in text
    stored_text, num_stored = outputs_of(stored)
    assert num_pictures == num_stored == 5
    assert len(text.splitlines()) == len(stored_text.splitlines())
