"""Each layout that people have, made from nothing: the right images, classes and splits come out."""

import gzip
import json
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from layouts import IMAGES, LABELS, NAMES, TEST, WHOLE, add_to_tar, check, png, put

from tinysight import load_images
from tinysight.errors import DataError


def splits(train="train", test="test"):
    """Return the split's folder of each image."""
    return [test if is_test else train for is_test in TEST]


def class_folders(folder, parts=None):
    for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        part = f"{parts[row]}/" if parts else ""
        put(folder / f"{part}{NAMES[label]}/{row}.png", png(image))


@pytest.mark.parametrize("train", ["train", "training_set", "seg_train/seg_train"])
def test_class_folders(tmp_path, train):
    class_folders(tmp_path / "set", splits(train, train.replace("training", "test").replace("train", "test")))
    images = check(load_images(tmp_path / "set", **WHOLE))
    assert images.skipped == images.unreadable == ()


def test_class_folders_win_over_tables_beside_them(tmp_path):
    class_folders(tmp_path)
    put(tmp_path / "index.csv", "file,label\n0.png,x\n")
    images = check(load_images(tmp_path, **WHOLE), test=None)
    assert images.skipped == (f"{tmp_path}: 1 file in no class folder skipped",)


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_archives_of_class_folders(tmp_path, suffix):
    class_folders(tmp_path / "pets", splits())
    path = tmp_path / f"pets.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for one in sorted(tmp_path.rglob("*.png")):
                archive.write(one, one.relative_to(tmp_path))
    else:
        mode = {"tgz": "gz", "tar": ""}.get(suffix, suffix.rpartition(".")[2])
        with tarfile.open(path, f"w:{mode}") as archive:
            archive.add(tmp_path / "pets", "pets")
    images = check(load_images(path, **WHOLE))
    assert sorted(images.sources)[0] == "pets/test/cat/16.png"
    renamed = path.rename(tmp_path / "download")
    check(load_images(renamed, **WHOLE))
    (tmp_path / "folder").mkdir()
    path = renamed.rename(tmp_path / "folder" / f"pets.{suffix}")
    check(load_images(tmp_path / "folder", **WHOLE))


def test_a_file_without_a_name_in_an_archive_is_named(tmp_path):
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for row, image in enumerate(IMAGES):
            archive.writestr(f"{NAMES[LABELS[row]]}/{row}.png", png(image))
        archive.writestr("nameless.png", png(IMAGES[0]))
    path.write_bytes(path.read_bytes().replace(b"nameless.png", b"\0ameless.png"))  # Python cuts names at a zero
    images = check(load_images(path, **WHOLE), test=None)
    assert images.skipped == (f"{path}: a file without a name; skipped",)


def rows(folder="", columns="file,label,split,group", delimiter=",", suffix=".png"):
    """Return a table of the images in ``flat/``."""
    cells = {"file": lambda row: f"{folder}{row}{suffix}", "label": lambda row: NAMES[LABELS[row]]}
    cells |= {"split": lambda row: splits()[row], "group": lambda row: f"g{row // 4}"}
    lines = [delimiter.join(cells[key](row) for key in columns.split(",")) for row in range(20)]
    return "\n".join([columns.replace(",", delimiter), *lines]) + "\n"


@pytest.fixture
def flat(tmp_path):
    for row, image in enumerate(IMAGES):
        put(tmp_path / "flat" / "img" / f"{row}.png", png(image))
    return tmp_path / "flat"


@pytest.mark.parametrize(
    ("name", "delimiter"), [("labels.csv", ","), ("labels.csv", ";"), ("labels.tsv", "\t"), ("l.txt", "\t")]
)
def test_a_manifest_beside_its_files(flat, name, delimiter):
    put(flat / name, rows("img/", delimiter=delimiter))
    images = check(load_images(flat / name, **WHOLE))
    assert images.groups is not None
    assert len(set(images.groups.tolist())) == 5
    assert images.sources[0].startswith("img/")
    if name != "l.txt":
        check(load_images(flat, **WHOLE))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("key", ["file", "file_name", "image", "File Name"])
def test_manifests_of_other_formats(flat, suffix, key):
    entries = [
        {key: f"img/{row}.png", "label": NAMES[label], "split": splits()[row]} for row, label in enumerate(LABELS)
    ]
    path = flat / f"labels.{suffix}"
    if suffix == "jsonl":
        put(path, "".join(json.dumps(entry) + "\n\n" for entry in entries))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(entries), path)
    check(load_images(path, **WHOLE))


@pytest.mark.parametrize(
    ("columns", "folder", "suffix"),
    [("id,label", "", ""), ("id,breed", "", ""), ("image_id,class", "", ".png"), ("path,target", "./img/", ".png")],
)
def test_files_may_be_named_without_folder_and_suffix(flat, columns, folder, suffix):
    table = rows(folder, "file,label", suffix=suffix).split("\n", 1)[1]
    put(flat / "train.csv", f"{columns}\n{table}")
    put(flat / "sample_submission.csv", "id,label\n0,cat\n")
    check(load_images(flat, **WHOLE), test=None)


def test_a_manifest_without_a_header(flat):
    put(flat / "list.csv", rows("img/", "file,label,split").split("\n", 1)[1])
    check(load_images(flat / "list.csv", **WHOLE))


def test_a_manifests_files_may_be_elsewhere(flat, tmp_path):
    put(tmp_path / "run" / "splits.csv", rows("img/"))
    check(load_images(tmp_path / "run" / "splits.csv", root=flat, **WHOLE))
    put(tmp_path / "run" / "absolute.csv", rows(f"{flat}/img/"))
    check(load_images(tmp_path / "run" / "absolute.csv", **WHOLE))
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for one in flat.rglob("*.png"):
            archive.write(one, one.relative_to(flat))
    check(load_images(tmp_path / "run" / "splits.csv", root=tmp_path / "flat.zip", **WHOLE))


def test_a_manifest_may_name_rows_of_arrays(tmp_path):
    np.savez(tmp_path / "set.npz", x=IMAGES, y=1 - LABELS)
    put(tmp_path / "splits.csv", rows("set.npz/x[", "file,label,split", suffix="]"))
    images = check(load_images(tmp_path / "splits.csv", root=tmp_path / "set.npz", framing="whole"))
    assert images.unreadable == ()


def test_hugging_faces_image_folders(tmp_path):
    for row, image in enumerate(IMAGES):
        put(tmp_path / splits()[row] / f"{row}.png", png(image))
    for split in ("train", "test"):
        some = [f"{row}.png,{NAMES[LABELS[row]]}" for row in range(20) if splits()[row] == split]
        put(tmp_path / split / "metadata.csv", "\n".join(["file_name,label", *some]))
    check(load_images(tmp_path, **WHOLE))
    some = [{"file_name": f"{splits()[row]}/{row}.png", "label": NAMES[LABELS[row]]} for row in range(20)]
    put(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, some)))
    check(load_images(tmp_path, **WHOLE), test=None)


def test_kaggles_table_for_each_split(tmp_path):
    for row, image in enumerate(IMAGES):
        put(tmp_path / splits()[row] / f"{row % 15}.png", png(image))
    for split in ("train", "test"):
        some = [f"{row % 15},{NAMES[LABELS[row]]}" for row in range(20) if splits()[row] == split]
        put(tmp_path / f"{split}.csv", "\n".join(["id,label", *some]))
    check(load_images(tmp_path, **WHOLE))


def test_hugging_faces_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    features = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        chosen = [row for row in range(20) if splits()[row] == split]
        pictures = [{"bytes": png(IMAGES[row]), "path": None} for row in chosen]
        table = pyarrow.table({"image": pictures, "label": LABELS[chosen]}).replace_schema_metadata(about)
        parquet.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet", row_group_size=4)
    check(load_images(tmp_path, **WHOLE))
    check(load_images(tmp_path / "data", **WHOLE))
    images = load_images(tmp_path / "data" / "test-00000-of-00001.parquet", **WHOLE)
    assert images.sources[0] == "test-00000-of-00001.parquet[0]"
    assert (len(images), images.class_names) == (5, ("cat", "dog"))


@pytest.mark.parametrize("label", ["cls", "json"])
def test_webdataset_shards(tmp_path, label):
    for number, chosen in enumerate((range(8), range(8, 15), range(15, 20))):
        with tarfile.open(tmp_path / f"{('train', 'train', 'test')[number]}-{number:04}.tar", "w") as archive:
            for row in chosen:
                name = NAMES[LABELS[row]]
                content = json.dumps({"label": name, "caption": "x"}) if label == "json" else f"{name}\n"
                add_to_tar(archive, f"./{row:05}.{label}", content.encode())
                add_to_tar(archive, f"./{row:05}.png", png(IMAGES[row]))
    images = check(load_images(tmp_path, **WHOLE))
    assert images.sources[0] == "test-0002.tar/00015.png"
    assert len(load_images(tmp_path / "train-0000.tar", **WHOLE)) == 8


HEADER = ",".join(f"pixel{number}" for number in range(64))


@pytest.mark.parametrize(
    ("header", "columns", "names"),
    [
        (f"label,{HEADER}", lambda row: [LABELS[row], *IMAGES[row].ravel()], ["0", "1"]),
        ("", lambda row: [LABELS[row], *IMAGES[row].ravel()], ["0", "1"]),
        (f"{HEADER},label", lambda row: [*IMAGES[row].ravel(), LABELS[row]], ["0", "1"]),
        (f"{HEADER},class", lambda row: [*IMAGES[row].ravel(), NAMES[LABELS[row]]], NAMES),
        (f"label,{HEADER}", lambda row: [NAMES[LABELS[row]], *(IMAGES[row].ravel() / 255)], NAMES),
        (
            "label," + ",".join(f"{row}x{column}" for row in range(1, 9) for column in range(1, 9)),
            lambda row: [LABELS[row], *IMAGES[row].ravel()],
            ["0", "1"],
        ),
    ],
)
def test_tables_of_pixels(tmp_path, header, columns, names):
    lines = [",".join(map(str, columns(row))) for row in range(20)]
    put(tmp_path / "train.csv", "\r\n".join([*filter(None, [header]), *lines]))
    check(load_images(tmp_path / "train.csv", framing="whole"), names, test=None)
    for name, part in (("train", lines[:15]), ("test", lines[15:])):
        put(tmp_path / "set" / f"{name}.csv", "\n".join([*filter(None, [header]), *part]))
    check(load_images(tmp_path / "set", framing="whole"), names)


def test_kaggles_test_table_has_no_labels(tmp_path):
    lines = [",".join(map(str, image.ravel())) for image in IMAGES]
    put(tmp_path / "train.csv", "\n".join([f"label,{HEADER}", *(f"{LABELS[row]},{lines[row]}" for row in range(20))]))
    put(tmp_path / "test.csv", "\n".join([HEADER, *lines]))
    images = check(load_images(tmp_path, framing="whole"), ["0", "1"], test=None)
    assert images.skipped == (f"{tmp_path / 'test.csv'}: has no column label; skipped",)
    with pytest.raises(DataError, match="test.csv: has pixels, but no column label"):
        load_images(tmp_path / "test.csv")


def test_emnists_tables_are_turned(tmp_path):
    lines = [",".join(map(str, [LABELS[row], *IMAGES[row].T.ravel()])) for row in range(20)]
    put(tmp_path / "emnist-balanced-train.csv", "\n".join(lines))
    check(load_images(tmp_path / "emnist-balanced-train.csv", framing="whole"), ["0", "1"], test=None)


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("folder", ["", "MNIST/raw"])
def test_idx_files(tmp_path, folder):
    for name, chosen in (("train", ~TEST), ("t10k", TEST)):
        put(tmp_path / folder / f"{name}-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES[chosen])))
        put(tmp_path / folder / f"{name}-labels-idx1-ubyte", idx(LABELS[chosen].astype(np.uint8)))
    check(load_images(tmp_path, framing="whole"), ["0", "1"])
    check(load_images(tmp_path / folder / "train-images-idx3-ubyte.gz", framing="whole"), ["0", "1"])


@pytest.mark.parametrize(
    "names",
    ["x_{},y_{}", "X_{},y_{}", "{}_images,{}_labels", "{}X,{}Y", "x{},y{}", "{}_x,{}_y", "{}_data,{}_target"],
)
def test_numpy_files(tmp_path, names):
    arrays = {}
    for split, chosen in (("train", ~TEST), ("test", TEST)):
        images, labels = (name.format(split) for name in names.split(","))
        arrays |= {images: IMAGES[chosen], labels: LABELS[chosen]}
    np.savez_compressed(tmp_path / "set.npz", **arrays)
    check(load_images(tmp_path / "set.npz", framing="whole"), ["0", "1"])
    check(load_images(arrays, framing="whole"), ["0", "1"])
    (tmp_path / "files").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "files" / f"{name}.npy", array)
    check(load_images(tmp_path / "files", framing="whole"), ["0", "1"])
    check(load_images(tmp_path / "files" / f"{name}.npy", framing="whole"), ["0", "1"])


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("data", "target"), ("arr_0", "arr_1")])
def test_numpy_files_without_splits(tmp_path, names):
    np.savez(tmp_path / "set.npz", **dict(zip(names, (IMAGES, LABELS), strict=True)))
    images = check(load_images(tmp_path / "set.npz", framing="whole"), ["0", "1"], test=None)
    guessed = f"{tmp_path / 'set.npz'}: arr_0 is taken for the images, arr_1 for their labels"
    assert images.skipped == ((guessed,) if names[0] == "arr_0" else ())


def test_arrays_in_python():
    check(load_images((IMAGES, LABELS), framing="whole"), ["0", "1"], test=None)
    pairs = (IMAGES[~TEST], LABELS[~TEST]), (IMAGES[TEST], LABELS[TEST])
    check(load_images(pairs, framing="whole"), ["0", "1"])
    check(load_images([IMAGES.tolist(), [NAMES[label] for label in LABELS]], framing="whole"), test=None)


@pytest.mark.parametrize("source", [(IMAGES,), [], {}, IMAGES, (IMAGES, None), {"x": IMAGES}, (None, None), ([], [])])
def test_other_things_in_python_are_refused(source):
    with pytest.raises(DataError, match="^arrays: "):
        load_images(source)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": "x,y\n1,2\n"}, "columns are x, y; expected file and label"),
        ({"a.csv": ""}, "the table is empty"),
        ({"a.csv": "file,label\n"}, "the table has no rows"),
        (
            {"a.csv": "file,label\nno.png,cat\n"},
            "names no picture that is in .*no.png: there is no such file",
        ),
        ({"a.csv": "file,label,split\na.png,cat,fold1\n"}, "line 2: split is 'fold1'; expected train"),
        ({"a.csv": "file,class,category\na.png,cat,x\n"}, "columns are file, class, category; expected file and label"),
        ({"a.jsonl": "[1]\n"}, "line 1 is no JSON object"),
        ({"a.zip": "no archive"}, "not a ZIP archive|not a TAR archive"),
        ({"a.tar": "no archive"}, "not a TAR archive"),
        ({"a.npy": "no array"}, "not a readable .npy file"),
        ({"a.parquet": "no table"}, "not a Parquet file"),
        ({"a.xyz": "x"}, "a file of an unknown kind; expected class folders, an archive of them"),
        ({"a.csv": ",".join("1" * 30)}, "columns are 1, 1"),
    ],
)
def test_files_of_other_kinds_are_refused_with_what_they_hold(tmp_path, files, message):
    ((name, content),) = files.items()
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    put(tmp_path / name, content)
    with pytest.raises(DataError, match=f"^{tmp_path / name}: .*(?:{message})"):
        load_images(tmp_path / name)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.csv": "x\n", "b.txt": "x"},
            "in class folders .*; it holds a.csv, b.txt; docs/data.md lists",
        ),
        ({}, "holds no pictures in class folders"),
        ({"a.zip": "x", "b.zip": "x"}, "holds 2 archives .a.zip, b.zip.; give one of them"),
        ({"1.png": "x", "a.csv": "file,label\n1.png,a\n", "b.csv": "file,label\n1.png,b\n"}, "any of a.csv, b.csv may"),
    ],
)
def test_folders_that_are_not_understood_are_refused_with_what_they_hold(tmp_path, files, message):
    for name, content in files.items():
        put(tmp_path / name, content)
    with pytest.raises(DataError, match=f"^{tmp_path}: .*{message}"):
        load_images(tmp_path)
