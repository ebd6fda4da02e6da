"""A sweep's record while it runs: opens the tracker, keeps the note on the sweep's run fresh, closes it."""

from __future__ import annotations

import time

from dashboards.home import Home
from orchestration.driver import Driver, TrialView
from orchestration.note import NoteRow, sweep_note
from orchestration.search_space import SearchSpace
from orchestration.spec import SweepSpec
from orchestration.tracking import SweepHeader, Tracker

_NOTE_EVERY_S = 5.0
"""The note is written at most so often, so that its cost does not grow with the number of trials."""


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
        self.tracker = Tracker(where.tracking_uri, where.artifact_root, where.sweep_dir(spec.name) / "spool.jsonl", header)
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

    def close(self, driver: Driver) -> int:
        """Ends the record; returns how many entries still wait for the server."""
        self.note(driver, force=True)
        self.tracker.closed(driver.state())
        self.tracker.close()
        return self.tracker.pending


def _row(view: TrialView) -> NoteRow:
    return NoteRow(view.number, view.state, view.value, view.assignment, view.epoch, view.duration_s)
