"""The driver's part in population-based training: who waits at a barrier, when it is decided, and who goes on from there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from dashboards.schedules import DONOR, Stint
from orchestration.lineage import hand_over
from orchestration.population import Barrier, Population
from orchestration.spec import SweepSpec
from orchestration.spec.early_terminate import Pbt
from orchestration.study import Search
from orchestration.trial_state import TrialView


class Barriers:
    """One sweep's, kept in its study.

    Args:
        trial_dir: the directory of a trial, by its number.
        log: told what was decided.
    """

    def __init__(
        self, spec: SweepSpec, rule: Pbt, search: Search, trial_dir: Callable[[int], Path], log: Callable[[str], None]
    ) -> None:
        self._search, self._directory, self._log = search, trial_dir, log
        self._population = Population(spec, rule, map(Barrier.from_dict, search.barriers))
        self._due: list[TrialView] = []
        """Members that may go on, and wait for a worker."""
        self._next = 0
        """The epoch of the barrier that members wait at."""

    def began(self, view: TrialView) -> None:
        """A member has begun, or is taken up again: it is trained with what it last took over."""
        view.assignment = dict(self._population.join(view.number, view.assignment))
        self._keep_schedule(view.number)

    def ended(self, view: TrialView) -> None:
        """The same for a member of which no more is to come."""
        view.assignment = dict(self._population.join(view.number, view.assignment))

    def holds(self, view: TrialView, epoch: int, value: float, *, collapsed: bool) -> bool:
        """Whether a member past its annealing waits after this epoch; ``value`` is lower-is-better."""
        if not self._population.is_barrier(epoch) or epoch >= view.epochs:
            return False
        self._population.arrive(view.number, math.inf if collapsed else value)
        self._next = epoch
        view.waiting = True
        return True

    @property
    def closed(self) -> str | None:
        """Why none can join any more, if so."""
        return "population: none can join it after its first barrier" if self._population.is_closed else None

    def due(self, living: Collection[TrialView], *, to_come: bool) -> TrialView | None:
        """The next member that goes on; None while there is none.

        Args:
            living: all that run.
            to_come: whether there are members that have not begun.
        """
        if not self._due and living and not to_come and all(self._population.waits(view.number) for view in living):
            self._decide(living)
        while self._due:
            view = self._due.pop(0)
            if view.state == "RUNNING":
                view.waiting = False
                return view
        return None

    def schedule(self, number: int) -> list[dict[str, Any]]:
        """What a member descends from, as plain dicts."""
        return [stint.to_dict() for stint in self._population.schedule(number)]

    def tags(self, number: int) -> dict[str, str]:
        """What the record says of it."""
        schedule = self._population.schedule(number)
        changed = {"parameters.last": json.dumps(schedule[-1].parameters)} if len(schedule) > 1 else {}
        return {"schedule": json.dumps(self.schedule(number)), **changed}

    def taken_over(self, number: int) -> tuple[int, dict[str, float]] | None:
        """The epoch after which a member last took over, and the metric that marks it; None where it never has."""
        *_, before, last = (Stint(0, number, {}), *self._population.schedule(number))
        return (last.from_epoch, {DONOR: float(before.number)}) if last.from_epoch else None

    def _decide(self, living: Collection[TrialView]) -> None:
        """The states first: with the decision in the study, a kill finds all in place that it needs."""
        barrier = self._population.decide(self._next, [view.number for view in living])
        donors = {taker: schedule[-2].number for taker, schedule in barrier.takers.items()}
        for taker, donor in donors.items():
            hand_over(self._directory(donor), self._directory(taker), barrier.epoch)
        self._search.set_barrier(barrier.to_dict())
        self._population.remember(barrier)
        self._due = sorted(living, key=lambda view: view.number)
        who = ", ".join(f"{taker} from {donor}" for taker, donor in donors.items())
        told = f"taken over: {who}" if who else "none takes over"
        self._log(f"barrier after epoch {barrier.epoch}: {len(living)} members; {told}")
        for view in self._due:
            if view.number in barrier.takers:
                view.assignment = dict(barrier.takers[view.number][-1].parameters)
                told = ", ".join(f"{name}={value}" for name, value in view.assignment.items())
                self._log(f"trial {view.number} goes on from the weights of trial {donors[view.number]}: {told}")
                self._keep_schedule(view.number)

    def _keep_schedule(self, number: int) -> None:
        if len(self._population.schedule(number)) > 1:
            self._search.set_schedule(number, self.schedule(number))


def barriers(spec: SweepSpec, search: Search, trial_dir: Callable[[int], Path], log: Callable[[str], None]) -> Barriers | None:
    """Those of a sweep whose trials are a population."""
    rule = spec.early_terminate
    return Barriers(spec, rule, search, trial_dir, log) if isinstance(rule, Pbt) else None
