"""Sweeps with ``seeds: N``: their trials as configurations, each under N seeds. Pure functions, frame -> frame.

Trial number = configuration * N + replicate. A row of ``grouped`` is like one of ``load_trials``, so that what ranks and lists
trials ranks and lists configurations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from dashboards.analysis import best_value, leaderboard, ranked, selected_metric
from dashboards.pareto import several_metrics
from dashboards.standing import Ending, reason_of, standing

CONFIGURATION = "configuration"
"""The column of ``load_trials`` that says which one a trial belongs to."""
SEEDS = "seeds"
"""The column that says how many of its trials are complete, as ``2/3``."""
_SECTIONS = ("best/", "test/", "val/", "train/")
WITHIN = "test/iw_nll_se"
"""An error within one trial: between seeds there is another."""


def seeds_of(sweep: pd.Series[Any]) -> int:
    """Under how many seeds each configuration is trained; 1 where each trial is a configuration of its own."""
    seeds = sweep.get(SEEDS, 1)
    return 1 if pd.isna(seeds) else int(seeds)


def spread(metric: str) -> str:
    """The column with a metric's standard deviation between the seeds of a configuration."""
    return f"{metric} sd"


def grouped(trials: pd.DataFrame, sweep: pd.Series[Any]) -> pd.DataFrame:
    """A row a configuration, under the number of its first trial; trials where the sweep has one seed.

    Metrics are means over its complete trials, ``spread`` their standard deviation (n - 1; NaN of fewer than two).
    ``duration_s`` is that of all its trials together, ``epochs`` the most of one.
    """
    seeds = seeds_of(sweep)
    if seeds == 1:
        return trials
    trials = trials.drop_duplicates("trial", keep="last").sort_values("trial")
    groups = trials.groupby(trials["trial"] // seeds)
    frame = groups.head(1).copy()
    frame.index = pd.Index(frame["trial"] // seeds)
    frame["trial"] = frame.index * seeds
    endings = {number: list(zip(runs["state"], runs["reason"], strict=True)) for number, runs in groups}
    states = {number: _standing(own, seeds, sweep) for number, own in endings.items()}
    frame["state"] = pd.Series(states, dtype="str")
    frame["reason"] = pd.Series({number: reason_of(own, states[number]) for number, own in endings.items()}, dtype="str")
    frame["duration_s"] = groups["duration_s"].sum(min_count=1)
    frame["epochs"] = groups["epochs"].max()
    complete = trials[trials["state"] == "COMPLETE"]
    scores = complete.groupby(complete["trial"] // seeds)
    metrics = [name for name in map(str, trials) if name.startswith(_SECTIONS) and name != WITHIN]
    frame[metrics] = scores[metrics].mean().reindex(frame.index)
    deviations = scores[metrics].std().reindex(frame.index).rename(columns=spread)
    counts = scores.size().reindex(frame.index, fill_value=0)
    frame = frame.drop(columns=[name for name in (WITHIN, "seed", CONFIGURATION) if name in frame])
    return pd.concat([frame, deviations, (counts.astype(str) + f"/{seeds}").rename(SEEDS)], axis=1).reset_index(drop=True)


def _standing(endings: Sequence[Ending], seeds: int, sweep: pd.Series[Any]) -> str:
    stands = standing(endings, seeds)
    unfinished = stands == "RUNNING" and sweep["state"] != "RUNNING" and "RUNNING" not in dict(endings)
    return "STOPPED" if unfinished else stands


def board(trials: pd.DataFrame, sweep: pd.Series[Any], sort: str | None = None) -> pd.DataFrame:
    """``leaderboard``; of a sweep with seeds, of its configurations, with ``trials`` (``3-5``), ``seeds`` and spreads."""
    seeds = seeds_of(sweep)
    if seeds == 1:
        return leaderboard(trials, sweep, sort)
    rows = grouped(trials, sweep)
    table = leaderboard(rows, sweep, sort)
    own = rows.set_index("trial").loc[table["trial"]].reset_index()
    table.insert(list(table.columns).index("state") + 1, SEEDS, own[SEEDS])
    for name in [*_searched_on(sweep), *(name for name in map(str, table) if name == sort or name.startswith("test/"))]:
        if name in table and spread(name) in own:
            table[spread(name)] = own[spread(name)]
    table["trial"] = [f"{first}-{first + seeds - 1}" for first in table["trial"]]
    return table.rename(columns={"trial": "trials"})


def _searched_on(sweep: pd.Series[Any]) -> list[str]:
    return [selected_metric(name) for name, _ in several_metrics(sweep)] or [selected_metric(sweep["metric"])]


def ranked_trials(trials: pd.DataFrame, sweep: pd.Series[Any], sort: str | None = None) -> pd.DataFrame:
    """The trials in the order of ``ranked``; of a sweep with seeds, in that of their configurations."""
    seeds = seeds_of(sweep)
    table = ranked(grouped(trials, sweep), sweep, sort)
    if seeds == 1:
        return table.drop(columns="rank")
    place = {first: place for place, first in enumerate(table["trial"])}
    order = (trials["trial"] // seeds * seeds).map(place)
    return trials.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def best_mean(numbers: Sequence[int], scores: pd.Series[Any], seeds: int, goal: str) -> float:
    """The best mean of a configuration all of whose trials are among these; NaN where there is none."""
    groups = pd.DataFrame({"value": scores.to_numpy(), "of": [number // seeds for number in numbers]}).groupby("of")["value"]
    means = groups.mean()[groups.count() == seeds]
    return best_value(means, goal) if len(means) else math.nan
