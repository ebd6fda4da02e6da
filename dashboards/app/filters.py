"""Which trials a page shows: pure functions of the frame. What the reader chose comes in as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dashboards.analyses.scores import INACTIVE
from dashboards.analysis import searched
from dashboards.pareto import several_metrics

Choice = tuple[float, float] | Sequence[str]
"""Of a number both ends, of anything else the levels; an empty one is none."""
_STEPS = 60
"""Between which one can choose, where a number has more values."""


def filtered(trials: pd.DataFrame, states: Sequence[str], choices: Mapping[str, Choice]) -> pd.DataFrame:
    """The trials in one of the states (all, where none is named), whose parameters are among what was chosen of each.

    A trial that does not have a parameter is in no range of it.
    """
    kept = trials["state"].isin(list(states)) if states else pd.Series(True, index=trials.index)
    for name, choice in choices.items():
        values = trials[name]
        if isinstance(choice, tuple):
            kept &= values.between(*choice).fillna(False).astype(bool)
        elif choice:
            kept &= levels_of(values).isin(list(choice))
    return trials[kept]


def levels_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """A parameter's values in words."""
    return values.astype("object").where(values.notna(), INACTIVE).astype(str)


def stops_of(values: pd.Series[Any]) -> list[float]:
    """The values of a number between which a range is chosen: all of them, or where they are many some, both ends among them."""
    there = sorted({float(value) for value in values.dropna()})
    if len(there) <= _STEPS:
        return there
    return [there[place * (len(there) - 1) // (_STEPS - 1)] for place in range(_STEPS)]


def parameters_of(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """What one can filter by: the searched parameters that took two values or more."""
    names = [name for name in searched(sweep) if name in trials]
    return [name for name in names if trials[name].nunique(dropna=False) > 1]


def metrics_of_sweep(sweep: pd.Series[Any]) -> list[str]:
    """What it was searched on: one metric, or several."""
    return [name for name, _ in several_metrics(sweep)] or [str(sweep["metric"])]


def metrics_of(trials: pd.DataFrame, sweep: pd.Series[Any]) -> list[str]:
    """What trials can be judged by: the sweep's own metrics first, then what was scored on validation at the selected epoch."""
    others = sorted(str(name).removeprefix("best/") for name in trials if str(name).startswith("best/val/"))
    return list(dict.fromkeys([*metrics_of_sweep(sweep), *(name for name in others if trials[f"best/{name}"].notna().any())]))


def judged_by(sweep: pd.Series[Any], metric: str, goal: str) -> pd.Series[Any]:
    """The sweep as if it had searched on this one metric; as it is by its first one, so that several stay a Pareto set."""
    if metric == metrics_of_sweep(sweep)[0]:
        return sweep
    changed = sweep.copy()
    changed["metric"], changed["goal"], changed["metrics"] = metric, goal, ""
    return changed


def drawn(trials: pd.DataFrame, best: Sequence[int], column: str, most: int) -> pd.DataFrame:
    """At most so many of the trials, for a plot of lines: the best ones, and of the others some, evenly spread by their score."""
    if len(trials) <= most:
        return trials
    first = trials[trials["trial"].isin(list(best))]
    rest = trials[~trials["trial"].isin(list(best))]
    rest = rest.sort_values([column, "trial"] if column in rest else "trial")
    room = max(0, most - len(first))
    chosen = rest.iloc[[place * len(rest) // room for place in range(room)]] if room else rest.iloc[:0]
    return pd.concat([first, chosen]).sort_values("trial")
