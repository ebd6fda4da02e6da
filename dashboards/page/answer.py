"""The answer to a sweep's question in two sentences: what scored best, and what it owes to what; each with its uncertainty."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from dashboards.analyses.effects import effect
from dashboards.analyses.importance import importance
from dashboards.analyses.scores import metric_of
from dashboards.analyses.seeds import paired
from dashboards.analysis import goal_of, ranked, searched, short_names
from dashboards.pareto import several_metrics
from dashboards.replicates import grouped, seeds_of, spread
from dashboards.standing import words_of
from dashboards.summary import configuration
from dashboards.words import begin, count_of, number


def answer(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """Two sentences, fewer where there is less to say; empty where nothing is ranked, or the metrics are several.

    A score's uncertainty is the interval over seeds where there are some; with one seed each it is said that there is none.
    """
    if several_metrics(sweep):
        return []
    rows = ranked(grouped(trials, sweep), sweep)
    rows = rows[rows["rank"].notna()]
    if rows.empty:
        return []
    told = [_best(trials, rows, sweep), _why(grouped(trials, sweep), sweep)]
    return [sentence for sentence in told if sentence]


def _best(trials: pd.DataFrame, rows: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """Who scored best, and how sure that is."""
    column, seeds = metric_of(sweep, None), seeds_of(sweep)
    first = rows.iloc[0]
    what = configuration(first, [name for name in searched(sweep) if name != "seed"])
    who = begin(words_of(int(first["trial"]), seeds))
    named = f"{who} ({what})" if seeds == 1 else f"{who.removesuffix(')')}; {what})"
    scored = f"{named} scored best: {column} {number(first[column])}"
    compared = paired(trials, sweep)
    if len(compared):
        return f"{scored}{_over(rows, column, seeds)}; {_apart(compared)}."
    if len(rows) == 1:
        return f"{scored}, the only one ranked."
    second = rows.iloc[1]
    lead = abs(float(first[column]) - float(second[column]))
    rest = f"one seed each, so that its lead of {number(lead)} over {words_of(int(second['trial']), seeds)} has no interval"
    return f"{scored} among {len(rows)} ranked, with {rest}{_test(first, second, sweep)}."


def _over(rows: pd.DataFrame, column: str, seeds: int) -> str:
    name = spread(column)
    if name in rows and pd.notna(rows[name].iloc[0]):
        return f" ± {rows[name].iloc[0]:.2g} (mean ± standard deviation of {seeds} seeds)"
    return ""


def _apart(compared: pd.DataFrame) -> str:
    """How many of the others can be told apart from the best."""
    others = compared[compared["place"] != 1]
    alike = others[~others["apart"]]
    pairs = int(compared["pairs"].max())
    if alike.empty:
        return f"all {len(others)} it was compared with are worse (paired t test over {pairs} seeds, Holm)"
    near = alike.iloc[0]
    gap = f"{near['difference']:+.2g}"
    if not math.isnan(near["low"]):
        gap += f" [{near['low']:.2g}, {near['high']:.2g}]"
    return (
        f"{len(alike)} of the {len(others)} it was compared with cannot be told apart from it, the nearest by {gap}"
        f" (95 %, {pairs} seeds)"
    )


def _test(first: pd.Series[Any], second: pd.Series[Any], sweep: pd.Series[Any]) -> str:
    """Whether the test set, which chose nothing, has the same order."""
    column = "test/" + str(sweep["metric"]).rpartition("/")[2]
    if pd.isna(first.get(column)) or pd.isna(second.get(column)):
        return ""
    gain = float(second[column]) - float(first[column])
    gain = gain if goal_of(column, sweep) == "minimize" else -gain
    verdict = "agrees" if gain > 0 else "does NOT agree"
    return f"; the test set {verdict} ({number(first[column])} against {number(second[column])})"


def _why(rows: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """The parameter that mattered most, and how its levels differ."""
    mattered = importance(rows, sweep)
    if mattered.empty or not mattered["importance"].iloc[0] > 0:
        return ""
    name, share = str(mattered["parameter"].iloc[0]), float(mattered["importance"].iloc[0])
    column = metric_of(sweep, None)
    levels = effect(rows, sweep, name)
    levels = levels[levels["trials"] > 1]
    called = short_names(searched(sweep)).get(name, name)
    head = f"What decided most was {called} (importance {share:.2f} of 1, PED-ANOVA)"
    if len(levels) < 2:
        return f"{head}."
    ordered = levels.sort_values("mean", ascending=goal_of(column, sweep) == "minimize")
    ends = [ordered.iloc[0], ordered.iloc[-1]]
    told = [f"{number(row['mean'])} [{number(row['low'])}, {number(row['high'])}] at {row['level']}" for row in ends]
    overlap = ends[0]["high"] >= ends[1]["low"] and ends[1]["high"] >= ends[0]["low"]
    doubt = ": the intervals overlap" if overlap else ""
    fair = "" if sweep["method"] in ("random", "grid", "qmc") else "; no random sample, so a description"
    return (
        f"{head}: over whatever else was searched {column} is {told[0]} and {told[1]}{doubt}"
        f" (means of {count_of(int(ends[0]['trials']), 'trial')} and {int(ends[1]['trials'])}, 95 %{fair})."
    )
