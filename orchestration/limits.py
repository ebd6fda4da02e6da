"""The budget at work: what a sweep has used of it, and which part of it ends the sweep."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dashboards.standing import words_of
from orchestration.configurations import configurations
from orchestration.outcome import Outcome
from orchestration.tracking.note import clock

if TYPE_CHECKING:
    from orchestration.spec import SweepSpec
    from orchestration.trial_state import TrialView

ALIKE = 3
"""So many first trials that fail with one cause speak of a bug in all."""
FAILURES = ("max_failures", "same_failure")
"""The ends by which a sweep has failed."""


class Limits:
    """One start's view of the budget; fed by the driver.

    Wall time and failures count from this start, so that a sweep whose cause was mended has its whole allowance again;
    device hours and the target are the whole sweep's.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._budget = spec.budget
        self._seeds, self._outcome = spec.seeds, Outcome(spec)
        self._devices = spec.resources.gpu or spec.resources.cpu
        self._sign = spec.metric.sign
        self._metric = spec.metric.name
        self._started_s = time.monotonic()
        self._failed: list[TrialView] = []
        self._any_other = False
        self._hit: str | None = None

    def heard(self, number: int, epoch: int, value: float) -> None:
        """A value past annealing, of a trial that has not collapsed."""
        if self._hit is None and self._seeds == 1 and self._reaches(value):
            self._hit = f"target: trial {number} reached {self._metric} {value:.6g} at epoch {epoch}"

    def _reaches(self, value: float) -> bool:
        target = self._budget.target
        return target is not None and self._sign * value <= self._sign * target

    def _mean_hit(self, trials: Iterable[TrialView]) -> str | None:
        """The configuration of several seeds whose mean has reached the target, in words; of one seed see ``heard``."""
        if self._budget.target is None or self._seeds == 1:
            return None
        for view in configurations(trials, self._seeds, self._outcome):
            if view.state == "COMPLETE" and view.value is not None and self._reaches(view.value):
                return f"target: {words_of(view.number, self._seeds)} reached a mean {self._metric} of {view.value:.6g}"
        return None

    def ended(self, view: TrialView) -> None:
        """A trial of this start has ended."""
        if view.state == "FAILED":
            self._failed.append(view)
        elif view.state != "STOPPED":
            self._any_other = True

    def reached(self, trials: Iterable[TrialView], waiting_s: float = 0.0) -> str | None:
        """Why no further trial may be asked for, beginning with the name of the limit; None while there is none.

        Args:
            trials: all that there are.
            waiting_s: what trials took so far that wait to be taken up again.
        """
        trials = list(trials)
        if self._budget.max_failures is not None and len(self._failed) >= self._budget.max_failures:
            return f"max_failures: {len(self._failed)} trials have failed"
        if (cause := self._same_cause(trials)) is not None:
            return f"same_failure: the first {len(self._failed)} trials failed alike: {cause}"
        if (reason := self.reached_for_good(trials, waiting_s)) is not None:
            return reason
        return "wall_time" if time.monotonic() - self._started_s > self._budget.wall_time_s else None

    def reached_for_good(self, trials: Iterable[TrialView], waiting_s: float = 0.0) -> str | None:
        """Of the whole sweep's limits the one that is used up, as ``reached``: by it the sweep would end at every start."""
        trials = list(trials)
        self._hit = self._hit or self._mean_hit(trials)
        if self._hit is not None:
            return self._hit
        if self._budget.device_hours is not None and self._device_hours(trials, waiting_s) >= self._budget.device_hours:
            return "device_hours"
        return None

    def used(self, trials: Iterable[TrialView], total: int, waiting_s: float = 0.0) -> str:
        """How much of each limit is used, in words; only of those that there are."""
        budget, trials = self._budget, list(trials)
        ended = sum(view.state not in ("RUNNING", "STOPPED") for view in trials)
        parts = [f"{ended} of {total} trials"]
        if budget.wall_time is not None:
            parts.append(f"{clock(time.monotonic() - self._started_s)} of {clock(budget.wall_time_s)} wall time")
        if budget.device_hours is not None:
            parts.append(f"{self._device_hours(trials, waiting_s):.3g} of {budget.device_hours:g} device hours")
        if budget.max_failures is not None:
            parts.append(f"{len(self._failed)} of {budget.max_failures} failures")
        if budget.target is not None:
            parts.append(f"target {budget.target:g} {'not yet ' if self._hit is None else ''}reached")
        return ", ".join(parts)

    def _device_hours(self, trials: Iterable[TrialView], waiting_s: float) -> float:
        return self._devices * (sum(view.duration_s for view in trials) + waiting_s) / 3600

    def _same_cause(self, trials: list[TrialView]) -> str | None:
        """The cause of the first configurations' failures where it is one, nothing else has ended, and none has got further."""
        different = {view.number // self._seeds for view in self._failed}
        if len(different) < ALIKE or self._any_other or len({_cause(view.reason) for view in self._failed}) > 1:
            return None
        furthest = max(view.epoch for view in self._failed)
        if any(view.state == "RUNNING" and view.epoch > furthest for view in trials):
            return None
        return self._failed[0].reason


def _cause(reason: str) -> str:
    """A reason without its numbers: sizes, epochs and steps differ from trial to trial."""
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", reason)
