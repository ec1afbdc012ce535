"""Damaged files of every form that holds data: each is loaded, or refused with one line that names it."""

import gzip
import io
import json
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from layouts import IMAGES, LABELS, NAMES, add_to_tar, png

from tinysight import load_images
from tinysight.data import archives
from tinysight.errors import DataError

NUM_EXAMPLES = 30


def npz():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x_train=IMAGES, y_train=LABELS)
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, IMAGES)
    return buffer.getvalue()


def zip_archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for row, image in enumerate(IMAGES):
            archive.writestr(f"{NAMES[LABELS[row]]}/{row}.png", png(image))
    return buffer.getvalue()


def tar_archive(mode="w", is_shard=False):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for row, image in enumerate(IMAGES):
            name = f"{row:04}" if is_shard else f"{NAMES[LABELS[row]]}/{row}"
            add_to_tar(archive, f"{name}.png", png(image))
            if is_shard:
                add_to_tar(archive, f"{name}.cls", b"1")
    return buffer.getvalue()


def parquet():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    buffer = io.BytesIO()
    write_table(pyarrow.table({"image": [{"bytes": png(image)} for image in IMAGES], "label": LABELS}), buffer)
    return buffer.getvalue()


def idx():
    return struct.pack(">BBBB3I", 0, 0, 8, 3, *IMAGES.shape) + IMAGES.tobytes()


def pixels():
    lines = [",".join(map(str, [label, *image.ravel()])) for image, label in zip(IMAGES, LABELS, strict=True)]
    return "\n".join(lines).encode()


def entries():
    return [{"file": f"{row}.png", "label": NAMES[label], "split": "train"} for row, label in enumerate(LABELS)]


FORMS = {
    "set.npz": npz,
    "x_train.npy": npy,
    "set.zip": zip_archive,
    "set.tar": tar_archive,
    "set.tar.gz": lambda: tar_archive("w:gz"),
    "shard.tar": lambda: tar_archive(is_shard=True),
    "set.parquet": parquet,
    "train-images-idx3-ubyte": idx,
    "train-images-idx3-ubyte.gz": lambda: gzip.compress(idx()),
    "train.csv": pixels,
    "labels.csv": lambda: "\n".join(["file,label,split", *(",".join(one.values()) for one in entries())]).encode(),
    "labels.jsonl": lambda: "\n".join(map(json.dumps, entries())).encode(),
}
EDITS = strategies.lists(strategies.tuples(strategies.floats(0, 1), strategies.integers(0, 255)), max_size=6)
CUTS = strategies.tuples(strategies.floats(0, 1), strategies.floats(0, 1))
KINDS = strategies.sampled_from(["edit", "edit at the start", "edit at the end", "cut", "leave out", "twice"])


def mutated(whole, kind, edits, cut):
    """Return bytes with some changed, at any place or near an end; or with a part missing or doubled."""
    low, high = sorted(int(share * len(whole)) for share in cut)
    if kind == "cut":
        return whole[:high]
    if kind == "leave out":
        return whole[:low] + whole[high:]
    if kind == "twice":
        return whole[:high] + whole[low:]
    changed = bytearray(whole)
    for share, value in edits:
        place = int(share * (min(len(whole), 100) if kind.endswith(("start", "end")) else len(whole) - 1))
        changed[len(whole) - 1 - place if kind.endswith("end") else min(place, len(whole) - 1)] = value
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_damaged_files_are_loaded_or_refused(name, tmp_path, monkeypatch, attack_rounds):
    monkeypatch.setenv("TINYSIGHT_CACHE_GB", "0")
    whole = FORMS[name]()
    for row, image in enumerate(IMAGES):
        if name.startswith("labels"):
            (tmp_path / f"{row}.png").write_bytes(png(image))
    np.save(tmp_path / "y_train.npy", LABELS)
    labels = struct.pack(">BBBBI", 0, 0, 8, 1, len(LABELS)) + LABELS.astype(np.uint8).tobytes()
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    (tmp_path / name).write_bytes(whole)
    assert len(load_images(tmp_path / name, framing="whole")) == len(IMAGES)

    @settings(max_examples=NUM_EXAMPLES * attack_rounds, deadline=None, database=None, derandomize=True)
    @given(kind=KINDS, edits=EDITS, cut=CUTS)
    def check(kind, edits, cut):
        (tmp_path / name).write_bytes(mutated(whole, kind, edits, cut))
        try:
            images = load_images(tmp_path / name, framing="whole")
        except DataError as error:
            assert "\n" not in str(error)
            assert str(tmp_path) in str(error)
            return
        assert images.images.shape == (len(images.labels), *images.framing.image_shape)
        assert images.labels.max() < len(images.class_names)

    check()


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES_AT_ANY_RATIO", 2**20)
    bomb = gzip.compress(bytes(2**25), 9)
    header = tarfile.TarInfo("a/1.png")
    header.size = 2**33
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(header.tobuf()) + bomb)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(b"file,label\n" + bytes(2**25), 9))
    pax = tarfile.TarInfo("x")
    pax.type, pax.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "pax.tar.gz").write_bytes(gzip.compress(pax.tobuf()) + bomb)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError, match=str(path)):
            load_images(path)


def test_nothing_of_the_users_is_touched(tmp_path):
    """Neither by loading nor by training's quick checks: names, contents, times and rights stay."""
    for name, form in FORMS.items():
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_bytes(form())
    for row, image in enumerate(IMAGES):
        folder = tmp_path / "folders" / NAMES[LABELS[row]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.png").write_bytes(png(image))
        (tmp_path / "labels-csv" / f"{row}.png").write_bytes(png(image))
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    before = _state(tmp_path)
    loaded = 0
    for path in tmp_path.iterdir():
        try:
            loaded += len(load_images(path, framing="whole")) == len(IMAGES)
        except DataError as error:
            assert path.name in (
                "x_train-npy",
                "train-images-idx3-ubyte",
                "train-images-idx3-ubyte-gz",
                "labels-jsonl",
            ), error
    assert loaded == len(FORMS) - 3
    assert _state(tmp_path) == before
    for folder in folders:
        folder.chmod(0o755)


WITHOUT_LABELS = ("x_train-npy", "train-images-idx3-ubyte", "train-images-idx3-ubyte-gz", "labels-jsonl")


def _state(folder):
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = status.st_mode, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, content
    return found
