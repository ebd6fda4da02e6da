"""The driver: decides what is trained and what is stopped, and records it. Executes nothing, so every launcher shares it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from orchestration.messages import Job, Message, TrialState
from orchestration.spec import SweepSpec
from orchestration.spec.search_space import make_trial_config
from orchestration.stopping import Asha, CollapseRule, Never, StoppingRule
from orchestration.study import Search
from orchestration.worker import ARTIFACTS, drop_checkpoint

SweepState = Literal["RUNNING", "FINISHED", "INTERRUPTED", "FAILED"]


class Recorder(Protocol):
    """Who keeps the record; returns at once, whatever the tracking server does."""

    def trial_started(
        self, number: int, params: Mapping[str, Any], fingerprint: str, seed: int | None, tags: Mapping[str, str]
    ) -> None: ...
    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float], timestamp_ms: int) -> None: ...
    def trial_ended(self, number: int, state: TrialState, reason: str, artifacts: Path | None, seconds: float) -> None: ...


@dataclass
class TrialView:
    """A trial as the display and the leaderboard see it."""

    number: int
    assignment: dict[str, Any]
    epochs: int
    """Planned."""
    state: TrialState | Literal["RUNNING"] = "RUNNING"
    reason: str = ""
    epoch: int = 0
    value: float | None = None
    """The searched metric: the last epoch's while running, the selected epoch's at the end."""
    metrics: dict[str, float] = field(default_factory=dict)
    started_s: float = field(default_factory=time.time)
    duration_s: float = 0.0


class Driver:
    """One sweep's decisions, fed with the messages of its workers.

    Args:
        trial_dir: the directory of a trial, by its number.
        tags: set on every trial, such as the commit.
    """

    def __init__(
        self, spec: SweepSpec, search: Search, recorder: Recorder, trial_dir: Callable[[int], Path], tags: Mapping[str, str]
    ) -> None:
        self.spec = spec
        self._search = search
        self._recorder = recorder
        self._directory = trial_dir
        self._tags = dict(tags)
        self._sign = 1.0 if spec.metric.goal == "minimize" else -1.0
        self._rule = _stopping_rule(spec)
        self._collapse = CollapseRule(spec.collapse.min_active_units, spec.collapse.min_rate) if spec.collapse else None
        self._configs: dict[int, Any] = {}
        self._reported: dict[int, set[int]] = {}
        self._started_s = time.monotonic()
        self._seconds_before = search.seconds
        self._failures = 0
        """Since this start: a sweep that is resumed after its cause was mended has its whole allowance again."""
        self.trials: dict[int, TrialView] = {}
        self.ended_by: str | None = None
        """Why no further trial is asked for; None while the sweep may go on."""
        self.stopping = False
        """Set from outside, by a signal, to end the sweep soon."""
        self.listeners: list[Callable[[TrialView], None]] = []
        """Called with each trial that has ended."""
        self._remember()

    def _remember(self) -> None:
        for past in self._search.past:
            self.trials[past.number] = TrialView(
                past.number,
                past.assignment,
                epochs=max(past.values, default=0),
                state=past.outcome,
                reason=past.reason,
                epoch=max(past.values, default=0),
                value=past.value,
                started_s=past.started_s,
                duration_s=past.duration_s,
            )
            for epoch, value in sorted(past.values.items()):
                if past.annealed_from is not None and epoch >= past.annealed_from:
                    self._rule.verdict(past.number, epoch, self._sign * value)

    def next_job(self) -> Job | None:
        """The next trial to train; None where there is no further one (``ended_by`` says why)."""
        while self.ended_by is None and not self.stopping:
            if self._over_budget():
                return None
            asked = self._search.ask()
            if asked is None:
                self.ended_by = "run_cap" if len(self.trials) >= self.spec.run_cap else "grid"
                return None
            number, assignment = asked
            view = TrialView(number, assignment, 0)
            self.trials[number] = view
            self._reported[number] = set()
            try:
                config = make_trial_config(self.spec, assignment)
            except ValueError as error:  # a combination that no check of the file could foresee
                self._recorder.trial_started(number, assignment, "", None, self._tags)
                self._end(view, "FAILED", str(error))
                continue
            view.epochs = config.training.epochs
            self._configs[number] = config
            device = "cuda" if self.spec.resources.gpu > 0 else "cpu"
            return Job(number, config.to_dict(), str(self._directory(number)), device)
        return None

    def hear(self, number: int, message: Message) -> bool:
        """Takes one message of a running trial; False where the worker shall stop it."""
        view = self.trials[number]
        if view.state != "RUNNING" or self.stopping:  # a late word of a trial that has ended, or is about to
            return False
        match message.kind:
            case "start":
                self._start(number, message.facts)
                return True
            case "epoch":
                return self._epoch(view, message)
            case "final":
                self._recorder.epoch(number, message.epoch, message.metrics, message.timestamp_ms)
                view.metrics.update(message.metrics)
                return True
            case "end":
                assert message.state is not None
                self._finish(view, message.state, message.reason, message.seconds)
                return False

    def lost(self, number: int, reason: str) -> None:
        """A worker died for good, without a last word."""
        view = self.trials[number]
        if view.state == "RUNNING":
            self._end(view, "FAILED", reason)

    def interrupt(self) -> None:
        """Ends the running trials as STOPPED: their checkpoints stay, and ``resume`` goes on with them."""
        self.ended_by = "interrupted"
        for view in list(self.trials.values()):
            if view.state == "RUNNING":
                self._end(view, "STOPPED", "the sweep was interrupted")

    @property
    def running(self) -> list[TrialView]:
        return [view for view in self.trials.values() if view.state == "RUNNING"]

    @property
    def total_trials(self) -> int:
        """How many trials the sweep has when nothing ends it earlier."""
        return self._search.total

    def best(self) -> TrialView | None:
        """The finished trial that won; pruned and collapsed ones cannot."""
        finished = [view for view in self.trials.values() if view.state == "COMPLETE" and view.value is not None]
        return min(finished, key=lambda view: self._sign * (view.value or 0.0), default=None)

    def state(self) -> SweepState:
        """How the sweep ended, or that it has not."""
        if self.ended_by is None:
            return "RUNNING"
        if self.ended_by == "interrupted":
            return "INTERRUPTED"
        if self.ended_by.startswith("max_failures") or all(view.state == "FAILED" for view in self.trials.values()):
            return "FAILED"
        return "FINISHED"

    def _start(self, number: int, facts: Mapping[str, str]) -> None:
        config = self._configs[number]
        self._recorder.trial_started(number, config.flat(), config.fingerprint(), config.seed, {**self._tags, **facts})

    def _epoch(self, view: TrialView, message: Message) -> bool:
        self._recorder.epoch(view.number, message.epoch, message.metrics, message.timestamp_ms)
        view.duration_s = message.seconds
        view.epoch = max(view.epoch, message.epoch)
        view.metrics.update(message.metrics)
        value = message.metrics.get(self.spec.metric.name)
        if value is None:
            return True
        view.value = value
        if message.epoch in self._reported[view.number]:  # said again by a worker that took the trial up: judged already
            return True
        self._reported[view.number].add(message.epoch)
        self._search.report(view.number, message.epoch, value, message.annealed)
        if not message.annealed or message.epoch >= view.epochs:
            return True
        pruned = self._rule.verdict(view.number, message.epoch, self._sign * value)
        if message.epoch < self._search.heard.get(view.number, 0):  # an earlier driver let it pass, with what it knew then
            return True
        collapse = self._collapse.verdict(message.metrics) if self._collapse else None
        if collapse and self.spec.collapse and self.spec.collapse.action == "stop":
            self._end(view, "COLLAPSED", collapse)
            return False
        if pruned:
            self._end(view, "PRUNED", pruned)
            return False
        return True

    def _finish(self, view: TrialView, state: TrialState, reason: str, seconds: float) -> None:
        view.duration_s = max(seconds, view.duration_s)
        if state == "COMPLETE":
            view.value = view.metrics[f"best/{self.spec.metric.name}"]
            collapse = self._collapse.verdict(view.metrics, prefix="best/val/") if self._collapse else None
            if collapse:
                state, reason = "COLLAPSED", collapse
        self._end(view, state, reason)

    def _end(self, view: TrialView, state: TrialState, reason: str) -> None:
        view.state, view.reason = state, reason
        self._failures += state == "FAILED"
        scored = f"best/{self.spec.metric.name}" in view.metrics
        directory = self._directory(view.number)
        self._recorder.trial_ended(view.number, state, reason, directory / ARTIFACTS, view.duration_s)
        self._search.tell(view.number, state, reason, view.value if scored else None, view.duration_s)
        self._search.set_seconds(self.seconds)
        if state != "STOPPED":
            drop_checkpoint(directory)
        self._configs.pop(view.number, None)
        for listener in self.listeners:
            listener(view)

    @property
    def seconds(self) -> float:
        """What the sweep has taken so far, over all its starts, pauses left out."""
        return self._seconds_before + time.monotonic() - self._started_s

    def _over_budget(self) -> bool:
        budget = self.spec.budget
        if budget.max_failures is not None and self._failures >= budget.max_failures:
            self.ended_by = f"max_failures: {self._failures} trials have failed"
        elif time.monotonic() - self._started_s > budget.wall_time_s:
            self.ended_by = "wall_time"
        return self.ended_by is not None


def _stopping_rule(spec: SweepSpec) -> StoppingRule:
    rule = spec.early_terminate
    return Never() if rule is None or rule.type == "none" else Asha(rule.min_epochs, rule.eta)
