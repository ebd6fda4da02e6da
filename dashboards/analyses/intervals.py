"""Intervals of a mean, by Student's t: for a plot's band and an effect's bar; a confirmation has its own, by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

LEVEL = 0.95


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, low and high; both ends are NaN for fewer than two values."""
    from scipy import stats

    array = np.asarray(values, dtype="float64")
    if len(array) == 0:
        return math.nan, math.nan, math.nan
    mean = float(array.mean())
    if len(array) < 2:
        return mean, math.nan, math.nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return mean, mean - half, mean + half


def mean_intervals(
    means: pd.Series[Any], deviations: pd.Series[Any], counts: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Low and high of many means at once, by their standard deviations (n - 1); NaN for fewer than two values."""
    from scipy import stats

    quantiles = {count: stats.t.ppf((1 + LEVEL) / 2, count - 1) if count > 1 else math.nan for count in counts.unique()}
    half = counts.map(quantiles) * deviations / np.sqrt(counts)
    return means - half, means + half
