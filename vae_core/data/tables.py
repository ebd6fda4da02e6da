"""A column of text out of a table: CSV, JSON lines, Parquet. Empty and null cells are left out, as blank lines are."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable

from vae_core.data.errors import DataError
from vae_core.data.files import existing_file, read_text

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def csv_column(field: str, name: str, column: str, separator: str, encoding: str) -> list[str]:
    """The cells of a column; the first line that is not blank names the columns, quoted cells may hold line breaks.

    Args:
        field: where the user named the file, such as ``data.train``.

    Raises:
        DataError: the file cannot be read, has no such column, or a row that its header does not fit; with its line.
    """
    reader = csv.reader(io.StringIO(read_text(field, name, encoding), newline=""), delimiter=separator, strict=True)
    header: list[str] | None = None
    cells: list[str] = []
    first_line = 1
    try:
        for row in reader:
            if header is None and row:
                header = row
                place = _place_of(field, name, column, header, f"; data.separator is {separator!r}" if len(header) == 1 else "")
            elif row and header is not None:
                if len(row) != len(header):
                    raise DataError(
                        f"{field}: {name}, line {first_line}: {len(row)} cells, but the header names {len(header)} columns:"
                        f" put quotes around a cell that holds {separator!r}, or say data.separator"
                    )
                cells.append(row[place])
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{field}: {name}, the row from line {first_line} on: {error}; is a quote left open there?") from error
    return _with_content(field, name, column, cells)


def json_lines_column(field: str, name: str, column: str, encoding: str) -> list[str]:
    """The value of a key of every line's object; blank lines are passed over.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object with text or null under this key; with its line.
    """
    cells: list[str] = []
    for number, line in enumerate(read_text(field, name, encoding).split("\n"), start=1):
        if not line or line.isspace():
            continue
        place = f"{field}: {name}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: this is no JSON: {error}; each line must be one object") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: this is a JSON {_kind(row)}, not an object such as {{{json.dumps(column)}: ...}}")
        if column not in row:
            raise DataError(f"{place}: the object has no key {column!r}; {_there_is(column, row)}: data.column names the key")
        cell = row[column]
        if not isinstance(cell, str | None):
            raise DataError(f"{place}: {column!r} is a JSON {_kind(cell)}, not text: name another key with data.column")
        if cell and _SURROGATE.search(cell):
            raise DataError(f"{place}: {column!r} holds half of a surrogate pair, which is no character")
        cells.append(cell or "")
    return _with_content(field, name, column, cells)


def parquet_column(field: str, name: str, column: str) -> list[str]:
    """The cells of a column of strings.

    Raises:
        DataError: the file is missing or no Parquet file, or has no such column, or it holds no text.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = existing_file(field, name)
    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            place = _place_of(field, name, column, schema.names, "")
            type_ = schema.field(place).type
            held = type_.value_type if pa.types.is_dictionary(type_) else type_
            if not (pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held)):
                raise DataError(f"{field}: {name}: column {column!r} holds {type_}, not text: name another with data.column")
            batches = file.iter_batches(columns=[column])
            cells = [cell or "" for batch in batches for cell in batch.column(0).to_pylist()]
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{field}: {name} cannot be read as Parquet: {error}") from error
    return _with_content(field, name, column, cells)


def _place_of(field: str, name: str, column: str, columns: list[str], hint: str) -> int:
    if column not in columns:
        raise DataError(f"{field}: {name} has no column {column!r}; {_there_is(column, columns)}: say data.column{hint}")
    if columns.count(column) > 1:
        raise DataError(f"{field}: {name} has {columns.count(column)} columns named {column!r}: rename all but one")
    return columns.index(column)


def _there_is(column: str, columns: Iterable[str]) -> str:
    """What there is instead, and the nearest of it."""
    known = list(columns)
    near = difflib.get_close_matches(column, known, n=1, cutoff=0.5)
    named = ", ".join(map(repr, known[:20])) + (", ..." if len(known) > 20 else "")
    return f"it has {named or 'none'}" + (f"; did you mean {near[0]!r}?" if near else "")


def _with_content(field: str, name: str, column: str, cells: list[str]) -> list[str]:
    kept = [cell for cell in cells if cell and not cell.isspace()]
    if not kept:
        raise DataError(f"{field}: {name}: column {column!r} has no text in any of {len(cells)} rows: name another")
    return kept


def _kind(value: object) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names.get(type(value), "null")
