"""The search: a thin layer that asks and tells an Optuna study, which is the source of truth.

A *number* names a trial of the sweep. An interrupted trial is told FAIL and waits in the study's queue under the same
number, parameters and seed; so one number may have several Optuna trials, of which at most one counts.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orchestration.messages import TrialState
from orchestration.outcome import Outcome
from orchestration.past import (
    ANNEALED,
    COLLAPSED,
    DATA,
    EPOCH,
    METRICS,
    NUMBER,
    OUTCOME,
    REASON,
    SECONDS,
    Past,
    last_epoch,
    past_of,
    unfinished,
)
from orchestration.points import SEQUENCES, TRIES, NoAllowedPoint, seed_of, settled_points
from orchestration.samplers import Draw, make_sampler
from orchestration.spec import SweepSpec
from orchestration.spec.constraints import Constraints
from orchestration.spec.search_space import Assignment, SearchSpace, planned_trials

if TYPE_CHECKING:
    import optuna

_SPEC, _CONSTRAINTS, _WARM = "spec", "constraints", "warm_start"
_REJECTED = "rejected"
"""On a point that violates the constraints: the number for which it was drawn."""
EARLIER = "earlier"
"""On a trial that another sweep has trained: which, as SWEEP/NUMBER. It has no number here."""
MEMORY = "memory"
"""In place of a URL: a storage that ends with this process."""


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Optuna's storage behind an SQLAlchemy URL; where it is locked, or away later on, it is waited for.

    Raises:
        LaunchError: it cannot be reached.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url == MEMORY:
        return optuna.storages.InMemoryStorage()
    from orchestration.patient_storage import open_patiently

    return open_patiently(url)


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
        self._rejected = 0
        """Draws in vain that a sampler counts among its start-up trials."""
        self._earlier: list[optuna.trial.FrozenTrial] = []
        self.exhausted: str | None = None
        """Why no further point can be found, where that is so."""
        self._asked = 0
        self._waiting = 0
        self.past: list[Past] = []
        self.unfinished: list[Past] = []
        """What is known of trials that wait to be taken up again; their outcome counts for nothing."""
        self.heard: dict[int, int] = {}
        """The last epoch that an earlier driver heard, by number."""
        self._recover()

    @staticmethod
    def names(url: str) -> list[str]:
        """The sweeps that the storage knows."""
        import optuna

        return sorted(optuna.get_all_study_names(open_storage(url)))

    @staticmethod
    def stored_text(url: str, name: str) -> str | None:
        """The sweep file with which the study was made, or None where there is no such study."""
        import optuna

        try:
            study = optuna.load_study(study_name=name, storage=open_storage(url))
        except KeyError:
            return None
        return str(study.user_attrs.get(_SPEC, ""))

    @staticmethod
    def assignments(spec: SweepSpec, url: str, numbers: Collection[int]) -> dict[int, Assignment]:
        """What these finished trials of a stored sweep were trained with, by number; changes nothing in the study."""
        import optuna

        space = SearchSpace(spec.parameters)
        study = optuna.load_study(study_name=spec.name, storage=open_storage(url))
        last = {frozen.user_attrs.get(NUMBER): frozen for frozen in study.get_trials(deepcopy=False)}
        return {number: space.suggest(optuna.trial.FixedTrial(last[number].params)) for number in numbers}

    @staticmethod
    def complete(spec: SweepSpec, url: str) -> list[Past]:
        """The complete trials of a stored sweep, by number; changes nothing in the study."""
        import optuna

        study = optuna.load_study(study_name=spec.name, storage=open_storage(url))
        last = {frozen.user_attrs[NUMBER]: frozen for frozen in study.get_trials(deepcopy=False) if NUMBER in frozen.user_attrs}
        complete = {number: frozen for number, frozen in last.items() if frozen.user_attrs.get(OUTCOME) == "COMPLETE"}
        return [past_of(SearchSpace(spec.parameters), number, frozen) for number, frozen in sorted(complete.items())]

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
            optuna.exceptions.DuplicatedStudyError: the name is taken.
        """
        import optuna

        directions = [metric.goal for metric in spec.objectives]
        study = optuna.create_study(study_name=spec.name, storage=open_storage(url), directions=directions)
        study.set_user_attr(_SPEC, text)
        return cls(spec, study)

    @classmethod
    def resume(cls, spec: SweepSpec, url: str) -> Search:
        """An earlier study; trials that ran when it ended wait to be gone on with."""
        import optuna

        return cls(spec, optuna.load_study(study_name=spec.name, storage=open_storage(url)))

    def _recover(self) -> None:
        import optuna

        State = optuna.trial.TrialState
        by_number: dict[int, list[optuna.trial.FrozenTrial]] = {}
        rejected: list[optuna.trial.FrozenTrial] = []
        for frozen in self._study.get_trials(deepcopy=False):
            if NUMBER in frozen.user_attrs:
                by_number.setdefault(frozen.user_attrs[NUMBER], []).append(frozen)
            elif EARLIER in frozen.user_attrs:
                self._earlier.append(frozen)
            elif _REJECTED in frozen.user_attrs:
                rejected.append(frozen)
            elif frozen.state == State.RUNNING:  # killed between being asked and getting its number: nobody has seen it
                self._study.tell(frozen.number, state=State.FAIL)
        for number, attempts in sorted(by_number.items()):
            last = attempts[-1]
            self.heard[number] = max(map(last_epoch, attempts))
            if last.state == State.WAITING:
                self._waiting += 1
                self.unfinished.append(unfinished(number, attempts))
            elif last.state == State.RUNNING or last.user_attrs.get(OUTCOME) == "STOPPED":
                # Queued before the old attempt is ended: a kill between the two loses nothing.
                # Killed while it was asked, an enqueued trial has only some of its parameters yet.
                parameters = {**last.system_attrs.get("fixed_params", {}), **last.params}
                # What the sampler noted of the draw, such as its generation, stays with the number.
                noted = {key: at for key, at in last.system_attrs.items() if not key.startswith(("fixed_params", "constraints"))}
                attributes = {"fixed_params": parameters, **noted}
                waiting = optuna.trial.create_trial(state=State.WAITING, user_attrs={NUMBER: number}, system_attrs=attributes)
                self._study.add_trial(waiting)
                self._waiting += 1
                self.unfinished.append(unfinished(number, attempts))
            else:
                self.past.append(past_of(self._space, number, last))
            for attempt in attempts:
                if attempt.state == State.RUNNING:
                    self._study.tell(attempt.number, state=State.FAIL)
        self._asked = 1 + max(by_number, default=-1)
        for frozen in rejected:
            if frozen.state == State.RUNNING:  # killed while another was sought in its place: that one will be found again
                taken = frozen.user_attrs[_REJECTED] in by_number
                self._study.tell(frozen.number, state=State.PRUNED if taken else State.FAIL)
            self._rejected += frozen.state == State.PRUNED or frozen.user_attrs[_REJECTED] in by_number
        for _ in range(self._asked):
            self._next_settled()

    @functools.cached_property
    def total(self) -> int:
        """Trials of the whole sweep: its cap, or its grid where that is smaller."""
        return planned_trials(self._spec)

    def ask(self) -> tuple[int, Assignment] | None:
        """The next trial's number and parameters; None where there is no further one: ``exhausted`` says why, if not the cap."""
        number = self._asked
        if not self._waiting:
            if number >= self._spec.run_cap or self.exhausted:
                return None
            point = self._next_settled()
            if point is not None:
                self._study.enqueue_trial(point, user_attrs={NUMBER: number})
                self._waiting += 1
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
        self._running[number] = trial
        return number, assignment

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
                trial.set_user_attr(_REJECTED, number)
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
        if collapsed:  # a resumed sweep must leave out of its rungs what this one did
            trial.set_user_attr(COLLAPSED, [*trial.user_attrs.get(COLLAPSED, ()), epoch])
        if annealed and ANNEALED not in trial.user_attrs:
            trial.set_user_attr(ANNEALED, epoch)
        if self._spec.metrics:  # Optuna keeps no values by epoch of several metrics
            trial.set_user_attr(EPOCH, epoch)
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
    ) -> None:
        """Ends a trial. A pruned one keeps its last reported value; a collapsed one counts as infeasible, not as failed.

        Args:
            value: of the selected epoch; None where none was selected.
            seconds: what the trial took, pauses left out.
            metrics: its last ones.
        """
        import optuna

        State = optuna.trial.TrialState
        trial = self._running.pop(number)
        for name, fact in ((METRICS, self._outcome.kept(metrics)), (REASON, reason), (SECONDS, seconds), (OUTCOME, outcome)):
            trial.set_user_attr(name, fact)
        for name, violation in self._violations(outcome, metrics).items():
            trial.set_constraint(name, violation)
        values = self._outcome.scores(metrics) if self._spec.metrics else None if value is None else [value]
        deaf = self._spec.method == "cmaes" and outcome == "COLLAPSED"  # it knows no constraints: what collapsed teaches nothing
        if values is not None and outcome in ("COMPLETE", "COLLAPSED") and not deaf:
            self._study.tell(trial, values)
        elif outcome in ("PRUNED", "COLLAPSED"):
            self._study.tell(trial, state=State.PRUNED)
        else:
            self._study.tell(trial, state=State.FAIL)

    def _violations(self, outcome: TrialState, metrics: Mapping[str, float]) -> dict[str, float]:
        """Every constraint that Optuna is told of a trial, by its name."""
        collapsed = {"collapse": 1.0 if outcome == "COLLAPSED" else 0.0} if self._spec.collapse is not None else {}
        own = {_CONSTRAINTS: 0.0} if self._constraints else {}
        return {**own, **collapsed, **self._outcome.violations(metrics)}

    @property
    def asked(self) -> int:
        """How many trials the sweep has, ended or not."""
        return self._asked

    @property
    def left(self) -> int:
        """How many trials may still be asked for: those that wait, and new ones."""
        return self._waiting + (0 if self.exhausted else max(0, self.total - self._asked))

    def set_text(self, text: str) -> None:
        """Keeps the sweep file as it is now."""
        self._study.set_user_attr(_SPEC, text)

    @property
    def seconds(self) -> float:
        """What the sweep took before this start, pauses left out."""
        return float(self._study.user_attrs.get(SECONDS, 0.0))

    def set_seconds(self, seconds: float) -> None:
        """Remembers what the sweep has taken so far."""
        self._study.set_user_attr(SECONDS, seconds)
