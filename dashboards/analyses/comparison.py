"""Two sweeps or more beside each other: what each found, and what it took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dashboards.analyses.rate_distortion import hypervolume, plane
from dashboards.analyses.scores import compared, metric_of
from dashboards.analysis import best_value, goal_of

Sweeps = Mapping[str, tuple[pd.DataFrame, "pd.Series[Any]"]]
_CURVE = {"sweep": "str", "trial": "int64", "hours": "float64", "score": "float64", "best": "float64"}


def compare(sweeps: Sweeps) -> pd.DataFrame:
    """A row a sweep, in the order given; of one with seeds its trials are the configurations of ``grouped``.

    Columns: ``sweep, method, metric, trials, complete, best, trial`` (that has it), ``median``, ``hours`` (in trials),
    ``at_equal_hours`` (the best within the hours of the shortest: what one that took longer had by then), ``hypervolume`` (square
    nats between the rate-distortion frontier and the worst point of all the sweeps with the first one's data; NaN without the
    plane, or with other data), ``same_data`` (its trials' data are the first sweep's, else their scores are no comparison).
    """
    same = alike(sweeps)
    planes = {name: plane(trials) for name, (trials, _) in sweeps.items()}
    points = pd.concat([planes[name] for name in same])
    rate, distortion = (points["rate"].max(), points["distortion"].max()) if len(points) else (math.nan, math.nan)
    curves = best_by_hours(sweeps)
    shortest = min((float(trials["duration_s"].sum()) / 3600 for trials, _ in sweeps.values()), default=0.0)
    rows = []
    for name, (trials, sweep) in sweeps.items():
        column = metric_of(sweep, None)
        among = compared(trials, column)
        best = best_value(among[column], goal_of(column, sweep)) if len(among) else math.nan
        within = curves[(curves["sweep"] == name) & (curves["hours"] <= shortest * (1 + 1e-9))]
        rows.append(
            {
                "sweep": name,
                "method": sweep["method"],
                "metric": column,
                "trials": len(trials),
                "complete": int((trials["state"] == "COMPLETE").sum()),
                "best": best,
                "trial": int(among.loc[among[column] == best, "trial"].min()) if len(among) else None,
                "median": float(among[column].median()) if len(among) else math.nan,
                "hours": float(trials["duration_s"].sum()) / 3600,
                "at_equal_hours": float(within["best"].iloc[-1]) if len(within) else math.nan,
                "hypervolume": hypervolume(planes[name], rate, distortion) if len(planes[name]) and name in same else math.nan,
                "same_data": bool(_data(trials)) and name in same,
            }
        )
    return pd.DataFrame(rows).astype({"trial": "Int64"})


def alike(sweeps: Sweeps) -> list[str]:
    """Those whose trials had the same data as the first one's, so that their scores can be compared."""
    data = {name: _data(trials) for name, (trials, _) in sweeps.items()}
    first = next(iter(data.values()), set())
    return [name for name, own in data.items() if own == first]


def _data(trials: pd.DataFrame) -> set[str]:
    return set(trials["data.fingerprint"].dropna()) if "data.fingerprint" in trials else set()


def best_by_hours(sweeps: Sweeps) -> pd.DataFrame:
    """Each comparable trial in the order of the sweep: ``sweep, trial, hours`` (in trials, up to its end, with those that were
    given up), ``score, best`` (so far)."""
    parts = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _CURVE.items()})]
    for name, (trials, sweep) in sweeps.items():
        column = metric_of(sweep, None)
        ordered = trials.sort_values("trial")
        spent = ordered["duration_s"].fillna(0.0).cumsum() / 3600
        among = compared(ordered, column)
        if len(among):
            scores = among[column]
            best = scores.cummin() if goal_of(column, sweep) == "minimize" else scores.cummax()
            values = {"sweep": name, "trial": among["trial"], "hours": spent.loc[among.index], "score": scores, "best": best}
            parts.append(pd.DataFrame(values))
    return pd.concat(parts, ignore_index=True).astype(_CURVE)
