"""What becomes of a trial: it goes on, waits, or ends, by what its epochs and its last scores say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from orchestration.barriers import Barriers
from orchestration.limits import Limits
from orchestration.messages import Message, TrialState
from orchestration.outcome import Outcome
from orchestration.past import Past
from orchestration.seed_test import seed_test
from orchestration.spec import SweepSpec
from orchestration.stopping import CollapseRule, stopping_rule
from orchestration.study import Search
from orchestration.trial_state import TrialView


@dataclass(frozen=True)
class Verdict:
    """On one epoch of a trial."""

    goes_on: bool = True
    """False also where the trial waits at a barrier, and has not ended."""
    state: TrialState | None = None
    """How it has ended, if it has."""
    reason: str = ""


_GOES_ON = Verdict()


class Judge:
    """Stopping rule, collapse, target, barriers and the test over seeds of one sweep, in the order in which each has its say."""

    def __init__(self, spec: SweepSpec, search: Search, outcome: Outcome, limits: Limits, barriers: Barriers | None) -> None:
        self._spec = spec
        self._search = search
        self._outcome = outcome
        self._limits = limits
        self._barriers = barriers
        self._sign = spec.metric.sign
        self._rule = stopping_rule(spec.early_terminate)
        self._seed_test = seed_test(spec, outcome)
        self._collapse = CollapseRule(spec.collapse.min_active_units, spec.collapse.min_rate) if spec.collapse else None
        self._judged: dict[int, set[int]] = {}
        """Epochs of each trial that this start has judged."""

    def tell_again(self, past: Past) -> None:
        """What the stopping rule heard of a trial before this start, and the target, if the trial came to its end."""
        for epoch, value in sorted(past.values.items()):
            if past.annealed_from is not None and epoch >= past.annealed_from and epoch not in past.collapsed:
                if past.outcome == "COMPLETE":
                    self._limits.heard(past.number, epoch, value)
                self._rule.verdict(past.number, epoch, self._sign * value)

    def epoch(self, view: TrialView, message: Message, value: float) -> Verdict:
        """Reports the searched metric after an epoch to the search, and judges it."""
        if math.isnan(value):  # which compares with nothing, and would unsettle every rung
            value = self._sign * math.inf
        judged = self._judged.setdefault(view.number, set())
        if message.epoch in judged:  # said again by a worker that took the trial up
            return _GOES_ON
        judged.add(message.epoch)
        collapse = self._collapse.verdict(message.metrics) if self._collapse and message.annealed else None
        self._search.report(view.number, message.epoch, value, annealed=message.annealed, collapsed=collapse is not None)
        pruned = None
        if message.annealed and collapse is None:  # in a rung, a collapsed posterior's value would push healthy trials out
            self._limits.heard(view.number, message.epoch, value)
            pruned = self._rule.verdict(view.number, message.epoch, self._sign * value)
        if not message.annealed or message.epoch >= view.epochs:
            return _GOES_ON
        if message.epoch < self._search.heard.get(view.number, 0):  # an earlier driver let it pass, with what it knew then
            return _GOES_ON
        if collapse and self._spec.collapse and self._spec.collapse.action == "stop":
            return Verdict(False, "COLLAPSED", collapse)
        if pruned:
            return Verdict(False, "PRUNED", pruned)
        if self._barriers is None:
            return _GOES_ON
        return Verdict(not self._barriers.holds(view, message.epoch, self._sign * value, collapsed=collapse is not None))

    def end(self, view: TrialView, state: TrialState, reason: str) -> tuple[TrialState, str]:
        """How a trial has ended whose worker says how, and why."""
        lost = [metric.column for metric in self._outcome.objectives if not math.isfinite(view.metrics.get(metric.column, 0.0))]
        if state == "COMPLETE" and lost:
            return "FAILED", " and ".join(f"{name} is {view.metrics[name]}" for name in lost)
        if state == "COMPLETE" and self._collapse:
            collapse = self._collapse.verdict(view.metrics, prefix="best/val/")
            if collapse:
                return "COLLAPSED", collapse
        return state, reason

    def no_further_seeds(self, trials: Iterable[TrialView], view: TrialView) -> str | None:
        """Why the configuration of a complete trial is trained under no further seed, if it is not."""
        return None if self._seed_test is None else self._seed_test.verdict(trials, view.number)
