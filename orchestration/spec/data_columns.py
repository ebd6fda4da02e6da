"""Whether a data file has the columns or arrays that a trial will ask it for, by its header alone."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from orchestration.spec.faults import listed, nearest_name
from vae_core.data.base_config import DataConfig
from vae_core.data.config import Npz
from vae_core.data.text_config import Csv, JsonLines, Parquet, TextTable

HEAD_BYTES = 65536
"""Of a text, within which its first line is looked for."""


def missing_columns(config: DataConfig, file: FilePath, head: bytes) -> str | None:
    """What the file lacks, or why its header cannot be read; None where nothing does, or where that is not so quickly known.

    Args:
        head: the first ``HEAD_BYTES`` of the file.
    """
    return next((look(config, file, head) for kind, look in _LOOKS.items() if isinstance(config, kind)), None)


def _csv(config: Any, file: FilePath, head: bytes) -> str | None:
    text = head.decode(config.encoding, errors="ignore").removeprefix("\ufeff")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=config.separator)
    try:
        header = next((row for row in rows if row), None)
    except csv.Error:
        return None  # the whole file's reader says where
    if header is None or (len(head) == HEAD_BYTES and rows.line_num >= text.count("\n")):
        return None
    hint = f"; data.separator is {config.separator!r}" if len(header) == 1 else ""
    return _lacks("column", _columns(config), header, hint)


def _json_lines(config: Any, file: FilePath, head: bytes) -> str | None:
    lines = head.decode(config.encoding, errors="ignore").removeprefix("\ufeff").split("\n")
    whole = lines if len(head) < HEAD_BYTES else lines[:-1]
    first = next((line for line in whole if line.strip()), None)
    if first is None:
        return None
    try:
        row = json.loads(first)
    except (ValueError, RecursionError) as error:
        return f"its first line is no JSON: {error}; each line must be one object"
    if not isinstance(row, dict):
        return "its first line is no JSON object; each line must be one"
    return _lacks("key", _columns(config), row)


def _parquet(config: Any, file: FilePath, head: bytes) -> str | None:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        names = parquet.read_schema(file).names
    except (OSError, pa.ArrowException) as error:
        return f"the file cannot be read as Parquet: {error}"
    return _lacks("column", _columns(config), names)


def _npz(config: Any, file: FilePath, head: bytes) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return "this is no .npz file: it cannot be opened as an archive of arrays"
    splits = ("train", "valid", "test")
    wanted = {f"data.{split}": getattr(config, split) for split in splits}
    if config.labels is not None:
        wanted |= {f"data.labels.{split}": getattr(config.labels, split) for split in splits}
    return _lacks("array", wanted, names)


def _columns(config: TextTable) -> dict[str, str | None]:
    return {"data.column": config.column, "data.label_column": config.label_column}


def _lacks(what: str, wanted: Mapping[str, str | None], there: Iterable[str], hint: str = "") -> str | None:
    """A sentence on the first of the wanted names that is not there; ``wanted`` by the option that says it."""
    known = list(there)
    for option, name in wanted.items():
        if name is not None and name not in known:
            near = None if hint else nearest_name(name, known)
            meant = f"; did you mean {near!r}?" if near else ""
            has = listed(map(repr, known)) or "none"
            return f"the file has no {what} {name!r}, as {option} says; it has {has}{meant}{hint}"
    return None


_LOOKS: Mapping[type[DataConfig], Callable[[Any, FilePath, bytes], str | None]] = {
    Csv: _csv,
    JsonLines: _json_lines,
    Parquet: _parquet,
    Npz: _npz,
}
