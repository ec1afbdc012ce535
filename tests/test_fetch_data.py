"""The program behind `make data`."""

import gzip
import runpy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tinysight.data.named_sets import NAMED_SETS

SCRIPT = Path(__file__).parents[1] / "scripts" / "fetch_data.py"
CONTENT = b"what a set's file holds"


@pytest.fixture
def downloaded(tmp_path, monkeypatch):
    """A cache in which all named sets are downloaded, each of one small file."""
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    for name in list(NAMED_SETS):
        folder = tmp_path / "cache" / "downloads" / name
        folder.mkdir(parents=True)
        (folder / "file.gz").write_bytes(gzip.compress(CONTENT))
        small = replace(NAMED_SETS[name], hosts=(), files={"file.gz": sha256(CONTENT).hexdigest()})
        monkeypatch.setitem(NAMED_SETS, name, small)


@pytest.mark.usefixtures("downloaded")
@pytest.mark.parametrize("chosen", ["elsewhere", ""])
def test_the_named_sets_are_put_where_tests_look_for_them(tmp_path, monkeypatch, chosen):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYSIGHT_DATA", chosen)
    for _ in range(2):  # the second time all is there already
        runpy.run_path(str(SCRIPT), run_name="__main__")
    for name in NAMED_SETS:
        files = sorted((tmp_path / (chosen or ".data") / name).iterdir())
        assert [file.name for file in files] == ["file.gz"]
        assert gzip.decompress(files[0].read_bytes()) == CONTENT
