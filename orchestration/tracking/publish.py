"""The report of a finished sweep as an artifact of its run, where MLflow's viewer shows it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.home import Home
from orchestration.tracking.mlflow_limits import MAX_TAG
from orchestration.tracking.note import NOTE, with_link
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.view import artifact_link

if TYPE_CHECKING:
    from mlflow import MlflowClient

REPORT_FILE = "report.html"


def publish_report(name: str, where: Home) -> str | None:
    """Logs ``report.html`` to the sweep's run, in place of an earlier one; why that failed, None where it did not.

    The record is whole without it, and ``vae-sweeps report`` makes it at any time: no failure of it is the sweep's.
    """
    from dashboards.records import sweep_row
    from dashboards.status import report_sweep
    from dashboards.store import let_go

    quiet_mlflow()
    from mlflow import MlflowClient

    try:
        page = report_sweep(name, format="html", home=where.root, tracking_uri=where.tracking_uri)
        assert isinstance(page, str)
        run_id = str(sweep_row(name, home=where.root, tracking_uri=where.tracking_uri)["run_id"])
        client = MlflowClient(where.tracking_uri)
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / REPORT_FILE).write_text(page)
            client.log_artifact(run_id, str(Path(scratch) / REPORT_FILE))
        add_link(client, run_id, "Report", artifact_link(client.get_run(run_id).info.experiment_id, run_id, REPORT_FILE))
    except Exception as error:  # of whatever library draws or sends
        return f"{type(error).__name__}: {error}".splitlines()[0]
    finally:
        let_go(where.tracking_uri)
    return None


def add_link(client: MlflowClient, run_id: str, title: str, link: str) -> None:
    """One more link in the note of a sweep's run, where there is room."""
    note = with_link(client.get_run(run_id).data.tags.get(NOTE, ""), title, link)
    if len(note) <= MAX_TAG:
        client.set_tag(run_id, NOTE, note)
