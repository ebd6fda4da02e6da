"""MLflow's tables read by plain rows, through its own description of them: nothing of a row is made but what is asked for."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboards.runs import Data, Info, Run, points_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900
"""Runs in one statement: less than any database takes of parameters."""


@dataclass(frozen=True)
class Database:
    """An open connection to the database of an MLflow store."""

    connection: Connection

    def runs(
        self, experiment_id: str, kind: str, parent: str | None, run_ids: Sequence[str] | None, with_params: bool
    ) -> list[Run]:
        """The experiment's runs of the kind that are not deleted, oldest first; those of one parent, or of these ids."""
        from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun, SqlTag
        from sqlalchemy import select

        columns = (SqlRun.run_uuid, SqlRun.name, SqlRun.status, SqlRun.start_time, SqlRun.end_time)
        asked = select(*columns).where(SqlRun.experiment_id == int(experiment_id), SqlRun.lifecycle_stage == "active")
        for tag, value in (("kind", kind), ("mlflow.parentRunId", parent)):
            if value is not None:
                asked = asked.where(SqlRun.run_uuid.in_(select(SqlTag.run_uuid).where(SqlTag.key == tag, SqlTag.value == value)))
        infos = [Info(*row) for row in self.connection.execute(asked.order_by(SqlRun.start_time, SqlRun.run_uuid))]
        if run_ids is not None:
            wanted = set(run_ids)
            infos = [info for info in infos if info.run_id in wanted]
        ids = [info.run_id for info in infos]
        tags: defaultdict[str, dict[str, str]] = defaultdict(dict)
        params: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for table, found in ((SqlTag, tags), (SqlParam, params)) if with_params else ((SqlTag, tags),):
            for run_id, key, text in self._of(ids, select(table.run_uuid, table.key, table.value), table.run_uuid):
                found[run_id][key] = text
        metrics: defaultdict[str, dict[str, float]] = defaultdict(dict)
        steps: defaultdict[str, dict[str, int]] = defaultdict(dict)
        last = SqlLatestMetric
        rows = self._of(ids, select(last.run_uuid, last.key, last.value, last.is_nan, last.step), last.run_uuid)
        for run_id, key, number, is_nan, step in rows:
            metrics[run_id][key] = math.nan if is_nan else number
            steps[run_id][key] = step
        return [Run(info, Data(tags[own], params[own], metrics[own], steps[own])) for info in infos for own in (info.run_id,)]

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        """Every value of these metrics that the runs logged: ``run, metric`` (their places), ``epoch, timestamp, value``."""
        import numpy as np
        from mlflow.store.tracking.dbmodels.models import SqlMetric as Point
        from sqlalchemy import select

        places = {run_id: place for place, run_id in enumerate(run_ids)}
        asked = select(Point.run_uuid, Point.step, Point.timestamp, Point.value, Point.is_nan)
        parts = [points_of([])]
        for place, metric in enumerate(metrics):  # by the key, which the table is ordered by
            rows = list(self._of(run_ids, asked.where(Point.key == metric), Point.run_uuid))
            if not rows:
                continue
            runs, epochs, timestamps, values, missing = zip(*rows, strict=True)
            numbers = np.fromiter(values, "float64", len(rows))
            numbers[np.fromiter(missing, "bool", len(rows))] = np.nan
            columns = {
                "run": np.fromiter(map(places.__getitem__, runs), "int64", len(rows)),
                "metric": np.full(len(rows), place),
                "epoch": np.fromiter(epochs, "int64", len(rows)),
                "timestamp": np.fromiter(timestamps, "int64", len(rows)),
                "value": numbers,
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def _of(self, run_ids: Sequence[str], asked: Any, column: Any) -> Iterator[Any]:
        """The rows of these runs."""
        for start in range(0, len(run_ids), _AT_ONCE):
            yield from self.connection.execute(asked.where(column.in_(run_ids[start : start + _AT_ONCE])))


@contextlib.contextmanager
def open_database(uri: str) -> Iterator[Database]:
    """For reading, as long as the context lasts."""
    from sqlalchemy import create_engine

    engine = create_engine(uri)
    try:
        with engine.connect() as connection:
            yield Database(connection)
    finally:
        engine.dispose()
