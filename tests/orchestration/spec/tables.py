"""Small tables of each kind of file."""

from __future__ import annotations

import json
from pathlib import Path


def write_table(path: Path, kind: str, columns: dict[str, list[str]]) -> None:
    """Writes a table as csv, json_lines or parquet."""
    rows = list(zip(*columns.values(), strict=True))
    if kind == "csv":
        path.write_text("\n".join(",".join(row) for row in [tuple(columns), *rows]) + "\n")
    elif kind == "json_lines":
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table(columns), path)
