"""What one parameter does to a metric: each level's mean with its interval."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.analyses.intervals import mean_interval
from dashboards.analyses.scores import compared, is_number, metric_of
from dashboards.analysis import best_value, goal_of

BINS = 5
"""A parameter with more values than twice so many is cut into so many bins of equal numbers of trials."""
_COLUMNS = {
    "level": "str",
    "trials": "int64",
    "mean": "float64",
    "low": "float64",
    "high": "float64",
    "best": "float64",
    "middle": "float64",
}


def effect(trials: pd.DataFrame, sweep: pd.Series[Any], parameter: str, metric: str | None = None) -> pd.DataFrame:
    """How the metric differs between the levels of one parameter, over whatever else was searched.

    Columns: ``level`` (in words), ``trials`` (complete, with it), ``mean, low, high`` (95 % by Student's t; the trials of a
    search by model are no random sample: read it as a description), ``best`` (lowest or highest, as the goal is), ``middle``
    (of a number the median of the level, to plot at; else NaN). In the order of the levels.
    """
    column = metric_of(sweep, metric)
    among = compared(trials, column)
    if parameter not in among or among.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})
    among = among[among[parameter].notna()]
    rows = []
    for level, own in among.groupby(_levels(among[parameter]), sort=True, observed=True):
        mean, low, high = mean_interval(list(own[column]))
        middle = float(own[parameter].median()) if is_number(own[parameter]) else float("nan")
        rows.append((_words(level), len(own), mean, low, high, best_value(own[column], goal_of(column, sweep)), middle))
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def _levels(values: pd.Series[Any]) -> pd.Series[Any]:
    """The values themselves where they are few or no numbers; else the bin of each."""
    if not is_number(values) or values.nunique() <= 2 * BINS:
        return values
    return pd.qcut(values.astype("float64"), BINS, duplicates="drop")


def _words(level: Any) -> str:
    if isinstance(level, pd.Interval):
        return f"{level.left:.3g} to {level.right:.3g}"
    return f"{level:.3g}" if isinstance(level, float) else str(level)
