"""The rate-distortion plane (Alemi et al. 2018): what the code carries against what it leaves, and who is on the frontier."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboards.pareto import fronts

_PREFIX = "best/val/"
_COLUMNS = {"trial": "int64", "state": "str", "rate": "float64", "distortion": "float64", "neg_elbo": "float64", "pareto": "bool"}


def plane(trials: pd.DataFrame) -> pd.DataFrame:
    """Each scored trial's point, in nats an example, by rate.

    Columns: ``trial, state, rate, distortion, neg_elbo`` (their sum: an iso-ELBO line has slope -1), ``pareto`` (no other has
    both less rate and less distortion; collapsed trials are points too, at its left end).
    """
    needed = [f"{_PREFIX}rate", f"{_PREFIX}distortion"]
    if not set(needed) <= set(trials.columns):
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})
    scored = trials[trials[needed].notna().all(axis=1)]
    table = scored[["trial", "state", *needed]].set_axis(["trial", "state", "rate", "distortion"], axis=1)
    table["neg_elbo"] = table["rate"] + table["distortion"]
    table["pareto"] = fronts(table[["rate", "distortion"]], ["minimize", "minimize"]) == 1
    return table.sort_values(["rate", "distortion", "trial"], ignore_index=True).astype(_COLUMNS)


def hypervolume(points: pd.DataFrame, rate: float, distortion: float) -> float:
    """The area, in square nats, between the points' frontier and a reference that is worse than what counts."""
    inside = points[(points["rate"] < rate) & (points["distortion"] < distortion)].sort_values(["rate", "distortion"])
    area, ceiling = 0.0, distortion
    for left, height in zip(inside["rate"], inside["distortion"], strict=True):
        if height < ceiling:
            area += (rate - left) * (ceiling - height)
            ceiling = height
    return float(area)


def iso_elbo(points: pd.DataFrame, lines: int = 4) -> list[float]:
    """Round values of -ELBO, in nats, whose lines cross the points."""
    if points.empty:
        return []
    low, high = float(points["neg_elbo"].min()), float(points["neg_elbo"].max())
    if high <= low:
        return [low]
    step = _round_step((high - low) / lines)
    first = np.ceil(low / step) * step
    return [float(value) for value in np.arange(first, high + step / 2, step)]


def _round_step(wanted: float) -> float:
    """1, 2 or 5 times a power of ten, at least as wide as wanted."""
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9)))
