"""From the frame of a sweep's trials to its leaderboard: pure functions, frame -> frame."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from dashboards.errors import UnknownColumn, nearest
from dashboards.pareto import VIOLATION, can_win, fronts, outcome_constraints, several_metrics
from dashboards.variants import variant_columns, with_variants

HIGHER_IS_BETTER = ("active_units", "mutual_information", "examples_per_s", "tokens_per_s")
"""The last part of the names of the metrics of which more is better; of all else, less."""
STATES = ("COMPLETE", "RUNNING", "PRUNED", "COLLAPSED", "STOPPED", "FAILED")
"""In the order in which they are listed; only complete trials are ranked."""
_SHOWN = (
    "best/val/neg_elbo",
    "best/val/rate",
    "best/val/active_units",
    "best/val/perplexity",
    "test/neg_elbo",
    "test/iw_nll",
    "test/iw_nll_se",
    "test/iw_perplexity",
    "train/tokens_per_s",
    "train/examples_per_s",
)


def selected_metric(metric: str) -> str:
    """The column a finished trial is judged by: ``val/x`` is read at the selected epoch, ``best/val/x``."""
    return f"best/{metric}" if metric.startswith("val/") else metric


def best_value(values: pd.Series[Any], goal: str) -> float:
    """The best of ``values``; NaN where there is none."""
    return float(values.max() if goal == "maximize" else values.min()) if values.notna().any() else math.nan


def searched(sweep: pd.Series[Any]) -> list[str]:
    """The columns of the parameters that the sweep searches: dotted names, and of variants which one it is."""
    return with_variants(searched_places(sweep), variant_columns(sweep.get("variants", "")))


def searched_places(sweep: pd.Series[Any]) -> list[str]:
    """The dotted names of all that a trial's search sets, those that variants set among them."""
    return [str(name) for name in json.loads(sweep["parameters"])]


def goal_of(column: str, sweep: pd.Series[Any]) -> str:
    """Which way is better, ``minimize`` or ``maximize``: the sweep's own word on its metric, else by the metric's name."""
    for name, goal in several_metrics(sweep):
        if column in (name, selected_metric(name)):
            return goal
    if column in (sweep["metric"], selected_metric(sweep["metric"])):
        return str(sweep["goal"])
    return "maximize" if column.rpartition("/")[2] in HIGHER_IS_BETTER else "minimize"


def ranked(trials: pd.DataFrame, sweep: pd.Series[Any], sort: str | None = None) -> pd.DataFrame:
    """The trials, best first, with a column ``rank`` (1 is best, equals share it) before all others.

    Complete trials that have a value are ranked, by ``sort`` or else by the sweep's metric at the selected epoch; the others
    follow without a rank, by state and number: fewer epochs, or none, are no fair comparison. Of several metrics rank 1 is the
    Pareto set, and the first metric orders those of one rank. A trial that violates an outcome constraint has no rank.

    Raises:
        UnknownColumn: where ``sort`` is no column, with the nearest one.
    """
    if sort is not None and sort not in trials:
        raise UnknownColumn(f"cannot sort by {sort!r}: {nearest(sort, list(trials.columns), shown=60)}")
    column = sort or selected_metric(sweep["metric"])
    several = {} if sort else {selected_metric(name): goal for name, goal in several_metrics(sweep)}
    if several and all(name in trials for name in several):
        rank = fronts(trials[list(several)].where(can_win(trials)), list(several.values()))
    elif column in trials:
        values = trials[column].where(can_win(trials))
        rank = values.rank(method="min", ascending=goal_of(column, sweep) == "minimize")
    else:
        rank = pd.Series(math.nan, index=trials.index)
    listed = {state: place for place, state in enumerate(STATES)}
    order = pd.DataFrame({"rank": rank, "state": trials["state"].map(lambda state: listed.get(state, len(STATES)))})
    ascending = goal_of(column, sweep) == "minimize"
    order["within"] = trials[column].where(rank.notna()) * (1 if ascending else -1) if several and column in trials else 0.0
    order["trial"] = trials["trial"]
    order = order.sort_values(["rank", "within", "state", "trial"], na_position="last")
    table = trials.loc[order.index]
    table.insert(0, "rank", rank.loc[order.index].astype("Int64"))
    return table.reset_index(drop=True)


def leaderboard(trials: pd.DataFrame, sweep: pd.Series[Any], sort: str | None = None) -> pd.DataFrame:
    """``ranked``, with the columns that a person compares: what was searched, how it scored, what it took.

    A metric that no trial has is left out (perplexity of an image model), and so are examples a second where there are tokens a
    second. The sweep's own metric, and ``sort``, are always there; beside the former, where any trial has only that,
    ``last_score`` of it.
    """
    table = ranked(trials, sweep, sort)
    searched_on = [selected_metric(name) for name, _ in several_metrics(sweep)] or [selected_metric(sweep["metric"])]
    own = [name for name in (*searched_on, sort) if name in trials]
    if outcome_constraints(sweep) and VIOLATION in trials:
        own.append(VIOLATION)
    parameters = searched(sweep)
    metrics = [name for name in _SHOWN if name in trials and trials[name].notna().any()]
    if "train/tokens_per_s" in metrics:
        metrics = [name for name in metrics if name != "train/examples_per_s"]
    for name in searched_on:
        if (last := name.removeprefix("best/")) in table and last != name:
            scores = table[last] if name not in table else table[last].where(table[name].isna())
            if scores.notna().any():
                table[name] = table.get(name, math.nan)
                table[last_score(name)] = scores
                own += [name, last_score(name)]
    columns = ["rank", "trial", "state", *parameters, *own, *metrics, "epochs", "duration_s"]
    return table[list(dict.fromkeys(columns))]


def last_score(column: str) -> str:
    """The column with the last score of trials that were not trained to their end, and so have none in ``column``."""
    return f"last {column}"


def alike_in(trials: pd.DataFrame, parameters: Sequence[str]) -> pd.Series[Any]:
    """For each trial the number of its configuration: the same for trials that differ in none of the parameters but the seed."""
    names = [name for name in parameters if name != "seed"]
    if not names:
        return pd.Series(0, index=trials.index)
    values = trials[names].astype(object)
    return values.where(values.notna(), "").groupby(names, sort=False).ngroup()


def short_names(names: Sequence[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """For each dotted name the shortest end of it that only it has, and that is not ``reserved``.

    ``model.softmax.kind`` is called ``softmax``: the option chosen goes by the name of the choice.
    """
    parts = {name: name.removesuffix(".kind").split(".") for name in names}
    taken = [".".join(path[-length:]) for path in parts.values() for length in range(1, len(path) + 1)]
    return {name: _shortest(path, taken, reserved) for name, path in parts.items()}


def _shortest(path: Sequence[str], taken: Sequence[str], reserved: Collection[str]) -> str:
    for length in range(1, len(path)):
        name = ".".join(path[-length:])
        if taken.count(name) == 1 and name not in reserved:
            return name
    return ".".join(path)
