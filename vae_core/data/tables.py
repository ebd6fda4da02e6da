"""A column of text out of a table, and the labels beside it: CSV, JSON lines, Parquet.

Rows whose text is empty or null are left out, as blank lines are.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from vae_core.data.errors import DataError
from vae_core.data.files import existing_file, read_text
from vae_core.data.labels import label_text

if TYPE_CHECKING:
    from vae_core.data.text_config import Csv, JsonLines, Parquet, TextTable

_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Cells(NamedTuple):
    """A column of text, and the labels beside it."""

    texts: list[str]
    """Of the rows whose text is not empty."""
    labels: list[str] | None
    """Of the same rows; None where no column of labels was asked for."""


class Row(NamedTuple):
    """One row of a table, as it was read."""

    place: str
    """For messages."""
    text: str | None
    label: object = None


def read_csv(field: str, name: str, config: Csv) -> Cells:
    """The first line that is not blank names the columns; quoted cells may hold line breaks.

    Args:
        field: where the user named the file, such as ``data.train``.

    Raises:
        DataError: the file cannot be read, has no such column, or a row that its header does not fit; with its line.
    """
    return collect(f"{field}: {name}", config, _csv_rows(field, name, config))


def read_json_lines(field: str, name: str, config: JsonLines) -> Cells:
    """The values of a key of every line's object; blank lines are passed over.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object with text or null under this key; with its line.
    """
    return collect(f"{field}: {name}", config, _json_rows(field, name, config))


def read_parquet(field: str, name: str, config: Parquet) -> Cells:
    """The cells of a column of strings.

    Raises:
        DataError: the file is missing or no Parquet file, or has no such column, or it holds no text.
    """
    return collect(f"{field}: {name}", config, _parquet_rows(field, name, config))


def collect(place: str, config: TextTable, rows: Iterable[Row]) -> Cells:
    """The texts that are not empty, and their labels.

    Raises:
        DataError: no row has text, or one that has is without a label.
    """
    texts: list[str] = []
    labels: list[str] | None = None if config.label_column is None else []
    count = 0
    for row in rows:
        count += 1
        if not row.text or row.text.isspace():
            continue
        texts.append(row.text)
        if labels is not None:
            labels.append(_label(row, config.label_column))
    if not texts:
        raise DataError(f"{place}: column {config.column!r} has no text in any of {count} rows: name another")
    return Cells(texts, labels)


def place_of(place: str, column: str, columns: list[str], option: str, hint: str = "") -> int:
    """Where the column stands among the columns.

    Args:
        option: the field that named it, such as ``data.column``.

    Raises:
        DataError: it is not there, or there more than once.
    """
    if column not in columns:
        raise DataError(f"{place} has no column {column!r}; {_there_is(column, columns)}: say {option}{hint}")
    if columns.count(column) > 1:
        raise DataError(f"{place} has {columns.count(column)} columns named {column!r}: rename all but one")
    return columns.index(column)


def _csv_rows(field: str, name: str, config: Csv) -> Iterator[Row]:
    text = read_text(field, name, config.encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=config.separator, strict=True)
    header: list[str] | None = None
    first_line = 1
    try:
        for row in reader:
            if header is None and row:
                header = row
                hint = f"; data.separator is {config.separator!r}" if len(header) == 1 else ""
                column, label = _both(f"{field}: {name}", header, config, hint)
            elif row and header is not None:
                if len(row) != len(header):
                    raise DataError(
                        f"{field}: {name}, line {first_line}: {len(row)} cells, but the header names {len(header)} columns:"
                        f" put quotes around a cell that holds {config.separator!r}, or say data.separator"
                    )
                yield Row(f"{field}: {name}, line {first_line}", row[column], None if label is None else row[label])
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{field}: {name}, the row from line {first_line} on: {error}; is a quote left open there?") from error


def _json_rows(field: str, name: str, config: JsonLines) -> Iterator[Row]:
    for number, line in enumerate(read_text(field, name, config.encoding).split("\n"), start=1):
        if not line or line.isspace():
            continue
        place = f"{field}: {name}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: this is no JSON: {error}; each line must be one object") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: this is a JSON {_kind(row)}, not an object such as {{{json.dumps(config.column)}: ...}}")
        cell = _value(place, row, config.column, "data.column")
        if not isinstance(cell, str | None):
            raise DataError(f"{place}: {config.column!r} is a JSON {_kind(cell)}, not text: name another key with data.column")
        if cell and _SURROGATE.search(cell):
            raise DataError(f"{place}: {config.column!r} holds half of a surrogate pair, which is no character")
        label = None if config.label_column is None else _value(place, row, config.label_column, "data.label_column")
        yield Row(place, cell, label)


def _parquet_rows(field: str, name: str, config: Parquet) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    path = existing_file(field, name)
    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            column, _ = _both(f"{field}: {name}", schema.names, config)
            type_ = schema.field(column).type
            held = type_.value_type if pa.types.is_dictionary(type_) else type_
            if not (pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held)):
                raise DataError(
                    f"{field}: {name}: column {config.column!r} holds {type_}, not text: name another with data.column"
                )
            wanted = [config.column] if config.label_column is None else [config.column, config.label_column]
            number = 0
            for batch in file.iter_batches(columns=wanted):
                cells = batch.column(config.column).to_pylist()
                labels = [None] * len(cells) if config.label_column is None else batch.column(config.label_column).to_pylist()
                for text, label in zip(cells, labels, strict=True):
                    number += 1
                    yield Row(f"{field}: {name}, row {number}", text, label)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{field}: {name} cannot be read as Parquet: {error}") from error


def _both(place: str, columns: list[str], config: TextTable, hint: str = "") -> tuple[int, int | None]:
    """Where the columns of text and of labels stand."""
    text = place_of(place, config.column, columns, "data.column", hint)
    if config.label_column is None:
        return text, None
    return text, place_of(place, config.label_column, columns, "data.label_column", hint)


def _value(place: str, row: dict[str, Any], key: str, option: str) -> Any:
    if key not in row:
        raise DataError(f"{place}: the object has no key {key!r}; {_there_is(key, row)}: {option} names the key")
    return row[key]


def _label(row: Row, column: str | None) -> str:
    label = label_text(row.label)
    if label is None and row.label is not None:
        raise DataError(f"{row.place}: the label {row.label!r} in {column!r} is neither text nor an integer nor a truth value")
    if label is None or not label.strip():
        raise DataError(f"{row.place}: there is no label in {column!r}: give one, or leave the row out")
    return label.strip()


def _there_is(column: str, columns: Iterable[str]) -> str:
    """What there is instead, and the nearest of it."""
    known = list(columns)
    near = difflib.get_close_matches(column, known, n=1, cutoff=0.5)
    named = ", ".join(map(repr, known[:20])) + (", ..." if len(known) > 20 else "")
    return f"it has {named or 'none'}" + (f"; did you mean {near[0]!r}?" if near else "")


def _kind(value: object) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names.get(type(value), "null")
