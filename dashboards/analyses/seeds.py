"""Configurations of several seeds, seed by seed: how far each is from the best, and which cannot be told apart from it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboards.analyses.scores import compared, configurations, metric_of
from dashboards.analysis import goal_of, searched
from dashboards.confirmation import comparisons
from dashboards.replicates import seeds_of
from dashboards.summary import configuration

MOST = 10
"""Configurations that are compared, those of the best means: each pair is a test."""
_COLUMNS = ["configuration", "words", "place", "mean", "sd", "pairs", "difference", "low", "high", "p", "p_holm", "apart"]


def paired(trials: pd.DataFrame, sweep: pd.Series[Any], metric: str | None = None) -> pd.DataFrame:
    """``dashboards.confirmation.comparisons`` of a search with several seeds a configuration, best first; else no row.

    Columns: ``configuration`` (its first trial), ``words``, ``place``, ``mean, sd`` (over its seeds, n - 1), ``pairs``,
    ``difference`` (mean over the seeds that both have, own minus the best's), ``low, high`` (its 95 % interval, by the
    bootstrap), ``p, p_holm`` (paired t test; Holm 1979 over all pairs), ``apart``. The ``MOST`` configurations of the best means
    that have every seed, each with a score that can win; these seeds also chose them, so that the best is flattered: a
    confirmation under fresh ones is not.
    """
    column = metric_of(sweep, metric)
    if column not in trials:
        return pd.DataFrame(columns=_COLUMNS)
    goal = goal_of(column, sweep)
    complete = compared(trials.assign(configuration=configurations(trials, sweep)), column)
    complete = complete.drop_duplicates(["configuration", "seed"])
    groups = complete.groupby("configuration")
    least = max(2, seeds_of(sweep))
    whole = groups.size()[lambda sizes: (sizes == sizes.max()) & (sizes >= least)].index
    means = groups[column].mean().loc[whole].sort_values(ascending=goal == "minimize", kind="stable").head(MOST)
    if len(means) < 2:
        return pd.DataFrame(columns=_COLUMNS)
    cells = complete[complete["configuration"].isin(means.index)]
    shared = cells.groupby("seed")["configuration"].nunique()
    cells = cells[cells["seed"].isin(shared.index[shared == len(means)])]
    if cells["seed"].nunique() < 2:  # no two seeds under which all of them were trained
        return pd.DataFrame(columns=_COLUMNS)
    order = {number: place for place, number in enumerate(means.index)}
    table = comparisons(cells.sort_values("configuration", key=lambda numbers: numbers.map(order)), column, goal)
    names = [name for name in searched(sweep) if name != "seed" and name in cells]
    first = cells.drop_duplicates("configuration").set_index("configuration")
    table["words"] = [configuration(first.loc[number], names) for number in table["configuration"]]
    table["sd"] = table["configuration"].map(cells.groupby("configuration")[column].std())
    return table[_COLUMNS]


def partly_collapsed(trials: pd.DataFrame, sweep: pd.Series[Any]) -> int:
    """How many configurations collapsed under some of their seeds alone, so that they have no part in ``paired``."""
    states = trials["state"].groupby(configurations(trials, sweep)).agg(set)
    return int(states.map({"COMPLETE", "COLLAPSED"}.issubset).sum())
