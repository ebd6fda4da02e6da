"""When trials began and ended, and where they were trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dashboards.home import resolve_home
from dashboards.store import open_store

WORKER = "worker"
"""The tag of a trial's run that says on which host and in which process it was trained."""
_UTC = "datetime64[ms, UTC]"


def with_times(
    trials: pd.DataFrame, sweep: pd.Series[Any], *, home: str | Path | None = None, tracking_uri: str | None = None
) -> pd.DataFrame:
    """The frame of ``load_trials`` with the columns ``started``, ``ended`` (missing while a trial runs) and ``worker``.

    A trial that was gone on with keeps its first start, so that its time holds the pauses, and has its last worker:
    ``HOST/PROCESS``, missing where none had a word of it.

    Raises:
        NoHome, StoreError: as ``open_store``.
    """
    with open_store(resolve_home(home, tracking_uri).tracking_uri) as store:
        own = store.runs("trial", parent=str(sweep["run_id"]), params=False)
    runs = {run.info.run_id: run for run in own}
    started = [runs[run_id].info.start_time for run_id in trials["run_id"]]
    states = zip(trials["run_id"], trials["state"], strict=True)
    ended = [None if state == "RUNNING" else runs[run_id].info.end_time for run_id, state in states]
    workers = pd.Series([runs[run_id].data.tags.get(WORKER) for run_id in trials["run_id"]], dtype="str")
    columns = {"started": _moments(started), "ended": _moments(ended), "worker": workers}
    return pd.concat([trials, pd.DataFrame(columns).set_axis(trials.index)], axis=1)


def _moments(times: Sequence[int | None]) -> pd.Series[Any]:
    return pd.Series(pd.to_datetime(pd.Series(list(times), dtype="Int64"), unit="ms", utc=True), dtype=_UTC)
