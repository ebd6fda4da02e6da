"""What the leaderboard of a sweep with ``seeds`` says: configurations by their means, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dashboards.analysis import STATES, ranked, searched, selected_metric
from dashboards.pareto import several_metrics
from dashboards.replicates import SEEDS, WITHIN, grouped, seeds_of, spread
from dashboards.standing import NO_FURTHER, words_of
from dashboards.summary import basis, configuration, state_counts, summary, troubles
from dashboards.words import begin, number

_LISTED = 6
"""Configurations that are named one by one."""


def sentences(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """``summary``, by configurations where each has several seeds."""
    seeds = seeds_of(sweep)
    if seeds == 1:
        return summary(trials, sweep)
    rows = ranked(grouped(trials, sweep), sweep)
    told = [" ".join([*_counts(trials, rows, seeds), *troubles(trials, sweep)]), *_given_up(rows, seeds)]
    table = rows[rows["rank"].notna()]
    if table.empty:
        return [*told, f"No configuration is complete under its {seeds} seeds: there is nothing to rank."]
    told += _pareto_set(table, sweep, seeds) if several_metrics(sweep) else _winner(trials, table, sweep, seeds)
    told.append(f"Scores are means over the {seeds} seeds of a configuration, ± their standard deviation (n - 1).")
    return [*told, *basis_of(trials, sweep)]


def basis_of(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """``basis`` of what is ranked: complete trials, or those of complete configurations, which differ in their seed."""
    seeds = seeds_of(sweep)
    if seeds == 1:
        complete = trials[trials["state"] == "COMPLETE"]
        return [] if complete.empty else basis(complete, sweep, searched(sweep))
    rows = grouped(trials, sweep)
    whole = trials[(trials["trial"] // seeds * seeds).isin(rows.loc[rows["state"] == "COMPLETE", "trial"])]
    return [] if whole.empty else basis(whole.drop(columns=WITHIN, errors="ignore"), sweep, [*searched(sweep), "seed"])


def _counts(trials: pd.DataFrame, rows: pd.DataFrame, seeds: int) -> list[str]:
    counts = rows["state"].value_counts()
    stands = ", ".join(f"{counts[state]} {state.lower()}" for state in STATES if state in counts)
    plural = "s" if len(rows) != 1 else ""
    return [
        f"{state_counts(trials)}.",
        f"{len(rows)} configuration{plural} of {seeds} seeds: {stands}; ranked by their means, where all {seeds} are complete.",
    ]


def _given_up(rows: pd.DataFrame, seeds: int) -> list[str]:
    """Which got no further seeds, and why."""
    cut = rows[(rows["state"] == "PRUNED") & rows["reason"].str.contains(NO_FURTHER, regex=False)]
    told = [
        f"{words_of(row['trial'], seeds)} was stopped after {row[SEEDS].replace('/', ' of ')} seeds:"
        f" {row['reason'].rpartition(NO_FURTHER)[2].removeprefix(': ')}"
        for _, row in cut.head(_LISTED).iterrows()
    ]
    more = [f"and {len(cut) - _LISTED} more"] if len(cut) > _LISTED else []
    return [begin("; ".join([*told, *more]) + ".")] if told else []


def _winner(trials: pd.DataFrame, table: pd.DataFrame, sweep: pd.Series[Any], seeds: int) -> list[str]:
    column, parameters = selected_metric(sweep["metric"]), searched(sweep)
    first = table.iloc[0]
    score = f"mean {column} {_with_spread(first, column)} over {seeds} seeds"
    if len(table) == 1:
        return [f"{begin(_named(first, parameters, seeds))} is the only one ranked: {score}."]
    second = table.iloc[1]
    better = "lower" if sweep["goal"] == "minimize" else "higher"
    lead = abs(float(first[column]) - float(second[column]))
    return [
        f"{begin(_named(first, parameters, seeds))} won: {score}, {number(lead)} {better} than the runner-up,"
        f" {_named(second, parameters, seeds)}.",
        f"{_seed_by_seed(trials, int(first['trial']), int(second['trial']), sweep, seeds)} The best of {len(table)} is partly the"
        f" luckiest: vae-sweeps confirm {sweep['name']} trains it again under seeds that chose nothing.",
    ]


def _pareto_set(table: pd.DataFrame, sweep: pd.Series[Any], seeds: int) -> list[str]:
    columns = [selected_metric(name) for name, _ in several_metrics(sweep)]
    best, parameters = table[table["rank"] == 1], searched(sweep)
    told = [
        f"{_named(row, parameters, seeds)} with {' and '.join(f'{column} {_with_spread(row, column)}' for column in columns)}"
        for _, row in best.head(_LISTED).iterrows()
    ]
    more = [f"and {len(best) - _LISTED} more"] if len(best) > _LISTED else []
    return [f"The Pareto set of the means of {' and '.join(columns)}, among {len(table)} ranked: {'; '.join([*told, *more])}."]


def _seed_by_seed(trials: pd.DataFrame, first: int, second: int, sweep: pd.Series[Any], seeds: int) -> str:
    """Under how many seeds the one is better than the other: pairs share initialisation, order and noise."""
    values = trials.set_index("trial")[selected_metric(sweep["metric"])]
    gains = [float(values[second + place] - values[first + place]) for place in range(seeds)]
    sign = 1.0 if sweep["goal"] == "minimize" else -1.0
    ahead = sum(sign * gain > 0 for gain in gains)
    return f"Seed by seed it is better under {ahead} of {seeds}."


def _named(row: pd.Series[Any], parameters: Sequence[str], seeds: int) -> str:
    return f"{words_of(row['trial'], seeds).removesuffix(')')}; {configuration(row, parameters)})"


def _with_spread(row: pd.Series[Any], column: str) -> str:
    deviation = row[spread(column)]
    return number(row[column]) + ("" if pd.isna(deviation) else f" ± {deviation:.2g}")
