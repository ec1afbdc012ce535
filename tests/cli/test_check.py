"""`tinysight check`: what it prints and writes, and its exit status."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from tinysight.data.loading import load_images


@pytest.fixture
def digit_folder(tmp_path):
    """300 digits as files, ten of them in the wrong class, and one doubled."""
    digits = load_images("digits")
    wrong = {}
    for row in range(300):
        label = int(digits.labels[row])
        if row % 30 == 7:
            label = (label + 3) % 10
            wrong[f"{label}/{row:03}.png"] = digits.class_names[digits.labels[row]]
        path = tmp_path / "digits" / str(label) / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.images[row]).save(path)
    Image.fromarray(digits.images[0]).save(path.parents[1] / str(digits.labels[0]) / "again.png")
    return path.parents[1], wrong


def test_findings_are_printed_written_and_can_be_corrected(tinysight, digit_folder, tmp_path):
    folder, wrong = digit_folder
    page, table = tmp_path / "page.html", tmp_path / "corrected.csv"

    status, out, err = tinysight("check", folder, "--report", page, "--corrected", table)

    assert status == 3
    assert "2 images are exact copies of one another" in out
    assert "labels look wrong" in out
    assert "wrote" in err
    assert "--root" in err
    text = page.read_text()
    assert "data:image/png;base64," in text
    assert "labels look wrong" in text
    assert 'src="http' not in text
    rows = {row["file"]: row for row in csv.DictReader(table.read_text().splitlines())}
    corrected = {name for name, row in rows.items() if row["label_before"]}
    assert len(corrected & set(wrong)) >= 8
    assert all(rows[name]["label"] == wrong[name] for name in corrected & set(wrong))
    again = load_images(table, root=folder)
    assert len(again) == 301
    assert not again.unreadable
    assert {again.sources[row]: again.class_names[again.labels[row]] for row in range(301)} == {
        name: row["label"] for name, row in rows.items()
    }


def test_json_has_everything(tinysight, digit_folder):
    folder, wrong = digit_folder
    status, out, _ = tinysight("check", folder, "--json")
    assert status == 3
    facts = json.loads(out)
    assert (facts["num_images"], facts["is_sound"], facts["unusable"]) == (301, False, "")
    assert {one["kind"] for one in facts["findings"]} == {"duplicates", "wrong_labels"}
    assert len({one["source"] for one in facts["wrong_labels"]} & set(wrong)) >= 8
    assert facts["class_counts"]["0"]["all"] > 20


def test_a_sound_set_ends_with_0_and_an_unusable_one_with_1(tinysight, tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "sound" / name).mkdir(parents=True)
        for number in range(8):
            small = Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8))
            small.resize((28, 28), Image.Resampling.BICUBIC).save(tmp_path / "sound" / name / f"{number}.png")
    status, out, err = tinysight("check", tmp_path / "sound")
    assert (status, err) == (0, "")
    assert "nothing was found that looks wrong" in out
    (tmp_path / "sound" / "a").rename(tmp_path / "away")
    status, out, err = tinysight("check", tmp_path / "sound")
    assert status == 1
    assert "expected 2 or more" in err
    status, out, err = tinysight("check", tmp_path / "nothing")
    assert status == 1
    assert "neither a path that exists" in err
