"""One run as the readers have it, and the points of its metrics; whether a database or a server told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

POINT_TYPES = {"run": "int64", "metric": "int64", "epoch": "int64", "timestamp": "int64", "value": "float64"}
"""Columns of a history: runs and metrics by their place among those asked for, for there are millions of rows."""


class Info(NamedTuple):
    """What MLflow keeps of every run."""

    run_id: str
    run_name: str
    status: str
    start_time: int
    """Milliseconds."""
    end_time: int | None


class Data(NamedTuple):
    """What this program logged."""

    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """The last value of each."""
    steps: Mapping[str, int]
    """The epoch of that value."""


class Run(NamedTuple):
    """In MLflow's own shape."""

    info: Info
    data: Data


def run_of(run: MlflowRun) -> Run:
    """From MLflow's object."""
    info, data = run.info, run.data
    steps = {metric.key: int(metric.step) for metric in data._metric_objs}  # its public dictionary has no steps
    return Run(
        Info(info.run_id, info.run_name, info.status, info.start_time, info.end_time),
        Data(data.tags, data.params, data.metrics, steps),
    )


def points_of(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """A history, typed also where it is empty."""
    return pd.DataFrame(list(rows), columns=list(POINT_TYPES)).astype(POINT_TYPES)
