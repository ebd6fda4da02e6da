"""Whether MLflow's record has every trial that the study knows to be complete: a ranking must not lack one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dashboards.home import without_password
from orchestration.configurations import trials_of
from orchestration.errors import LaunchError
from orchestration.stored import complete_trials
from orchestration.tracking.spool import SPOOL_FILE, pending_lines, rejected_path
from orchestration.tracking.sweep_record import send_waiting

if TYPE_CHECKING:
    import pandas as pd

    from dashboards.home import Home
    from orchestration.spec import SweepSpec


def send_record(sweep: str, where: Home) -> None:
    """Sends what of the sweep's record still waits, if anything does; trouble shows in ``require_whole_record``."""
    if pending_lines(where.sweep_dir(sweep) / SPOOL_FILE):
        send_waiting(where)


def require_whole_record(spec: SweepSpec, trials: pd.DataFrame, where: Home) -> None:
    """Checks ``load_trials`` of a sweep against its study.

    Raises:
        LaunchError: complete trials are not in the record, or not with their score; says how many, which, and why.
    """
    column = spec.objectives[0].column
    scored = trials[(trials["state"] == "COMPLETE") & trials[column].notna()] if column in trials else trials.iloc[:0]
    known = set(scored["trial"])
    complete = complete_trials(spec, where.study_url(spec.name))
    scores = [past.number for past in complete if past.value is not None and math.isfinite(past.value)]
    missing = [trial for number in scores for trial in trials_of(number, spec.seeds) if trial not in known]
    if not missing:
        return
    listed = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
    plural = "s are" if len(missing) > 1 else " is"
    raise LaunchError(
        f"{len(missing)} complete trial{plural} not, or not wholly, in the record of {spec.name!r} at"
        f" {without_password(where.tracking_uri)}: {listed}. {_why(spec.name, where)}"
    )


def _why(sweep: str, where: Home) -> str:
    spool = where.sweep_dir(sweep) / SPOOL_FILE
    if waiting := pending_lines(spool):
        return f"{waiting} records wait to be sent there: try again when it answers"
    if rejected_path(spool).exists():
        return f"Records were refused for good: {rejected_path(spool)} says why"
    return "They were deleted there, or another store is asked than the one that the sweep was recorded in"
