"""Two sweeps or more beside each other: what each found, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dashboards.analyses.scores import compared, metric_of
from dashboards.analysis import best_value, goal_of


def compare(sweeps: Mapping[str, tuple[pd.DataFrame, pd.Series[Any]]]) -> pd.DataFrame:
    """A row a sweep: ``sweep, method, metric, trials, complete, best, trial`` (that has it), ``median``, ``hours`` (in trials),
    ``same_data`` (its trials' data are the first sweep's, else their scores are no comparison)."""
    rows, first = [], None
    for name, (trials, sweep) in sweeps.items():
        column = metric_of(sweep, None)
        among = compared(trials, column)
        data = set(trials["data.fingerprint"].dropna()) if "data.fingerprint" in trials else set()
        first = data if first is None else first
        best = best_value(among[column], goal_of(column, sweep)) if len(among) else float("nan")
        rows.append(
            {
                "sweep": name,
                "method": sweep["method"],
                "metric": column,
                "trials": len(trials),
                "complete": int((trials["state"] == "COMPLETE").sum()),
                "best": best,
                "trial": int(among.loc[among[column] == best, "trial"].min()) if len(among) else None,
                "median": float(among[column].median()) if len(among) else float("nan"),
                "hours": float(trials["duration_s"].sum()) / 3600,
                "same_data": bool(data) and data == first,
            }
        )
    return pd.DataFrame(rows)
