"""Reads tables of texts: CSV and TSV, JSON lines, Parquet."""

import csv
import io
import json
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from . import parquet
from .archives import packing, unpacked

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet")
JSON_SUFFIXES = (".jsonl", ".ndjson")
DELIMITERS = ",\t;|"
MAX_LINE = 2**20  # characters of the first line that are read
MAX_FIELD = 2**24  # characters in a field


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        columns: Names of the columns, as `column_name` returns them.
        rows: The rows' fields.
        first_line: Number of the first row's line in the file.
        has_header: Whether the columns' names are in the file.
    """

    columns: list[str]
    rows: list[list[str]]
    first_line: int
    has_header: bool = True


def is_table(path: Path) -> bool:
    """Tell whether a file has a table's suffix, perhaps with ``.gz``."""
    return path.name.lower().removesuffix(".gz").endswith(TABLE_SUFFIXES)


def column_name(text: str) -> str:
    """Return a column's name in lower case, with underscores between words: ``File Name`` → ``file_name``."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text.strip())
    return re.sub(r"[\s\-]+", "_", spaced).lower()


def read_table(path: Path, known_columns: frozenset[str]) -> Table:
    """Read a table.

    Args:
        path: The file; its suffix tells its format.
        known_columns: Names that a header may hold; a CSV file whose first row has none of them has no header.

    Raises:
        DataError: It cannot be read.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        columns, rows = parquet.read_texts(path)
        return Table([column_name(one) for one in columns], rows, 1)
    with open_text(path) as file:
        if name.endswith(JSON_SUFFIXES):
            return _read_json_lines(file, path)
        rows = list(read_csv(file, path))
    if not rows:
        raise DataError(f"{path}: the table is empty; expected a header and rows")
    header = [column_name(one) for one in rows[0]]
    if known_columns.isdisjoint(header):
        return Table([f"column {n}" for n in range(1, len(header) + 1)], rows, 1, has_header=False)
    return Table(header, rows[1:], 2)


def read_csv(file: io.TextIOBase, path: Path) -> Iterator[list[str]]:
    """Yield the rows of a CSV or TSV file; those without any text are left out."""
    start = file.readline(MAX_LINE)
    file.seek(0)
    delimiter = "\t" if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else _delimiter(start)
    csv.field_size_limit(MAX_FIELD)
    try:
        for row in csv.reader(file, delimiter=delimiter):
            if any(row):
                yield row
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV table that can be read ({error})") from None


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open a text file, plain or gzip, in UTF-8 or, if it begins so, UTF-16; bytes that are neither are kept.

    Raises:
        DataError: It cannot be read; also while it is.
    """
    try:
        with tempfile.TemporaryFile() if packing(path) else path.open("rb") as file:
            if packing(path):
                with unpacked(path) as stream:
                    while part := stream.read():
                        file.write(part)
                file.seek(0)
            start = file.read(2)
            file.seek(0)
            encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            with io.TextIOWrapper(file, encoding, "surrogateescape", newline="") as text:
                yield text
    except DataError:
        raise
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason})") from None


def _read_json_lines(file: io.TextIOBase, path: Path) -> Table:
    entries = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise DataError(f"{path}: line {number} is no JSON object; expected one for each picture")
        entries.append({column_name(key): _as_text(value) for key, value in entry.items()})
    columns = list(dict.fromkeys(key for entry in entries for key in entry))
    return Table(columns, [[entry.get(key, "") for key in columns] for entry in entries], 1)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
