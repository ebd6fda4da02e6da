"""The report of a finished sweep as an artifact of its run, where MLflow's viewer shows it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dashboards.home import Home
from orchestration.tracking.outage import quiet_mlflow

REPORT_FILE = "report.html"


def publish_report(name: str, where: Home) -> str | None:
    """Logs ``report.html`` to the sweep's run, in place of an earlier one; why that failed, None where it did not.

    The record is whole without it, and ``vae-sweeps report`` makes it at any time: no failure of it is the sweep's.
    """
    from dashboards.records import sweep_row
    from dashboards.status import report_sweep

    quiet_mlflow()
    from mlflow import MlflowClient

    try:
        page = report_sweep(name, format="html", home=where.root, tracking_uri=where.tracking_uri)
        assert isinstance(page, str)
        run_id = str(sweep_row(name, home=where.root, tracking_uri=where.tracking_uri)["run_id"])
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / REPORT_FILE).write_text(page)
            MlflowClient(where.tracking_uri).log_artifact(run_id, str(Path(scratch) / REPORT_FILE))
    except Exception as error:  # of whatever library draws or sends
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
