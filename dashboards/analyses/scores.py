"""What every analysis begins with: the trials that can be compared, and what they are compared by."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.analysis import alike_in, goal_of, searched, selected_metric
from dashboards.pareto import can_win
from dashboards.replicates import seeds_of

INACTIVE = "not active"
"""In place of a conditional parameter that a trial does not have."""
_WIDE = 50.0


def metric_of(sweep: pd.Series[Any], metric: str | None) -> str:
    """The column asked for, else the one that the sweep's finished trials are judged by."""
    return selected_metric(metric or str(sweep["metric"]))


def compared(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """The complete and feasible trials that have a value; one with fewer epochs is no fair comparison."""
    if column not in trials:
        return trials.iloc[:0]
    return trials[can_win(trials) & trials[column].notna()]


def lower_is_better(values: pd.Series[Any], column: str, sweep: pd.Series[Any]) -> pd.Series[Any]:
    """The values, with their sign changed where more is better."""
    return values if goal_of(column, sweep) == "minimize" else -values


def active(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """The searched parameters that took two values or more."""
    return [name for name in searched(sweep) if name in trials and trials[name].nunique() > 1]


def configurations(trials: pd.DataFrame, sweep: pd.Series[Any]) -> pd.Series[Any]:
    """For each trial the first one that differs from it in nothing that was searched but the seed; with ``seeds`` its own."""
    if (seeds := seeds_of(sweep)) > 1:
        return trials["trial"] // seeds * seeds
    alike = alike_in(trials, [name for name in searched(sweep) if name in trials])
    return trials.groupby(alike)["trial"].transform("min").astype("int64")


def is_number(values: pd.Series[Any]) -> bool:
    """Whether a parameter's values are numbers; true and false are none."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def is_wide(values: pd.Series[Any]) -> bool:
    """Whether a parameter's numbers are positive and spread so far that it was searched on a logarithmic scale."""
    return len(values) > 0 and bool(values.min() > 0) and bool(values.max() / values.min() > _WIDE)
