"""The search: a thin layer that asks and tells an Optuna study, which is the source of truth.

A *number* names a trial of the sweep. An interrupted trial is told FAIL and waits in the study's queue under the same
number, parameters and seed; so one number may have several Optuna trials, of which at most one counts.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orchestration.messages import TrialState
from orchestration.outcome import Outcome
from orchestration.past import (
    ANNEALED,
    COLLAPSED,
    DATA,
    EARLIER,
    METRICS,
    NUMBER,
    OUTCOME,
    REASON,
    REJECTED,
    SCHEDULE,
    SECONDS,
    VALUE,
)
from orchestration.points import SEQUENCES, TRIES, NoAllowedPoint, seed_of, settled_points
from orchestration.recovery import recover
from orchestration.samplers import Draw, make_sampler
from orchestration.spec import SweepSpec
from orchestration.spec.constraints import Constraints
from orchestration.spec.search_space import Assignment, SearchSpace, planned_trials
from orchestration.stored import SPEC, driven, let_go, new_study, open_storage, together

if TYPE_CHECKING:
    import optuna

_CONSTRAINTS, _WARM, _BARRIER = "constraints", "warm_start", "barrier:"


class Search:
    """One sweep's study."""

    def __init__(self, spec: SweepSpec, study: optuna.Study) -> None:
        self._spec = spec
        self._study = study
        self._space = SearchSpace(spec.parameters)
        self._running: dict[int, optuna.trial.Trial] = {}
        self._outcome = Outcome(spec)
        self._constraints = Constraints(spec)
        self._settled = settled_points(spec)
        self.exhausted: str | None = None
        """Why no further point can be found, where that is so."""
        with self.together():
            found = recover(study, self._space)
        self._rejected = found.rejected
        """Draws in vain that a sampler counts among its start-up trials."""
        self._earlier = found.earlier
        self._asked = found.asked
        self._waiting = len(found.unfinished)
        self.past = found.past
        self.unfinished = found.unfinished
        """What is known of trials that wait to be taken up again; their outcome counts for nothing."""
        self.heard = found.heard
        """The last epoch that an earlier driver heard, by number."""
        for _ in range(self._asked):
            self._next_settled()

    def together(self) -> AbstractContextManager[None]:
        """What is changed within reaches the study's database as a whole, or not at all."""
        return together(self._study)

    @property
    def warm(self) -> bool:
        """Whether the search has been told of the earlier sweeps that its file names, if it names any."""
        return self._spec.search.warm_start is None or _WARM in self._study.user_attrs

    def set_warm(self, lines: Collection[str]) -> None:
        """All that is of use has been told; ``lines`` say what that was."""
        self._study.set_user_attr(_WARM, list(lines))

    def add_earlier(self, origin: str, point: Mapping[str, Any], scores: list[float], metrics: Mapping[str, float]) -> None:
        """Tells of a complete trial of another sweep, once."""
        import optuna

        if any(known.user_attrs[EARLIER] == origin for known in self._earlier):
            return
        fixed = optuna.trial.FixedTrial(dict(point))
        self._space.suggest(fixed)
        told = optuna.trial.create_trial(
            params=fixed.params,
            distributions=fixed.distributions,
            values=scores,
            user_attrs={EARLIER: origin},
            constraints=self._violations("COMPLETE", metrics),
        )
        self._study.add_trial(told)
        self._earlier.append(told)

    @classmethod
    def create(cls, spec: SweepSpec, url: str, text: str) -> Search:
        """A new study.

        Raises:
            LaunchError: the name is taken.
        """
        return cls(spec, new_study(spec, url, text))

    @classmethod
    def resume(cls, spec: SweepSpec, url: str) -> Search:
        """An earlier study; trials that ran when it ended wait to be gone on with."""
        import optuna

        storage = open_storage(url)
        return cls(spec, driven(optuna.load_study(study_name=spec.name, storage=storage), storage))

    def close(self) -> None:
        """Closes the connections to the study's database."""
        let_go(self._study._storage)

    @property
    def total(self) -> int:
        """Trials of the whole sweep: its cap, or its grid where that is smaller."""
        return self._planned

    @functools.cached_property
    def _planned(self) -> int:
        return planned_trials(self._spec)

    def ask(self) -> tuple[int, Assignment] | None:
        """The next trial's number and parameters; None where there is no further one: ``exhausted`` says why, if not the cap."""
        with self.together():
            asked = self._ask()
        if asked is None:
            return None
        trial, number, assignment = asked
        self._running[number] = trial
        return number, assignment

    def _ask(self) -> tuple[optuna.trial.Trial, int, Assignment] | None:
        number = self._asked
        if not self._waiting:
            if number >= self._spec.run_cap or self.exhausted:
                return None
            point = self._next_settled()
            if point is not None:
                self.enqueue(number, point)
            elif self.exhausted or self._spec.method in SEQUENCES:
                return None
        drawn = self._draw(number)
        if drawn is None:
            return None
        trial, assignment = drawn
        if self._waiting:  # a new one has just got its number
            self._waiting -= 1
            number = trial.user_attrs[NUMBER]
        self._asked = max(self._asked, number + 1)
        return trial, number, assignment

    def enqueue(self, number: int, point: Mapping[str, Any]) -> None:
        """What is asked for next: a point under Optuna's names."""
        self._study.enqueue_trial(dict(point), user_attrs={NUMBER: number})
        self._waiting += 1

    def point(self, number: int) -> dict[str, Any]:
        """A running trial's parameters, under Optuna's names."""
        return self._running[number].params

    def _next_settled(self) -> dict[str, Any] | None:
        """The next point that no sampler has to draw; None where there is none."""
        try:
            return next(self._settled, None)
        except NoAllowedPoint as reason:
            self.exhausted = str(reason)
            return None

    def _draw(self, number: int) -> tuple[optuna.trial.Trial, Assignment] | None:
        """A trial that waits, or a new one within the constraints.

        Points that violate them are held as running until one is found, so that a model looks elsewhere, and are then told as
        infeasible.
        """
        import optuna

        vain: list[optuna.trial.Trial] = []
        found = None
        while found is None and len(vain) < TRIES:
            # A sampler made anew for each draw draws the same whether or not the sweep was interrupted.
            search, seed = self._spec.search, seed_of(self._spec.search.seed, number, len(vain))
            draw = Draw(number, seed, search, search.startup_trials + self._rejected, self._earlier)
            self._study.sampler = make_sampler(self._spec.method, draw)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                trial = self._study.ask()
                assignment = self._space.suggest(trial)
            violation = 0.0 if NUMBER in trial.user_attrs else self._constraints.violation(assignment)
            if violation:
                trial.set_user_attr(REJECTED, number)
                trial.set_constraint(_CONSTRAINTS, violation)
                vain.append(trial)
            else:
                found = trial, assignment
        if found is None:
            self.exhausted = str(NoAllowedPoint(f"points drawn for trial {number}"))
        elif NUMBER not in found[0].user_attrs:
            found[0].set_user_attr(NUMBER, number)
        for trial in vain:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        self._rejected += len(vain)
        return found

    def report(self, number: int, epoch: int, value: float, *, annealed: bool, collapsed: bool = False) -> None:
        """The searched metric after an epoch; whether annealing had ended, and the posterior was collapsed."""
        trial = self._running[number]
        with self.together():
            if collapsed:  # a resumed sweep must leave out of its rungs what this one did
                trial.set_user_attr(COLLAPSED, [*trial.user_attrs.get(COLLAPSED, ()), epoch])
            if annealed and ANNEALED not in trial.user_attrs:
                trial.set_user_attr(ANNEALED, epoch)
            if self._spec.metrics:  # Optuna keeps no values by epoch of several metrics
                trial.set_user_attr(f"{VALUE}{epoch}", value)
            else:
                trial.report(value, step=epoch)

    def began(self, number: int, data: str) -> None:
        """A trial has its data; their fingerprint is kept for later sweeps."""
        self._running[number].set_user_attr(DATA, data)

    def tell(
        self,
        number: int,
        outcome: TrialState,
        reason: str,
        value: float | None,
        seconds: float,
        metrics: Mapping[str, float] = MappingProxyType({}),
        violations: Mapping[str, float] | None = None,
    ) -> None:
        """Ends a trial. A pruned one keeps its last reported value; a collapsed one counts as infeasible, not as failed.

        Args:
            value: of the selected epoch; None where none was selected.
            seconds: what the trial took, pauses left out.
            metrics: its last ones.
            violations: of the outcome constraints; None: those of ``metrics``.
        """
        import optuna

        State = optuna.trial.TrialState
        trial = self._running.pop(number)
        with self.together():
            for name, fact in ((METRICS, self._outcome.kept(metrics)), (REASON, reason), (SECONDS, seconds), (OUTCOME, outcome)):
                trial.set_user_attr(name, fact)
            for name, violation in self._violations(outcome, metrics, violations).items():
                trial.set_constraint(name, violation)
            values = self._outcome.scores(metrics) if self._spec.metrics else None if value is None else [value]
            # CMA-ES knows no constraints: what collapsed teaches it nothing.
            deaf = self._spec.method == "cmaes" and outcome == "COLLAPSED"
            if values is not None and outcome in ("COMPLETE", "COLLAPSED") and not deaf:
                self._study.tell(trial, values)
            elif outcome in ("PRUNED", "COLLAPSED"):
                self._study.tell(trial, state=State.PRUNED)
            else:
                self._study.tell(trial, state=State.FAIL)

    def _violations(
        self, outcome: TrialState, metrics: Mapping[str, float], violations: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Every constraint that Optuna is told of a trial, by its name."""
        collapsed = {"collapse": 1.0 if outcome == "COLLAPSED" else 0.0} if self._spec.collapse is not None else {}
        own = {_CONSTRAINTS: 0.0} if self._constraints else {}
        return {**own, **collapsed, **(self._outcome.violations(metrics) if violations is None else violations)}

    @property
    def asked(self) -> int:
        """How many trials the sweep has, ended or not."""
        return self._asked

    @property
    def left(self) -> int:
        """How many trials may still be asked for: those that wait, and new ones."""
        return self._waiting + (0 if self.exhausted else max(0, self.total - self._asked))

    @property
    def barriers(self) -> list[dict[str, Any]]:
        """What was decided at the barriers of a population, in their order."""
        found = [barrier for name, barrier in self._study.user_attrs.items() if name.startswith(_BARRIER)]
        return sorted(found, key=lambda barrier: int(barrier["epoch"]))

    def set_barrier(self, barrier: dict[str, Any]) -> None:
        """Keeps what was decided at one, whole or not at all."""
        self._study.set_user_attr(f"{_BARRIER}{barrier['epoch']}", barrier)

    def set_schedule(self, number: int, schedule: list[dict[str, Any]]) -> None:
        """Keeps with a running trial what it descends from: Optuna's own parameters stay those that it began with."""
        self._running[number].set_user_attr(SCHEDULE, schedule)

    def set_text(self, text: str) -> None:
        """Keeps the sweep file as it is now."""
        self._study.set_user_attr(SPEC, text)

    @property
    def seconds(self) -> float:
        """What the sweep took before this start, pauses left out."""
        return float(self._study.user_attrs.get(SECONDS, 0.0))

    def set_seconds(self, seconds: float) -> None:
        """Remembers what the sweep has taken so far."""
        self._study.set_user_attr(SECONDS, seconds)
