"""Several metrics at once: which trials no other one beats, and which may not win at all. Pure functions of the frames."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd

VIOLATION = "best/violation"
"""By how much a trial violates the sweep's outcome constraints; 0: not at all."""


def several_metrics(sweep: pd.Series[Any]) -> list[tuple[str, str]]:
    """Name and goal of each metric of a sweep that has several; empty for one that has a single one."""
    text = sweep.get("metrics", "")
    return [(str(metric["name"]), str(metric["goal"])) for metric in json.loads(text)] if text else []


def outcome_constraints(sweep: pd.Series[Any]) -> list[str]:
    """The conditions that a winner has to fulfil, as the sweep file has them."""
    text = sweep.get("outcome_constraints", "")
    return [str(condition) for condition in json.loads(text)] if text else []


def can_win(trials: pd.DataFrame) -> pd.Series[Any]:
    """Which trials are complete and violate no outcome constraint."""
    complete = trials["state"] == "COMPLETE"
    return complete & ~(trials[VIOLATION] > 0) if VIOLATION in trials else complete


def fronts(scores: pd.DataFrame, goals: list[str]) -> pd.Series[Any]:
    """By non-dominated sorting (Deb et al. 2002): 1 for the Pareto set, 2 for that of the rest, ...; NaN without a score."""
    signs = np.array([1.0 if goal == "minimize" else -1.0 for goal in goals])
    points = scores.to_numpy(dtype="float64") * signs
    rank = np.full(len(points), math.nan)
    left = ~np.isnan(points).any(axis=1)
    front = 0
    while left.any():
        front += 1
        members = [index for index in np.flatnonzero(left) if not _beaten(points[index], points[left])]
        rank[members] = front
        left[members] = False
    return pd.Series(rank, index=scores.index)


def _beaten(point: np.ndarray[Any, Any], others: np.ndarray[Any, Any]) -> bool:
    """Whether another is nowhere worse and somewhere better."""
    return bool(((others <= point).all(axis=1) & (others < point).any(axis=1)).any())
