"""From MLflow's runs to columns of a frame: one type each, whatever was logged as text."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dashboards.runs import Run
from dashboards.schedules import last_parameters
from dashboards.variants import TAG

_SECTIONS = ("best", "test", "val", "train")


def metric_names(runs: Iterable[Run]) -> list[str]:
    """Every metric of the runs: what is final first, then by name."""
    order = {section: place for place, section in enumerate(_SECTIONS)}
    names = {name for run in runs for name in run.data.metrics}
    return sorted(names, key=lambda name: (order.get(name.partition("/")[0], len(order)), name))


def metric_column(runs: Sequence[Run], name: str) -> pd.Series[Any]:
    """The last value of one metric of every run; NaN where it was never logged."""
    return pd.Series([unclipped(run.data.metrics.get(name, math.nan)) for run in runs], dtype="float64")


def unclipped(value: float) -> float:
    """Infinity, which the databases cannot hold: MLflow stores the largest finite number in its stead."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value


def unclipped_values(values: pd.Series[float]) -> pd.Series[float]:
    """``unclipped`` of each."""
    clipped = values.abs() >= sys.float_info.max
    return values.where(~clipped, values * 2)  # twice the largest number is infinity, with its sign


def parameter_column(runs: Sequence[Run], name: str) -> pd.Series[Any]:
    """One parameter of every run, as it ended with it, in the one type that holds all its values."""
    logged = [last_parameters(run.data.tags, run.data.params) for run in runs]
    values = [_parse(params[name]) if name in params else None for params in logged]
    kinds = {type(value) for value in values if value is not None}
    full = None not in values
    if kinds == {bool}:
        return pd.Series(values, dtype="bool" if full else "boolean")
    if kinds == {int}:
        return pd.Series(values, dtype="int64" if full else "Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    texts = [params.get(name) if value is not None else None for params, value in zip(logged, values, strict=True)]
    return pd.Series(texts, dtype="str")


def variant_column(runs: Sequence[Run], column: str) -> pd.Series[Any]:
    """Which variant each run had."""
    tag = column if column.startswith(TAG) else f"{TAG}{column}"
    return pd.Series([run.data.tags.get(tag) for run in runs], dtype="str")


def _parse(text: str) -> bool | int | float | str | None:
    """The value that was logged as ``text``: a JSON scalar, or a bare string; a list stays text."""
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return text
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def frame_of(rows: list[dict[str, Any]], types: dict[str, str]) -> pd.DataFrame:
    """The rows as a frame of these columns and types, also where there is no row."""
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in types.items()})
