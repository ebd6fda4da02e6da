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
    """Each trial that has begun, in its worker's lane: ``trial, state, lane, worker, start_s, end_s``, since the first one began.

    Workers are counted on each host in the order in which they came. Trials of which no worker had a word, and those of older
    records, lie behind the named lanes, in as few as their overlaps allow. A trial that went on after a pause ends where it
    ended, so its bar holds the pause too, in the lane of its last worker. One that still runs has no end.
    """
    begun = trials[trials["started"].notna()].sort_values(["started", "trial"])
    if begun.empty:
        return pd.DataFrame({"trial": [], "state": [], "lane": [], "worker": [], "start_s": [], "end_s": []})
    start, end = _seconds(begun)
    workers = begun["worker"].fillna("") if "worker" in begun else pd.Series("", begun.index)
    names = _names(workers[workers != ""])
    places = {worker: place for place, worker in enumerate(names)}
    others = iter(_lanes(start[workers == ""], end[workers == ""]))
    lanes = [places[worker] if worker else len(places) + next(others) for worker in workers]
    shown = [names.get(worker, "") for worker in workers]
    columns = {"trial": begun["trial"], "state": begun["state"], "lane": lanes, "worker": shown, "start_s": start, "end_s": end}
    return pd.DataFrame(columns).reset_index(drop=True)


def most_at_once(trials: pd.DataFrame) -> int:
    """How many trials ran at once at most, where it is known when they began and ended."""
    begun = trials[trials["started"].notna()].sort_values(["started", "trial"])
    return max(_lanes(*_seconds(begun)), default=-1) + 1


def efficiency(trials: pd.DataFrame, sweep: pd.Series[Any], workers: int) -> float:
    """Seconds in trials over workers x wall time of the sweep; NaN while it runs. ``most_at_once`` says how many worked: how many
    stood idle from first to last is not in the record."""
    return float(trials["duration_s"].sum()) / (workers * float(sweep["duration_s"]))


def _seconds(begun: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """When each began and ended, since the first began."""
    first = begun["started"].min()
    return (begun["started"] - first).dt.total_seconds(), (begun["ended"] - first).dt.total_seconds()


def _names(workers: pd.Series[str]) -> dict[str, str]:
    """A name for each ``HOST/PROCESS``, by host and then in the order of coming: the host and a number."""
    counted: dict[str, list[str]] = {}
    for worker in dict.fromkeys(workers):
        counted.setdefault(worker.rpartition("/")[0], []).append(worker)
    return {worker: f"{host} {place}" for host, own in sorted(counted.items()) for place, worker in enumerate(own, start=1)}


def _lanes(start: pd.Series[float], end: pd.Series[float]) -> list[int]:
    """For each of these, in the order of their starts, the first lane that is free."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = []
    for began, ended in zip(start, end.fillna(float("inf")), strict=True):
        while busy and busy[0][0] <= began:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (ended, lane))
        lanes.append(lane)
    return lanes
