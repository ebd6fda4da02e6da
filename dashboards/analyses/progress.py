"""How the search went on: the best so far, against what random draws would have found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from dashboards.analyses.sampling import survivors
from dashboards.analyses.scores import compared, lower_is_better, metric_of
from dashboards.analysis import goal_of

_COLUMNS = {"trial": "int64", "score": "float64", "best": "float64", "random": "float64"}


def progress(trials: pd.DataFrame, sweep: pd.Series[Any], random: int | None = None, metric: str | None = None) -> pd.DataFrame:
    """The comparable trials by number, and the best of them so far.

    Columns: ``trial, score, best``, and ``random``: the best to be expected of as many random draws (Dodge et al. 2019, eq. 1),
    by the scores of the trials below the number ``random``, which were drawn at random; of all, where the method is random;
    NaN where there are fewer than 5, and where trials were pruned, collapsed or took over others' weights: who is left is no
    random sample.
    """
    column = metric_of(sweep, metric)
    table = compared(trials, column).sort_values("trial")[["trial", column]].set_axis(["trial", "score"], axis=1)
    minimize = goal_of(column, sweep) == "minimize"
    table["best"] = table["score"].cummin() if minimize else table["score"].cummax()
    first = len(trials) and int(trials["trial"].max()) + 1 if sweep["method"] == "random" else random or 0
    drawn = lower_is_better(table.loc[table["trial"] < first, "score"], column, sweep).to_numpy()
    sign = 1.0 if minimize else -1.0
    fair = len(drawn) >= 5 and not survivors(trials)
    table["random"] = [sign * expected_best(drawn, count) if fair else math.nan for count in range(1, len(table) + 1)]
    return table.reset_index(drop=True).astype(_COLUMNS)


def expected_best(values: np.ndarray[Any, Any], draws: int) -> float:
    """The expected lowest of so many draws, with replacement, from the values."""
    ordered = np.sort(np.asarray(values, dtype="float64"))
    size = len(ordered)
    above = (1 - np.arange(size + 1) / size) ** draws  # the chance that every draw is above the i lowest
    return float(np.sum(ordered * (above[:-1] - above[1:])))
