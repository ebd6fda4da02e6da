"""What a confirmation says: the best configurations of a search, each trained anew under the same fresh seeds.

Pure functions, frame -> frame. The seeds are the sample: an interval is of a configuration's mean over seeds, and two
configurations are compared seed by seed. A seed that collapsed counts with the score it has; one that failed has none and is
counted. What is told apart here is told on the test split, which chose nothing.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dashboards.analysis import HIGHER_IS_BETTER, selected_metric
from dashboards.errors import StoreError

LEVEL = 0.95
"""Of the intervals; comparisons are judged at 1 - LEVEL."""
RESAMPLES = 9999
INTERVAL = "expanded percentile bootstrap"
TEST = "paired t test"
FEW_SEEDS = 5
"""With fewer no bootstrap reaches the level: the true mean lies outside all n values with a probability of about 2^(1 - n)."""
MISSING = "MISSING"
"""The state of a training that the record does not have."""
OPEN = (MISSING, "STOPPED", "RUNNING")
"""States of trainings that have not ended."""
_MEASURED = ("test/neg_elbo", "test/iw_nll", "test/perplexity", "test/iw_perplexity", "best/val/active_units", "best/val/rate")


@dataclass(frozen=True)
class Plan:
    """What a confirmation trains: trial n is configuration n mod K under seed n div K."""

    sweep: str
    """The search that it confirms."""
    trials: tuple[int, ...]
    """The search's trials, best first."""
    seeds: tuple[int, ...]


def plan_of(sweep: pd.Series[Any]) -> Plan | None:
    """The plan of a sweep (a row of ``load_sweeps``); None where it confirms nothing.

    Raises:
        StoreError: the record of the plan is none that this program wrote.
    """
    if not sweep.get("confirms"):
        return None
    try:
        plain = json.loads(sweep["confirms_plan"])
        return Plan(str(sweep["confirms"]), tuple(map(int, plain["trials"])), tuple(map(int, plain["seeds"])))
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"the tag 'confirms.plan' of the run {sweep['run_id']} is no plan: {error}") from None


def answer_metric(sweep: pd.Series[Any]) -> str:
    """The one metric that configurations are compared by, fixed before they are trained: the searched one on the test split.
    A speed has no split."""
    section, _, name = str(sweep["metric"]).rpartition("/")
    return f"test/{name}" if section == "val" else str(sweep["metric"])


def measured(cells: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """The metrics that a confirmation tells of: the one it answers by, then those of the others that any training has."""
    first, others = answer_metric(sweep), (*_MEASURED[:4], selected_metric(sweep["metric"]), *_MEASURED[4:])
    return list(dict.fromkeys([first, *(name for name in others if name in cells and cells[name].notna().any())]))


def cells_of(trials: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """A row for each planned training, by configuration and seed: ``configuration`` (the search's trial), ``seed``, ``state``,
    ``reason``, then every other column of ``trials``; a training that is not recorded has the state ``MISSING``.

    Raises:
        StoreError: a training has another seed than the plan says.
    """
    count = len(plan.trials)
    planned = pd.DataFrame(
        [
            {"trial": index * count + place, "configuration": trial, "seed": seed}
            for place, trial in enumerate(plan.trials)
            for index, seed in enumerate(plan.seeds)
        ]
    )
    trials = trials.drop(columns="configuration", errors="ignore")  # its own word for the search's trial
    recorded = trials.drop_duplicates("trial", keep="last").rename(columns={"seed": "recorded seed"})
    cells = planned.merge(recorded, on="trial", how="left")
    other = cells[cells["recorded seed"].notna() & (cells["recorded seed"] != cells["seed"])]
    if len(other):
        trial, has, wants = other.iloc[0][["trial", "recorded seed", "seed"]]
        raise StoreError(f"trial {trial} of the confirmation of {plan.sweep} has the seed {has}, and its plan says {wants}")
    cells = cells.drop(columns="recorded seed")
    cells["state"] = cells["state"].fillna(MISSING)
    cells["reason"] = cells["reason"].fillna("")
    return cells


def estimates(cells: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Mean and interval of each metric of each configuration, over the seeds that have it.

    Columns: ``configuration, metric, seeds`` (scored), ``mean, sd`` (between seeds, n - 1), ``low, high``. With one seed
    there is no ``sd`` and no interval: NaN.
    """
    rows = []
    for configuration, runs in cells.groupby("configuration", sort=False):
        for metric in metrics:
            values = _finite(runs[metric]).dropna().to_numpy()
            mean = float(values.mean()) if len(values) else math.nan
            deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
            low, high = interval(values)
            rows.append(
                {
                    "configuration": configuration,
                    "metric": metric,
                    "seeds": len(values),
                    "mean": mean,
                    "sd": deviation,
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(rows)


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile bootstrap of the mean, with its tails widened as Student's t and the n - 1 of the variance ask for.

    The plain percentile interval is too narrow by sqrt((n - 1) / n) z / t: for five values by 37 %. Hesterberg (2015), "What
    Teachers Should Know About the Bootstrap", section 5.3: the tails are Phi(-sqrt(n / (n - 1)) t(n - 1)). Seeded, so that
    the same values have the same interval.
    """
    from scipy import stats

    count = len(values)
    if count < 2:
        return math.nan, math.nan
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    quantile = stats.t.ppf((1 + level) / 2, count - 1)
    widened = 1 - 2 * float(stats.norm.cdf(-math.sqrt(count / (count - 1)) * quantile))
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=widened, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(found.low), float(found.high)


def comparisons(cells: pd.DataFrame, metric: str, goal: str) -> pd.DataFrame:
    """Each configuration against the best; best first, and last those that cannot be it.

    Only seeds count that have ended under every configuration. The best has the best mean of those with a score under each of
    them that did not collapse under all. It is chosen by the very scores that are compared, so every pair of configurations is
    tested, and Holm's correction is over all pairs: the chance of any false finding keeps to 1 - LEVEL whichever is chosen.

    Columns: ``configuration, place`` (1 is the best; 0: it cannot be), ``whole`` (whether it has every score), ``mean, pairs,
    difference`` (mean, own minus the best's, over the seeds that both have; of the best itself 0 pairs), ``low, high`` (its
    interval), ``p`` (two-sided paired t test), ``p_holm``, ``apart`` (``p_holm`` is at most 1 - LEVEL; false where there is no
    test), ``family`` (pairs tested, the same in each row).
    """
    every = cells.assign(score=_finite(cells[metric])).pivot(index="seed", columns="configuration", values="score")
    scores = every.loc[_ended_seeds(cells), list(dict.fromkeys(cells["configuration"]))]
    means, whole = scores.mean(), scores.notna().all() & bool(len(scores))
    able = whole & ~_all_collapsed(cells)
    ascending = goal == "minimize"
    order = [
        configuration
        for among in (able, ~able)
        for configuration in means[among].sort_values(ascending=ascending, kind="stable", na_position="last").index
    ]
    best = order[0] if able.any() else None
    gaps = {pair: (scores[pair[1]] - scores[pair[0]]).dropna().to_numpy() for pair in itertools.combinations(order, 2)}
    raw = {pair: paired_p(own) for pair, own in gaps.items()}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    family = sum(not math.isnan(p) for p in raw.values())
    rows = []
    for place, configuration in enumerate(order, start=1):
        row: dict[str, Any] = {"configuration": configuration, "place": place if able[configuration] else 0}
        row |= {"whole": bool(whole[configuration]), "mean": means[configuration], "pairs": 0}
        row |= dict.fromkeys(("difference", "low", "high", "p", "p_holm"), math.nan)
        if best is not None and configuration != best:
            own = gaps[best, configuration]
            low, high = interval(own)
            row |= {"pairs": len(own), "difference": float(own.mean()) if len(own) else math.nan, "low": low, "high": high}
            row |= {"p": raw[best, configuration], "p_holm": corrected[best, configuration]}
        rows.append(row | {"family": family})
    table = pd.DataFrame(rows)
    table["apart"] = table["p_holm"] <= 1 - LEVEL + 1e-12
    return table


def paired_p(gaps: np.ndarray) -> float:
    """Two-sided p of Student's paired t test on the differences; NaN for fewer than two. Wilcoxon's signed ranks, the usual
    other choice, cannot come below 2^(1 - n): with five seeds it finds nothing at 5 %, whatever the scores."""
    from scipy import stats

    if len(gaps) < 2:
        return math.nan
    if np.ptp(gaps) == 0:  # no spread: the statistic is 0/0 or infinite
        return 1.0 if gaps[0] == 0 else 0.0
    return float(stats.ttest_1samp(gaps, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction: controls the chance of any false finding among all; NaN is no test, and stays."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        corrected[place] = highest
    return corrected


def better_way(metric: str, sweep: pd.Series[Any]) -> str:
    """Which way of a metric is better, ``minimize`` or ``maximize``."""
    own = metric.rpartition("/")[2]
    if own == str(sweep["metric"]).rpartition("/")[2]:
        return str(sweep["goal"])
    return "maximize" if own in HIGHER_IS_BETTER else "minimize"


def _ended_seeds(cells: pd.DataFrame) -> list[int]:
    """The seeds whose trainings have all ended, with a score or without."""
    ended = (~cells["state"].isin(OPEN)).groupby(cells["seed"], sort=False).all()
    return [int(seed) for seed in ended.index[ended]]


def _all_collapsed(cells: pd.DataFrame) -> pd.Series[Any]:
    """By configuration: whether every training of it that ended with a model collapsed."""
    ended = cells[cells["state"].isin(("COMPLETE", "COLLAPSED"))]
    collapsed = (ended["state"] == "COLLAPSED").groupby(ended["configuration"]).all()
    return collapsed.reindex(list(dict.fromkeys(cells["configuration"])), fill_value=False).astype(bool)


def _finite(values: pd.Series[Any]) -> pd.Series[Any]:
    numbers = values.astype("float64")
    return numbers.where(np.isfinite(numbers))
