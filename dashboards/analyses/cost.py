"""Where the time went: hours by what became of the trials, and how busy the workers were."""

from __future__ import annotations

import heapq
from typing import Any

import pandas as pd

from dashboards.analysis import STATES


def hours_by_state(trials: pd.DataFrame) -> pd.DataFrame:
    """``state, trials, hours, share`` of all trials' time, in the order in which states are listed; running ones left out."""
    ended = trials[trials["duration_s"].notna()]
    total = float(ended["duration_s"].sum())
    rows = []
    for state in STATES:
        seconds = ended.loc[ended["state"] == state, "duration_s"]
        if len(seconds):
            rows.append((state, len(seconds), float(seconds.sum()) / 3600, float(seconds.sum()) / total if total else 0.0))
    return pd.DataFrame(rows, columns=["state", "trials", "hours", "share"])


def timeline(trials: pd.DataFrame) -> pd.DataFrame:
    """Each trial that has begun, in the lane of a worker: ``trial, state, lane, start_s, end_s``, from the sweep's first second.

    The record does not name workers: lanes are as few as the overlaps allow. A trial that went on after a pause ends where it
    ended, so its bar holds the pause too. One that still runs has no end.
    """
    begun = trials[trials["started"].notna()].sort_values(["started", "trial"])
    if begun.empty:
        return pd.DataFrame({"trial": [], "state": [], "lane": [], "start_s": [], "end_s": []})
    start = (begun["started"] - begun["started"].iloc[0]).dt.total_seconds()
    end = (begun["ended"] - begun["started"].iloc[0]).dt.total_seconds()
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = []
    for began, ended in zip(start, end.fillna(float("inf")), strict=True):
        while busy and busy[0][0] <= began:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (ended, lane))
        lanes.append(lane)
    table = pd.DataFrame({"trial": begun["trial"], "state": begun["state"], "lane": lanes, "start_s": start, "end_s": end})
    return table.reset_index(drop=True)


def efficiency(trials: pd.DataFrame, sweep: pd.Series[Any], workers: int) -> float:
    """Seconds in trials over workers x wall time of the sweep; NaN while it runs. Of workers the record has the most that were
    busy at once: the lanes of ``timeline``."""
    return float(trials["duration_s"].sum()) / (workers * float(sweep["duration_s"]))
