"""Reads Parquet files: tables, and pictures with their labels in the form of Hugging Face's data sets."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DataError, MissingExtraError, PictureError
from ..escapes import printable
from ..preprocessing.inputs import MAX_FILE_BYTES
from ..wording import plural
from . import cache
from .listing import Content, LabelledPicture, Listing
from .split_names import given_split

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

IMAGE_COLUMNS = ("image", "img", "picture", "jpg", "png")  # those tried first
LABEL_COLUMNS = ("label", "labels", "class", "target", "category")
ROWS_AT_A_TIME = 64


class _Columns(NamedTuple):
    """Which columns hold pictures and labels, and the labels' names."""

    image: str
    label: str
    class_names: list[str]
    is_nested: bool
    split: str
    group: str


def _open(path: Path) -> "ParquetFile":
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingExtraError("reading Parquet files", "parquet") from None
    try:
        return ParquetFile(path)
    except Exception as error:  # pyarrow raises its own errors, OSError and more
        raise DataError(f"{path}: not a Parquet file that can be read ({_one_line(error)})") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def read_texts(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names and the rows of a table's columns of texts and numbers.

    Raises:
        DataError: It cannot be read.
    """
    file = _open(path)
    columns = [one.name for one in file.schema_arrow if _is_text_or_number(one.type)]
    rows: list[list[str]] = []
    for batch in _batches(file, columns, path, 65_536):
        lists = [["" if value is None else str(value) for value in column.to_pylist()] for column in batch.columns]
        rows += map(list, zip(*lists, strict=True))
    return columns, rows


def _is_text_or_number(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean)
    return any(test(kind) for test in tests) or (types.is_dictionary(kind) and _is_text_or_number(kind.value_type))


def _batches(file: "ParquetFile", columns: list[str], path: Path, size: int) -> Iterator[Any]:
    try:
        yield from file.iter_batches(size, columns=columns, use_threads=False)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise DataError(f"{path}: damaged ({_one_line(error)})") from None


def has_pictures(path: Path) -> bool:
    """Tell whether a column of a Parquet file holds pictures' bytes."""
    return bool(_image_columns(_open(path)))


def _image_columns(file: "ParquetFile") -> dict[str, bool]:
    """Return the columns that hold bytes, and for each whether they are within ``{bytes, path}``."""
    from pyarrow import types

    found = {}
    for column in file.schema_arrow:
        kind = column.type
        if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            found[column.name] = True
        elif types.is_binary(kind) or types.is_large_binary(kind):
            found[column.name] = False
    return found


def list_pictures(paths: Sequence[Path], splits: Sequence[str], name: str) -> Listing:
    """List the pictures in Parquet files; their bytes are read when they are decoded.

    Args:
        paths: The files.
        splits: The split of each.
        name: What messages call them together.

    Raises:
        DataError: A file cannot be read, or it is not certain which columns hold pictures and labels.
    """
    pictures: list[LabelledPicture] = []
    rows: list[tuple[int, int]] = []  # of each picture: the file's number, and the row in it
    columns, notes = [], []
    for number, (path, split) in enumerate(zip(paths, splits, strict=True)):
        file = _open(path)
        columns.append(_find_columns(file, path))
        num_before = len(pictures)
        for row, picture in enumerate(_labelled(file, columns[-1], path, split)):
            if picture:
                pictures.append(picture)
                rows.append((number, row))
        if unlabelled := file.metadata.num_rows - (len(pictures) - num_before):
            notes.append(f"{path}: {plural(unlabelled, 'row')} without a label skipped")

    def contents(positions: Sequence[int]) -> Iterator[Content]:
        for number, some in groupby((rows[position] for position in positions), itemgetter(0)):
            yield from _contents(paths[number], columns[number], [row for _, row in some])

    key = ("parquet", [cache.file_fingerprint(path) for path in paths], list(splits))
    if not pictures:
        raise DataError(f"{name}: holds no pictures with labels")
    root = str(paths[0].parent)
    return Listing(pictures, contents, key, root, notes)


def _find_columns(file: "ParquetFile", path: Path) -> _Columns:
    schema = file.schema_arrow
    images = _image_columns(file)
    names_of_labels = _class_labels(schema)
    texts = [one.name for one in schema if _is_text_or_number(one.type)]
    image = _the_one([*images], IMAGE_COLUMNS)
    label = _the_one([*names_of_labels], LABEL_COLUMNS) or _the_one(
        [one for one in texts if one.lower() in LABEL_COLUMNS], LABEL_COLUMNS
    )
    if not image or not label:
        listed = ", ".join(f"{one.name} ({str(one.type)[:40]})" for one in schema)
        raise DataError(f"{path}: expected one column image with bytes, and one column label; it holds {listed}")
    others = {one.lower(): one for one in texts}
    return _Columns(
        image, label, names_of_labels.get(label, []), images[image], others.get("split", ""), others.get("group", "")
    )


def _the_one(names: list[str], preferred: Sequence[str]) -> str:
    """Return the only name, or the only one of the preferred names; empty where that is not certain."""
    known = [name for name in names if name.lower() in preferred]
    if len(known) == 1:
        return known[0]
    return names[0] if len(names) == 1 else ""


def _class_labels(schema: Any) -> dict[str, list[str]]:
    """Return the columns that Hugging Face's metadata calls class labels, with the classes' names."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])
        features = about["info"]["features"]
        labels = {
            key: one for key, one in features.items() if isinstance(one, dict) and one.get("_type") == "ClassLabel"
        }
        return {key: list(map(str, one.get("names") or [])) for key, one in labels.items() if key in schema.names}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _labelled(file: "ParquetFile", columns: _Columns, path: Path, split: str) -> Iterator[LabelledPicture | None]:
    """Yield the labelled picture of each row; None where there is no label, as in test files of competitions."""
    wanted = [columns.label, *filter(None, (columns.split, columns.group))]
    row = 0
    for batch in _batches(file, wanted, path, 65_536):
        lists = {key: batch.column(key).to_pylist() for key in wanted}
        for number in range(batch.num_rows):
            label = lists[columns.label][number]
            if label is None or (columns.class_names and label == -1):
                yield None
            else:
                named = columns.class_names[label] if _is_index(label, columns.class_names) else str(label)
                group = str(lists[columns.group][number] or "") if columns.group else ""
                own = given_split(str(lists[columns.split][number] or ""), path.name) if columns.split else split
                yield LabelledPicture(f"{path.name}[{row}]", printable(named), own, group)
            row += 1


def _is_index(label: object, names: list[str]) -> bool:
    return isinstance(label, int) and 0 <= label < len(names)


def _contents(path: Path, columns: _Columns, wanted: list[int]) -> Iterator[Content]:
    if not wanted:
        return
    file = _open(path)
    rows = iter(wanted)
    row: int | None = next(rows)
    start = 0
    for batch in _batches(file, [columns.image], path, ROWS_AT_A_TIME):
        values = batch.column(columns.image)
        while row is not None and row < start + batch.num_rows:
            yield _content(values[row - start].as_py(), columns, f"{path}[{row}]")
            row = next(rows, None)
        start += batch.num_rows
        if row is None:
            return


def _content(value: Any, columns: _Columns, name: str) -> Content:
    data = value.get("bytes") if columns.is_nested and value is not None else value
    if data is None:
        outside = value.get("path") if isinstance(value, dict) else None
        told = f"only a path ({printable(str(outside))[:80]})" if outside else "no bytes"
        return PictureError(f"{name}: holds {told}; expected the picture's bytes")
    if len(data) > MAX_FILE_BYTES:
        return PictureError(f"{name}: the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
    return bytes(data)
