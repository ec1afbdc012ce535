"""Lists the pictures in WebDataset shards: TAR archives with ``KEY.jpg`` and ``KEY.cls`` or ``KEY.json`` for each."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, PictureError
from ..escapes import printable
from ..preprocessing.formats import has_suffix
from ..wording import plural
from . import cache
from .archives import read_tar_member, tar_members
from .listing import Content, LabelledPicture, Listing

# Extensions of label files, the surest first; the others may hold a caption
LABEL_EXTENSIONS = ("cls", "label", "index", "json")
JSON_KEYS = ("label", "class_name", "class", "cls", "target")
MAX_LABEL_BYTES = 2**16
NUM_LOOKED_AT = 64  # members of an archive that tell whether it is a shard


class _Place(NamedTuple):
    """Where a picture is: the number of its shard, and of the member in it."""

    shard: int
    member: int


def split_key(name: str) -> tuple[str, str]:
    """Split a member's name at the first dot of its last part: ``a/0001.seg.png`` → ``a/0001``, ``seg.png``."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    key, _, extension = last.partition(".")
    return f"{folder}{slash}{key}", extension.lower()


def is_shard(path: Path) -> bool:
    """Tell whether a TAR archive is a WebDataset shard: label files stand beside its pictures."""
    keys: dict[str, set[str]] = {}
    for number, (_, member) in enumerate(tar_members(path)):
        key, extension = split_key(member.name)
        keys.setdefault(key, set()).add(extension.rpartition(".")[2])
        if number == NUM_LOOKED_AT:
            break
    sure = set(LABEL_EXTENSIONS) - {"json"}  # beside a picture in a class folder it may be anything
    return any(one & (sure if "/" in key else set(LABEL_EXTENSIONS)) and has_picture(one) for key, one in keys.items())


def has_picture(extensions: set[str]) -> bool:
    """Tell whether one of several extensions is a picture's."""
    return any(has_suffix(f"x.{one}") for one in extensions)


def list_shards(paths: Sequence[Path], splits: Sequence[str], name: str) -> Listing:
    """List the pictures in shards.

    Args:
        paths: The shards.
        splits: The split of each.
        name: What messages call them together.

    Raises:
        DataError: A shard is damaged, or no picture in them has a label.
    """
    pictures: list[LabelledPicture] = []
    places: list[_Place] = []
    notes: list[str] = []
    problems: list[str] = []
    for shard, (path, split) in enumerate(zip(paths, splits, strict=True)):
        found, labels = _read_shard(path)
        for sample, (member, member_name) in found.items():
            label = labels.get(sample)
            if isinstance(label, PictureError):
                problems.append(str(label))
            elif label is not None:
                pictures.append(LabelledPicture(f"{path.name}/{member_name}", label, split))
                places.append(_Place(shard, member))
        if unlabelled := len(found.keys() - labels.keys()):
            without = f"{plural(unlabelled, 'picture')} without a label ({', '.join(LABEL_EXTENSIONS)})"
            notes.append(f"{path}: {without} skipped")
    if not pictures:
        raise DataError(f"{name}: holds no pictures with labels, such as 0001.jpg with 0001.cls")

    def contents(positions: Sequence[int]) -> Iterator[Content]:
        for shard, path in enumerate(paths):
            wanted = {places[one].member: pictures[one].name for one in positions if places[one].shard == shard}
            if wanted:
                yield from _contents(path, wanted)

    key = ("webdataset", [cache.file_fingerprint(path) for path in paths], list(splits))
    return Listing(pictures, contents, key, str(paths[0].parent), notes, problems)


def _read_shard(path: Path) -> tuple[dict[str, tuple[int, str]], dict[str, str | PictureError]]:
    """Return each key's picture, by its number among the members and its name, and each key's label."""
    pictures: dict[str, tuple[int, str]] = {}
    labels: dict[str, tuple[int, str | PictureError]] = {}
    for number, (archive, member) in enumerate(tar_members(path)):
        if not member.isreg():
            continue
        key, extension = split_key(member.name)
        last = extension.rpartition(".")[2]
        if has_suffix(f"x.{last}"):
            pictures.setdefault(key, (number, member.name.removeprefix("./")))
        elif extension in LABEL_EXTENSIONS and member.size <= MAX_LABEL_BYTES:
            rank = LABEL_EXTENSIONS.index(extension)
            if key not in labels or rank < labels[key][0]:
                data = read_tar_member(archive, member, member.name)
                label = _label(data, extension, f"{path}/{member.name}")
                if label is not None:
                    labels[key] = rank, label
    return pictures, {key: label for key, (_, label) in labels.items()}


def _label(data: bytes | PictureError, extension: str, name: str) -> str | PictureError | None:
    """Return the class that a label file names; None where a JSON file names none."""
    if isinstance(data, PictureError):
        return data
    text = data.decode(errors="backslashreplace").strip()
    if extension == "json":
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            return PictureError(f"{name}: not JSON; left out")
        if isinstance(entry, dict):
            found = [entry[key] for key in JSON_KEYS if entry.get(key) is not None]
            return printable(str(found[0])) if found else None
        text = str(entry) if isinstance(entry, str | int) else ""
    return printable(text) if text and "\n" not in text else PictureError(f"{name}: holds no label; left out")


def _contents(path: Path, wanted: dict[int, str]) -> Iterator[Content]:
    left = len(wanted)
    for number, (archive, member) in enumerate(tar_members(path)):
        if number in wanted:
            yield read_tar_member(archive, member, f"{path.parent}/{wanted[number]}")
            left -= 1
            if not left:
                return
