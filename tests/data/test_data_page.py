import re
from pathlib import Path

import pytest

from tinysight.data.manifest import FILE_COLUMNS, LABEL_COLUMNS
from tinysight.data.split_names import WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_pages_program_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    variables = {}
    exec(program, variables)
    assert variables["loaded"].class_names == ("0", "1")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_page_names_words_of_splits(split):
    (row,) = re.findall(rf"^\| {split} \| (.*?) \|$", PAGE, re.MULTILINE)
    named = set(re.findall(r"[a-z]+", row.partition(";")[0]))
    known = {*WORDS[split].split(), "trainset", "testset"}
    assert named <= known
    assert len(named) > 4


def test_the_page_names_columns():
    (row,) = re.findall(r"^- \*\*file\*\*(.*?)\n- ", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([a-z_]+)`", row)) <= set(FILE_COLUMNS)
    (row,) = re.findall(r"^- \*\*label\*\*(.*?)\n- ", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([a-z_]+)`", row)) <= set(LABEL_COLUMNS)
