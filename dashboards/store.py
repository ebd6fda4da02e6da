"""Opening the MLflow store for reading: checked first, so that nothing is created, and quiet.

MLflow itself would make a missing database, fill an empty one with tables, and try for minutes to reach an absent one. A database
is read by plain rows of MLflow's own tables (``database.py``): as its objects they take ten times as long.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from dashboards.database import Database, open_database
from dashboards.errors import NoHome, StoreError
from dashboards.home import DATABASES, hide_passwords, without_password
from dashboards.runs import Run, points_of, run_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "vae-sweeps"
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # with MLflow's own values, a server that is down blocks for four minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
_PAGE = 1000
_BULK_RUNS, _BULK_POINTS = 100, 25_000
"""What a server answers at most in one bulk request."""


@dataclass(frozen=True)
class Store:
    """The project's experiment in one MLflow store, open for reading."""

    client: MlflowClient
    experiment_id: str | None
    """None: nothing was recorded yet."""
    database: Database | None
    """None: the store is a server."""

    def runs(
        self, kind: str, *, parent: str | None = None, run_ids: Sequence[str] | None = None, params: bool = True
    ) -> list[Run]:
        """Every run of the kind, oldest first; those of one parent, or of these ids. Deleted ones are left out.

        Args:
            params: whether they are asked for; where not, they may be missing.
        """
        if self.experiment_id is None or run_ids == []:
            return []
        if self.database is not None:
            return self.database.runs(self.experiment_id, kind, parent, run_ids, params)
        condition = f"tags.kind = '{kind}'" + (f" AND tags.mlflow.parentRunId = '{parent}'" if parent else "")
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], condition, max_results=_PAGE, order_by=["attributes.start_time ASC"], page_token=token
            )
            found += map(run_of, page)
            token = page.token
            if not token:
                return found if run_ids is None else [run for run in found if run.info.run_id in set(run_ids)]

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        """Every value of these metrics that the runs logged: ``run, metric`` (their places), ``epoch, timestamp, value``."""
        if self.database is not None:
            return self.database.history(run_ids, metrics)
        places = {run_id: place for place, run_id in enumerate(run_ids)}
        return points_of(
            (places[run_id], place, epoch, timestamp, value)
            for place, metric in enumerate(metrics)
            for start in range(0, len(run_ids), _BULK_RUNS)
            for run_id, epoch, timestamp, value in self._served(run_ids[start : start + _BULK_RUNS], metric)
        )

    def _served(self, run_ids: Sequence[str], metric: str) -> list[tuple[str, int, int, float]]:
        """The history by the request that the UI's charts make; halved where the answer would be cut off."""
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request, verify_rest_response

        if len(run_ids) == 1:
            history = self.client.get_metric_history(run_ids[0], metric)
            return [(run_ids[0], at.step, at.timestamp, at.value) for at in history]
        endpoint = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
        query = [*(("run_id", run_id) for run_id in run_ids), ("metric_key", metric), ("max_results", _BULK_POINTS)]
        answer = http_request(get_default_host_creds(self.client.tracking_uri), endpoint, "GET", params=query)
        found = verify_rest_response(answer, endpoint).json()["metrics"]
        if len(found) >= _BULK_POINTS:
            half = len(run_ids) // 2
            return self._served(run_ids[:half], metric) + self._served(run_ids[half:], metric)
        return [(at["run_id"], int(at["step"]), int(at["timestamp"]), float(at["value"])) for at in found]


@contextmanager
def open_store(uri: str) -> Iterator[Store]:
    """Opens the store at ``uri``, one that ``check_tracking_uri`` lets pass, for reading.

    Raises:
        NoHome: if no sweep was ever recorded there.
        StoreError: if it cannot be reached or read, at once or while it is open.
    """
    in_database = uri.startswith(DATABASES)
    if in_database:
        _check_database(uri)
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        with contextlib.ExitStack() as stack:
            yield Store(
                client=client,
                experiment_id=None if experiment is None else experiment.experiment_id,
                database=stack.enter_context(open_database(uri)) if in_database else None,
            )
    except (MlflowException, SQLAlchemyError) as error:
        raise _unreadable(uri, error) from error
    finally:
        let_go(uri)


def let_go(uri: str) -> None:
    """Closes the connections to a database that MLflow keeps in this process; what is being done there is done first.

    As long as a process has an SQLite file open, its own plain reading of that file, such as a copy, takes away the locks that
    keep other processes from mistaking it for nobody's.
    """
    if not uri.startswith(DATABASES):
        return
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    for engines in (Tracking._engine_map, Registry._engine_map):
        if (engine := engines.get(uri)) is not None:
            engine.dispose()


def _check_database(uri: str) -> None:
    """Makes sure that there is a database with MLflow's tables, and that it answers."""
    from pathlib import Path

    from sqlalchemy import create_engine, inspect, make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        url = make_url(uri)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise NoHome(
                f"no sweeps here: {url.database or uri} does not exist; run a sweep first,"
                " or name its home (--home DIR or VAE_SWEEPS_HOME)"
            )
        engine = create_engine(url)
        recorded = inspect(engine).has_table("runs")
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise _unreadable(uri, error) from error
    if not recorded:
        raise NoHome(f"no sweeps here: {without_password(uri)} holds no MLflow records")


def _unreadable(uri: str, error: Exception) -> StoreError:
    """MLflow's own message repeats the address it asked, with the password in it."""
    shown = without_password(uri)
    told = hide_passwords(str(error).replace(uri.rstrip("/"), shown.rstrip("/")))
    return StoreError(f"cannot read the records at {shown}: {told}")


def tag_of(run: Run, name: str) -> str:
    """A tag that every run of this program has.

    Raises:
        StoreError: this one has not.
    """
    try:
        return str(run.data.tags[name])
    except KeyError:
        raise StoreError(f"the run {run.info.run_id} ({run.info.run_name}) has no tag {name!r}: no record of a sweep") from None
