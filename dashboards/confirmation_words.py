"""A confirmation, computed from its records, and what it says in words."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboards.analysis import searched_places
from dashboards.confirmation import (
    FEW_SEEDS,
    INTERVAL,
    LEVEL,
    MISSING,
    OPEN,
    TEST,
    Plan,
    answer_metric,
    better_way,
    cells_of,
    comparisons,
    estimates,
    measured,
)
from dashboards.summary import configuration, state_counts

_WENT_WRONG = (
    ("COLLAPSED", "collapsed", "counted with the scores that it has"),
    ("FAILED", "failed", "no score, and so not in the mean"),
)


@dataclass(frozen=True)
class Confirmed:
    """A confirmation, computed; ``render`` draws it."""

    plan: Plan
    cells: pd.DataFrame
    metric: str
    """The one that configurations are compared by."""
    estimates: pd.DataFrame
    comparisons: pd.DataFrame
    words: dict[int, str]
    """Each configuration's parameters, by the search's trial."""

    def estimate(self, trial: int, metric: str) -> pd.Series[Any]:
        """The row of ``estimates`` of one configuration and metric."""
        table = self.estimates
        return table[(table["configuration"] == trial) & (table["metric"] == metric)].iloc[0]


def confirmed(trials: pd.DataFrame, sweep: pd.Series[Any], plan: Plan) -> Confirmed:
    """Computes a confirmation from ``load_trials(name)`` and the sweep's row."""
    cells = cells_of(trials, plan)
    metric = answer_metric(sweep)
    if metric not in cells:  # nothing has been scored yet
        cells[metric] = math.nan
    parameters = [name for name in searched_places(sweep) if name != "seed" and name in cells]
    words = {}
    for trial, runs in cells.groupby("configuration"):
        known = runs[runs["run_id"].notna()]
        words[int(str(trial))] = configuration(known.iloc[0], parameters) if len(known) else ""
    names = measured(cells, sweep)
    return Confirmed(plan, cells, metric, estimates(cells, names), comparisons(cells, metric, better_way(metric, sweep)), words)


def sentences_of(found: Confirmed, sweep: pd.Series[Any]) -> list[str]:
    """What was trained, what came out, how sure it is, and what went wrong on the way."""
    return [*_progress(found, sweep), *_answer(found, sweep), *method_of(found)]


def _progress(found: Confirmed, sweep: pd.Series[Any]) -> list[str]:
    plan, cells = found.plan, found.cells
    recorded = cells[cells["state"] != MISSING]
    same = f"seed {plan.seeds[0]}" if len(plan.seeds) == 1 else f"the same seeds, {_listed(plan.seeds)}"
    told = [f"The best of {plan.sweep}, whose trial numbers these are, trained anew under {same}. {state_counts(recorded)}."]
    left = int(cells["state"].isin(OPEN).sum())
    if left:
        told.append(f"Provisional: {left} of {len(cells)} trainings have not ended. vae-sweeps resume {sweep['name']}")
    for state, verb, outcome in _WENT_WRONG:
        for trial, runs in cells[cells["state"] == state].groupby("configuration", sort=False):
            seeds = f"seed{'s' if len(runs) > 1 else ''} {_listed(runs['seed'])}"
            reasons = "; ".join(dict.fromkeys(str(reason) for reason in runs["reason"] if reason))
            told.append(f"Trial {trial} {verb} under {seeds}{f' ({reasons})' if reasons else ''}: {outcome}.")
    return told


def _answer(found: Confirmed, sweep: pd.Series[Any]) -> list[str]:
    table = found.comparisons
    first, others = table.iloc[0], table[table["place"] > 1]
    if table["mean"].isna().all():
        scored = found.estimates.loc[found.estimates["metric"] == found.metric, "seeds"].any()
        lacks = "No seed has ended under every configuration yet" if scored else f"No training has {found.metric} yet"
        return [f"{lacks}: there is nothing to compare."]
    if first["place"] == 0:
        return ["None can be called the best.", *_unable(found)]
    best = int(first["configuration"])
    told = [f"Best on {found.metric}: trial {best}{_in_words(found, best)}, {_mean_of(found, best)}."]
    alike = others[others["p"].notna() & ~others["apart"]]
    if len(alike):
        told.append(
            f"Cannot be told apart from it at the {1 - LEVEL:.0%} level: {'; '.join(map(_by, alike.to_dict('records')))}."
        )
    apart = others[others["apart"]]
    if len(apart):
        told.append(f"Worse than it: {'; '.join(map(_by, apart.to_dict('records')))}.")
    untested = others.loc[others["p"].isna(), "configuration"]
    if len(untested) and len(found.plan.seeds) > 1:
        trials = f"trial{'s' if len(untested) > 1 else ''} {_listed(untested)}"
        told.append(f"Not compared, for want of two seeds that both have a score under: {trials}.")
    told += _unable(found)
    if best != found.plan.trials[0] and found.plan.trials[0] in found.words:
        told.append(f"The search's own winner was trial {found.plan.trials[0]}.")
    return told


def _unable(found: Confirmed) -> list[str]:
    """The configurations that cannot be the best, and why: a mean without the seeds that failed flatters."""
    told = []
    for row in found.comparisons[found.comparisons["place"] == 0].to_dict("records"):
        trial, seeds = int(row["configuration"]), len(found.plan.seeds)
        scored = int(found.estimate(trial, found.metric)["seeds"])
        why = "collapsed under every seed" if row["whole"] else f"has a score under {scored} of {seeds} seeds only"
        gap = f"; under the {row['pairs']} seeds that both have it differs from the best {_difference(row)}"
        told.append(f"Trial {trial} {why}, and cannot be the best{gap if row['pairs'] else ''}.")
    return told


def method_of(found: Confirmed) -> list[str]:
    """What intervals and p values are."""
    count = len(found.plan.seeds)
    if count == 1:
        return [f"One seed each: no interval and no test. For both: vae-sweeps confirm {found.plan.sweep} --seeds 5 --name N"]
    told = f"[low, high]: {LEVEL:.0%} interval of the mean over seeds ({INTERVAL}, seeded)."
    if count < FEW_SEEDS:
        told += f" From {count} seeds it misses the true mean in more than {1 - LEVEL:.0%} of all cases."
    if len(found.plan.trials) > 1:
        family = int(found.comparisons["family"].iloc[0])
        pairs = f"all {family} pairs, since the scores choose the best" if family > 1 else "1 pair"
        told += f" Differences are taken seed by seed; p: {TEST}, Holm's correction over {pairs}."
    unseen = "The test split chose nothing: neither the configurations nor the epochs."
    return [told, unseen] if found.metric.startswith("test/") else [told]


def _by(row: dict[Hashable, Any]) -> str:
    """A configuration's difference from the best."""
    return f"trial {row['configuration']} {_difference(row)}"


def _difference(row: dict[Hashable, Any]) -> str:
    """``by +0.31 [0.12, 0.50], p 0.012``."""
    gap = " ".join(part for part in (f"by {signed(row['difference'])}", between(row["low"], row["high"])) if part)
    return gap if math.isnan(row["p"]) else f"{gap}, p {p_value(row['p_holm'])}"


def _mean_of(found: Confirmed, trial: int) -> str:
    own = found.estimate(trial, found.metric)
    seeds = f"over {own['seeds']} seed{'s' if own['seeds'] > 1 else ''}"
    return " ".join(part for part in (f"{own['mean']:z.2f}", between(own["low"], own["high"]), seeds) if part)


def _in_words(found: Confirmed, trial: int) -> str:
    return f" ({found.words[trial]})" if found.words[trial] else ""


def between(low: float, high: float) -> str:
    """``[1.20, 1.31]``; nothing where there is no interval."""
    return "" if math.isnan(low) else f"[{low:z.2f}, {high:z.2f}]"


def signed(value: float) -> str:
    """A difference, with its sign."""
    return f"{value:+z.2f}"


def p_value(value: float) -> str:
    """A p value to three places; nothing where there was no test."""
    return "" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(str(item) for item in items)
