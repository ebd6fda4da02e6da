"""What one parameter does to a metric: each level's mean with its interval; what two do together."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.analyses.intervals import mean_interval
from dashboards.analyses.scores import compared, metric_of

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
    from dashboards.analysis import best_value, goal_of

    column = metric_of(sweep, metric)
    among = compared(trials, column)
    if parameter not in among or among.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})
    among = among[among[parameter].notna()]
    rows = []
    for level, own in among.groupby(_levels(among[parameter]), sort=True, observed=True):
        mean, low, high = mean_interval(list(own[column]))
        middle = float(own[parameter].median()) if _is_number(own[parameter]) else float("nan")
        rows.append((_words(level), len(own), mean, low, high, best_value(own[column], goal_of(column, sweep)), middle))
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def slices(trials: pd.DataFrame, sweep: pd.Series[Any], parameter: str, metric: str | None = None) -> pd.DataFrame:
    """Every comparable trial that has the parameter: ``trial, value, score``, by value."""
    column = metric_of(sweep, metric)
    among = compared(trials, column)
    if parameter not in among:
        return pd.DataFrame({"trial": [], "value": [], "score": []})
    own = among.loc[among[parameter].notna(), ["trial", parameter, column]]
    return own.set_axis(["trial", "value", "score"], axis=1).sort_values(["value", "trial"], ignore_index=True)


def together(trials: pd.DataFrame, sweep: pd.Series[Any], one: str, other: str, metric: str | None = None) -> pd.DataFrame:
    """Two parameters' levels against each other: ``one, other, trials, mean, best``, where there is a trial."""
    from dashboards.analysis import best_value, goal_of

    column = metric_of(sweep, metric)
    among = compared(trials, column)
    among = among[among[one].notna() & among[other].notna()]
    rows = []
    for (first, second), own in among.groupby([_levels(among[one]), _levels(among[other])], sort=True, observed=True):
        rows.append(
            (_words(first), _words(second), len(own), float(own[column].mean()), best_value(own[column], goal_of(column, sweep)))
        )
    return pd.DataFrame(rows, columns=["one", "other", "trials", "mean", "best"])


def _is_number(values: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _levels(values: pd.Series[Any]) -> pd.Series[Any]:
    """The values themselves where they are few or no numbers; else the bin of each."""
    if not _is_number(values) or values.nunique() <= 2 * BINS:
        return values
    return pd.qcut(values.astype("float64"), BINS, duplicates="drop")


def _words(level: Any) -> str:
    if isinstance(level, pd.Interval):
        return f"{level.left:.3g} to {level.right:.3g}"
    return f"{level:.3g}" if isinstance(level, float) else str(level)
