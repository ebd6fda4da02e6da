"""Learning curves: a configuration's mean over its seeds with its interval, and where its annealing had ended."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.analyses.intervals import mean_intervals
from dashboards.analyses.scores import configurations
from dashboards.schedules import DONOR

_COLUMNS = {
    "configuration": "int64",
    "epoch": "int64",
    "mean": "float64",
    "low": "float64",
    "high": "float64",
    "seeds": "int64",
    "complete": "bool",
}
_WEIGHT = "train/beta"


def learning_curves(curves: pd.DataFrame, trials: pd.DataFrame, sweep: pd.Series[Any], metric: str | None = None) -> pd.DataFrame:
    """One metric by epoch, the sweep's own by default.

    Columns: ``configuration`` (its first trial), ``epoch, mean, low, high`` (95 % by Student's t; NaN with one seed), ``seeds``
    (that have come so far), ``complete`` (a trial of it came to its end; of the others fewer epochs are there to see).
    """
    metric = metric or str(sweep["metric"])
    trials = trials.assign(configuration=configurations(trials, sweep))
    # the same seed twice is the same training twice: of these a complete one, where there is one
    trials = trials.sort_values("state", key=lambda states: states != "COMPLETE", kind="stable")
    trials = trials.drop_duplicates(["configuration", "seed"])
    group = dict(zip(trials["trial"], trials["configuration"], strict=True))
    complete = {group[trial] for trial in trials.loc[trials["state"] == "COMPLETE", "trial"]}
    points = curves[(curves["metric"] == metric) & curves["trial"].isin(list(group))]
    values = points.groupby([points["trial"].map(group).rename("configuration"), "epoch"])["value"]
    table = values.agg(["mean", "std", "count"]).rename(columns={"count": "seeds"}).reset_index()
    table["low"], table["high"] = mean_intervals(table["mean"], table["std"], table["seeds"])
    table["complete"] = table["configuration"].isin(list(complete))
    return table[list(_COLUMNS)].astype(_COLUMNS)


def annealing_ends(curves: pd.DataFrame) -> pd.Series[Any]:
    """By trial, the first epoch from which the KL has its full weight; 1 where it always had, missing where it never reached it
    for good while the trial ran. A member of a population tells it before it first goes on with other parameters."""
    changed = curves[curves["metric"] == DONOR].groupby("trial")["epoch"].min()
    weights = curves[curves["metric"] == _WEIGHT].sort_values("epoch")
    weights = weights[~(weights["epoch"] > weights["trial"].map(changed))]
    ends = {}
    for trial, own in weights.groupby("trial"):
        below = own.loc[own["value"] < own["value"].max() * (1 - 1e-9), "epoch"]
        ends[trial] = 1 if below.empty else int(below.max()) + 1
    found = pd.Series(ends, dtype="Int64", name="epoch").rename_axis("trial")
    last = weights.groupby("trial")["epoch"].max()
    return found.where(found <= last)
