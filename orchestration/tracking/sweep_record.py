"""A sweep's record while it runs: opens the tracker, keeps the note on the sweep's run fresh, closes it."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from dashboards.home import Home, without_password
from orchestration.configurations import configurations
from orchestration.driver import Driver
from orchestration.driver_lock import without_driver
from orchestration.errors import LaunchError
from orchestration.hidden import URI_FILE
from orchestration.outcome import Outcome
from orchestration.spec import SweepSpec
from orchestration.spec.confirmation import confirmation_tags
from orchestration.spec.search_space import SearchSpace
from orchestration.spec.variants import in_words, variant_places
from orchestration.tracking.dashboard_link import dashboard_link
from orchestration.tracking.note import NoteRow, sweep_note
from orchestration.tracking.sender import SenderProcess, SenderThread
from orchestration.tracking.spool import SPOOL_FILE, SpoolBusy, pending_lines
from orchestration.tracking.tracker import SweepHeader, Tracker, replay_spool
from orchestration.trial_state import TrialView
from orchestration.worker import has_checkpoint

_SENDING_S = 60.0
"""For another command that sends records of the sweep; each ends by itself, after some ten seconds."""
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
    """The record of one sweep in MLflow.

    Args:
        apart: sent by a process of its own, so that this one is free for its workers.

    Raises:
        LaunchError: another process writes it, and goes on doing so.
    """

    def __init__(self, spec: SweepSpec, text: str, where: Home, apart: bool = False) -> None:
        header = SweepHeader(
            name=spec.name,
            question=spec.question,
            metric_name=spec.metric.name,
            goal=spec.metric.goal,
            method=spec.method,
            run_cap=spec.run_cap,
            parameters=SearchSpace(spec.parameters).names,
            variants=variant_places(spec.parameters),
            source=text,
            metrics=[{"name": metric.name, "goal": metric.goal} for metric in spec.metrics],
            outcome_constraints=list(spec.outcome_constraints),
            seeds=spec.seeds,
            confirms=confirmation_tags(spec.confirms, spec.parameters),
        )
        spool, sender = where.sweep_dir(spec.name) / SPOOL_FILE, SenderProcess if apart else SenderThread
        self.tracker = Tracker(where.tracking_uri, where.artifact_root, spool, header, sender)
        self._open(spec.name)
        self._noted_s = 0.0

    def _open(self, name: str) -> None:
        """Once no other command sends what an earlier driver of the sweep left."""
        deadline_s = time.monotonic() + _SENDING_S
        while True:
            try:
                return self.tracker.open()
            except SpoolBusy as error:
                if time.monotonic() > deadline_s:
                    raise LaunchError(f"another command is still sending records of {name!r}: try again later") from error
                time.sleep(0.1)

    def note(self, driver: Driver, force: bool = False) -> None:
        """Writes how the sweep stands onto its run."""
        if not force and time.monotonic() - self._noted_s < _NOTE_EVERY_S:
            return
        self._noted_s = time.monotonic()
        metric = driver.spec.metric
        spec, views = driver.spec, driver.trials.values()
        rows = [_row(spec, view) for view in views]
        means = [_row(spec, view) for view in configurations(views, spec.seeds, Outcome(spec))] if spec.seeds > 1 else None
        note = sweep_note(
            spec.name, spec.question, driver.state(), metric.name, metric.goal, driver.total_trials, rows, means=means
        )
        self.tracker.note(note + dashboard_link(spec.name), driver.budget_used)

    @property
    def ended(self) -> bool:
        """Whether its last word has been said."""
        return self.tracker.finishing

    def end(self, driver: Driver) -> None:
        """Says the last that there is to say; it is sent meanwhile."""
        self.note(driver, force=True)
        self.tracker.closed(driver.state(), driver.seconds, driver.ended_by or "")
        self.tracker.finish()

    def close(self) -> Unsent:
        """Waits until all is sent; returns what is not."""
        waiting = self.tracker.close()
        return Unsent(waiting, self.tracker.rejected, self.tracker.trouble or "")


def send_waiting(where: Home) -> list[str]:
    """Sends what earlier commands could not, for every sweep of the home that is not running; what went wrong, in words."""
    troubles, away = [], set()
    for spool in sorted((where.root / "trials").glob(f"*/{SPOOL_FILE}")):
        uri = tracking_uri_of(spool.parent.name, where)
        if uri in away or not pending_lines(spool):
            continue
        with contextlib.suppress(SpoolBusy):  # it is running, and sends for itself
            left = replay_spool(uri, where.artifact_root, spool, timeout=10.0)
            if left:
                away.add(uri)
                troubles.append(f"{left} records of {spool.parent.name} still wait for {without_password(uri)}")
            else:
                with without_driver(spool.parent) as free:  # one that began just now has trials there
                    if free:
                        clear_delivered(spool.parent)
    return troubles


def clear_delivered(directory: Path) -> None:
    """Removes the trials' directories of a sweep whose record is complete, but for those that a resume goes on with.

    Hold the driver's lock.
    """
    for trial in directory.glob("[0-9]*"):
        if not has_checkpoint(trial):
            shutil.rmtree(trial, ignore_errors=True)


def tracking_uri_of(sweep: str, where: Home) -> str:
    """Where the sweep's record went when it was started, whatever the environment says now."""
    file = where.sweep_dir(sweep) / URI_FILE
    return (file.read_text() or where.own_tracking_uri) if file.exists() else where.tracking_uri


def tracking_uris(where: Home) -> list[str]:
    """The home's own store, then every other one that a sweep of it is recorded in."""
    files = sorted((where.root / "trials").glob(f"*/{URI_FILE}"))
    return list(dict.fromkeys([where.tracking_uri, *(file.read_text() or where.own_tracking_uri for file in files)]))


def _row(spec: SweepSpec, view: TrialView) -> NoteRow:
    words = in_words(spec.parameters, view.assignment)
    return NoteRow(view.number, view.state, view.value, words, view.epoch, view.duration_s, view.metrics)
