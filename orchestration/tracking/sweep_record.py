"""A sweep's record while it runs: opens the tracker, keeps the note on the sweep's run fresh, closes it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from dashboards.home import Home
from orchestration.driver import Driver, TrialView
from orchestration.spec import SweepSpec, parse_sweep
from orchestration.spec.search_space import SearchSpace
from orchestration.tracking.note import NoteRow, sweep_note
from orchestration.tracking.spool import SPOOL_FILE, SpoolBusy, pending_lines
from orchestration.tracking.tracker import SweepHeader, Tracker, replay_spool

_NOTE_EVERY_S = 5.0
"""The note is written at most so often, so that its cost does not grow with the number of trials."""


@dataclass(frozen=True)
class Unsent:
    """What is not in MLflow when a sweep has ended."""

    waiting: int
    """Entries that the next command sends."""
    refused: int
    """Entries that MLflow will never take; they lie beside the spool with their errors."""
    trouble: str
    """Why entries wait."""

    def __bool__(self) -> bool:
        return bool(self.waiting or self.refused)


class SweepRecord:
    """The record of one sweep in MLflow."""

    def __init__(self, spec: SweepSpec, text: str, where: Home) -> None:
        header = SweepHeader(
            name=spec.name,
            question=spec.question,
            metric_name=spec.metric.name,
            goal=spec.metric.goal,
            method=spec.method,
            run_cap=spec.run_cap,
            parameters=SearchSpace(spec.parameters).names,
            source=text,
        )
        self.tracker = Tracker(where.tracking_uri, where.artifact_root, where.sweep_dir(spec.name) / SPOOL_FILE, header)
        self.tracker.open()
        self._noted_s = 0.0

    def note(self, driver: Driver, force: bool = False) -> None:
        """Writes how the sweep stands onto its run."""
        if not force and time.monotonic() - self._noted_s < _NOTE_EVERY_S:
            return
        self._noted_s = time.monotonic()
        metric = driver.spec.metric
        rows = [_row(view) for view in driver.trials.values()]
        name, question = driver.spec.name, driver.spec.question
        self.tracker.note(sweep_note(name, question, driver.state(), metric.name, metric.goal, driver.total_trials, rows))

    def close(self, driver: Driver) -> Unsent:
        """Ends the record; returns what is not in it."""
        self.note(driver, force=True)
        self.tracker.closed(driver.state())
        waiting = self.tracker.close()
        return Unsent(waiting, self.tracker.rejected, self.tracker.trouble or "")


def send_waiting(where: Home) -> list[str]:
    """Sends what earlier commands could not, for every sweep of the home that is not running; what went wrong, in words."""
    troubles = []
    for spool in sorted((where.root / "trials").glob(f"*/{SPOOL_FILE}")):
        if not pending_lines(spool):
            continue
        uri = tracking_uri_of(spool.parent.name, where) or where.tracking_uri
        with contextlib.suppress(SpoolBusy):  # it is running, and sends for itself
            left = replay_spool(uri, where.artifact_root, spool, timeout=10.0)
            if left:
                troubles.append(f"{left} records of {spool.parent.name} still wait for {uri}")
    return troubles


def tracking_uri_of(sweep: str, where: Home) -> str | None:
    """Where the sweep's own file sends its record; None where it leaves that to the home."""
    file = where.sweep_file(sweep)
    return parse_sweep(file.read_text(), origin=str(file)).tracking.uri if file.exists() else None


def _row(view: TrialView) -> NoteRow:
    return NoteRow(view.number, view.state, view.value, view.assignment, view.epoch, view.duration_s)
