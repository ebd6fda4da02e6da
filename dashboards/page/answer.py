"""The answer to a sweep's question in two sentences: what scored best, and what it owes to what; each with its uncertainty."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from dashboards.analyses.effects import effect
from dashboards.analyses.importance import importance
from dashboards.analyses.sampling import no_random_sample
from dashboards.analyses.scores import compared, configurations, is_number, metric_of
from dashboards.analyses.seeds import paired, partly_collapsed
from dashboards.analysis import goal_of, ranked, searched, short_names
from dashboards.confirmation import FEW_SEEDS
from dashboards.pareto import several_metrics
from dashboards.replicates import grouped, seeds_of
from dashboards.replicates_words import basis_of, sentences
from dashboards.standing import words_of
from dashboards.summary import configuration, order_on_test
from dashboards.words import begin, count_of, number, trials_listed

_SPEAKS = 20
"""Trials, of which less have a best tenth of one: a figure shows it, no sentence says it."""


def answered(trials: pd.DataFrame, sweep: pd.Series[Any]) -> tuple[str, list[str], list[str]]:
    """How far the sweep is, the answer, and the leaderboard's sentences, which are the answer where there is no shorter one."""
    progress, *found = sentences(trials, sweep)
    rests_on = basis_of(trials, sweep)
    details = [sentence for sentence in found if sentence not in rests_on]
    short = answer(trials, sweep)
    return (progress, short, details) if short else (progress, details, [])


def answer(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """Two sentences, fewer where there is less to say, and one more where choices led to collapse alone; empty where nothing is
    ranked, or the metrics are several.

    A score's uncertainty is the interval over seeds where there are some; with one seed each it is said that there is none.
    """
    if several_metrics(sweep):
        return []
    rows = ranked(grouped(trials, sweep), sweep)
    rows = rows[rows["rank"].notna()]
    if rows.empty:
        return []
    told = [_best(trials, rows, sweep), _why(grouped(trials, sweep), sweep), _collapse(trials, sweep)]
    return [sentence for sentence in told if sentence]


def _best(trials: pd.DataFrame, rows: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """Who scored best, and how sure that is."""
    column, seeds = metric_of(sweep, None), seeds_of(sweep)
    pairs = paired(trials, sweep)
    if len(pairs) and pairs["place"].iloc[0] == 1:
        return _best_of_seeds(trials, pairs, sweep)
    first = rows.iloc[0]
    what = configuration(first, [name for name in searched(sweep) if name != "seed"])
    who = begin(words_of(int(first["trial"]), seeds))
    named = f"{who} ({what})" if seeds == 1 else f"{who.removesuffix(')')}; {what})"
    scored = f"{named} scored best: {column} {number(first[column])}"
    if len(rows) == 1:
        return f"{scored}, the only one ranked."
    alike = configurations(rows, sweep)
    others = rows[alike != alike.iloc[0]]
    if others.empty:
        return f"{scored} among {len(rows)} ranked, {_one_configuration(rows.drop_duplicates('seed')[column])}."
    second = others.iloc[0]
    lead = abs(float(first[column]) - float(second[column]))
    whom = words_of(int(second["trial"]), seeds)
    scored += f" among {len(rows)} ranked" + (f", equal to {whom}" if lead == 0 else "")
    replicated = rows.assign(alike=alike).drop_duplicates(["alike", "seed"])["alike"].duplicated().any()
    rest = "no two configurations share two seeds" if replicated else "one seed each"
    gap = "their equality" if lead == 0 else f"its lead of {number(lead)} over {whom}"
    test = order_on_test(first, second, sweep)
    agrees = "" if test is None else f"; the test set {test[1]} ({test[2]})"
    return f"{scored}, with {rest}, so that {gap} has no interval{agrees}."


def _one_configuration(scores: pd.Series[Any]) -> str:
    """Where trials differ in nothing but their seed."""
    if len(scores) < 2:
        return "which differ in nothing, nor in their seed"
    spread = f"{number(scores.mean())} ± {scores.std():.2g} (mean ± standard deviation of {len(scores)})"
    return f"which differ only in their seed: {spread}"


def _best_of_seeds(trials: pd.DataFrame, pairs: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """Of the configurations that were compared seed by seed, which is not always that of the best trial."""
    first, seeds = pairs.iloc[0], seeds_of(sweep)
    own = trials.loc[configurations(trials, sweep) == first["configuration"], "trial"]
    who = words_of(int(first["configuration"]), seeds).removesuffix(")") if seeds > 1 else f"configuration ({trials_listed(own)}"
    score = f"{number(first['mean'])} ± {first['sd']:.2g} (mean ± standard deviation of {int(pairs['pairs'].max())} seeds)"
    out = partly_collapsed(trials, sweep)
    left = f"; {count_of(out, 'configuration')} that collapsed under some seeds had no part" if out else ""
    return f"{begin(who)}; {first['words']}) scored best: {metric_of(sweep, None)} {score}; {_apart(pairs)}{left}."


def _apart(compared: pd.DataFrame) -> str:
    """How many of the others can be told apart from the best."""
    others = compared[compared["place"] != 1]
    alike = others[~others["apart"]]
    pairs = int(compared["pairs"].max())
    if alike.empty:
        return f"all {len(others)} it was compared with are worse (paired t test over {pairs} seeds, Holm)"
    near = alike.iloc[0]
    gap = f"{near['difference']:+.2g}"
    if pairs >= FEW_SEEDS and not math.isnan(near["low"]):  # of fewer seeds no interval keeps what it promises
        gap += f" [{near['low']:.2g}, {near['high']:.2g}]"
    which = "the one" if len(others) == 1 else f"{len(alike)} of the {len(others)}"
    return (
        f"{which} it was compared with cannot be told apart from it, {'by' if len(others) == 1 else 'the nearest by'} {gap}"
        f" (paired t test over {pairs} seeds, Holm)"
    )


def _collapse(trials: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """The choices under which every trial's posterior collapsed, so that none of them is ranked."""
    ended = trials[trials["state"].isin(("COMPLETE", "COLLAPSED"))]
    short, told = short_names(searched(sweep)), []
    for name in searched(sweep):
        if name not in ended or is_number(ended[name]):
            continue
        levels = (ended["state"] == "COLLAPSED").groupby(ended[name]).agg(["size", "all"])
        lost = levels[levels["all"] & (levels["size"] > 1)]
        if 0 < len(lost) < len(levels):
            told.append(f"all {lost['size'].sum()} trials with {short[name]} {' or '.join(map(str, lost.index))} collapsed")
            ended = ended[~ended[name].isin(lost.index)]  # what else they have in common says no more
    return f"{begin('; '.join(told))}." if told else ""


def _why(rows: pd.DataFrame, sweep: pd.Series[Any]) -> str:
    """The parameter that mattered most, and how its levels differ."""
    mattered = importance(rows, sweep)
    if len(compared(rows, metric_of(sweep, None))) < _SPEAKS or mattered.empty or not mattered["importance"].iloc[0] > 0:
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
    why = no_random_sample(rows, sweep)
    fair = f"; no random sample ({why}), so a description" if why else ""
    noun = "trial" if seeds_of(sweep) == 1 else "configuration"
    return (
        f"{head}: over whatever else was searched {column} is {told[0]} and {told[1]}{doubt}"
        f" (means of {count_of(int(ends[0]['trials']), noun)} and {int(ends[1]['trials'])}, 95 %{fair})."
    )
