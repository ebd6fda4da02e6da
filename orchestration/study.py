"""The search: a thin layer that asks and tells an Optuna study, which is the source of truth.

A *number* names a trial of the sweep. An interrupted trial is told FAIL and waits in the study's queue under the same
number, parameters and seed; so one number may have several Optuna trials, of which at most one counts.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.messages import TrialState
from orchestration.spec import SweepSpec
from orchestration.spec.search_space import Assignment, SearchSpace, planned_trials

if TYPE_CHECKING:
    import optuna

_NUMBER, _OUTCOME, _REASON, _SPEC, _ANNEALED, _SECONDS = "number", "outcome", "reason", "spec", "annealed_from", "seconds"


@dataclass(frozen=True)
class Past:
    """What the study knows of a trial that has ended."""

    number: int
    outcome: TrialState
    reason: str
    assignment: Assignment
    value: float | None
    values: dict[int, float]
    """Value by epoch."""
    annealed_from: int | None
    """The first epoch past annealing's end."""
    started_s: float
    duration_s: float


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Optuna's storage behind an SQLAlchemy URL; sqlite waits for a lock instead of failing."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    arguments: dict[str, Any] = {"connect_args": {"timeout": 120}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    return optuna.storages.RDBStorage(url, engine_kwargs=arguments)


class Search:
    """One sweep's study."""

    def __init__(self, spec: SweepSpec, study: optuna.Study) -> None:
        self._spec = spec
        self._study = study
        self._space = SearchSpace(spec.parameters)
        self._running: dict[int, optuna.trial.Trial] = {}
        self._grid: Iterator[dict[str, Any]] = self._space.grid() if spec.method == "grid" else iter(())
        self._asked = 0
        self._waiting = 0
        self.past: list[Past] = []
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

    @classmethod
    def create(cls, spec: SweepSpec, url: str, text: str) -> Search:
        """A new study.

        Raises:
            optuna.exceptions.DuplicatedStudyError: the name is taken.
        """
        import optuna

        study = optuna.create_study(study_name=spec.name, storage=open_storage(url), direction=spec.metric.goal)
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
        for frozen in self._study.get_trials(deepcopy=False):
            if _NUMBER in frozen.user_attrs:
                by_number.setdefault(frozen.user_attrs[_NUMBER], []).append(frozen)
            elif frozen.state == State.RUNNING:  # killed between being asked and getting its number: nobody has seen it
                self._study.tell(frozen.number, state=State.FAIL)
        for number, attempts in sorted(by_number.items()):
            last = attempts[-1]
            heard = [attempt.intermediate_values for attempt in attempts]
            self.heard[number] = max((epoch for values in heard for epoch in values), default=0)
            if last.state == State.WAITING:
                self._waiting += 1
            elif last.state == State.RUNNING or last.user_attrs.get(_OUTCOME) == "STOPPED":
                # Queued before the old attempt is ended: a kill between the two loses nothing.
                # Killed while it was asked, an enqueued trial has only some of its parameters yet.
                parameters = {**last.system_attrs.get("fixed_params", {}), **last.params}
                self._study.enqueue_trial(parameters, user_attrs={_NUMBER: number})
                self._waiting += 1
            else:
                self.past.append(self._past(number, last))
            for attempt in attempts:
                if attempt.state == State.RUNNING:
                    self._study.tell(attempt.number, state=State.FAIL)
        self._asked = 1 + max(by_number, default=-1)
        for _ in range(self._asked):
            next(self._grid, None)

    def _past(self, number: int, frozen: optuna.trial.FrozenTrial) -> Past:
        import optuna

        return Past(
            number=number,
            outcome=frozen.user_attrs.get(_OUTCOME, "FAILED"),
            reason=frozen.user_attrs.get(_REASON, ""),
            assignment=self._space.suggest(optuna.trial.FixedTrial(frozen.params)),
            value=frozen.value if frozen.values else None,
            values=dict(frozen.intermediate_values),
            annealed_from=frozen.user_attrs.get(_ANNEALED),
            started_s=frozen.datetime_start.timestamp() if frozen.datetime_start else 0.0,
            duration_s=frozen.user_attrs.get(_SECONDS, 0.0),
        )

    @property
    def total(self) -> int:
        """Trials of the whole sweep: its cap, or its grid where that is smaller."""
        return planned_trials(self._spec)

    def ask(self) -> tuple[int, Assignment] | None:
        """The next trial's number and parameters; None where the sweep's budget of trials, or its grid, is used up."""
        import optuna

        number = self._asked
        if not self._waiting:
            if number >= self._spec.run_cap:
                return None
            if self._spec.method == "grid":
                point = next(self._grid, None)
                if point is None:
                    return None
                self._study.enqueue_trial(point, user_attrs={_NUMBER: number})
                self._waiting += 1
        # A sampler made anew for each number draws the same whether or not the sweep was interrupted.
        self._study.sampler = self._sampler(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = self._study.ask()
            assignment = self._space.suggest(trial)
        if _NUMBER in trial.user_attrs:
            self._waiting -= 1
            number = trial.user_attrs[_NUMBER]
        else:
            trial.set_user_attr(_NUMBER, number)
        self._asked = max(self._asked, number + 1)
        self._running[number] = trial
        return number, assignment

    def report(self, number: int, epoch: int, value: float, annealed: bool) -> None:
        """The searched metric after an epoch."""
        trial = self._running[number]
        if annealed and _ANNEALED not in trial.user_attrs:
            trial.set_user_attr(_ANNEALED, epoch)
        trial.report(value, step=epoch)

    def tell(self, number: int, outcome: TrialState, reason: str, value: float | None, seconds: float) -> None:
        """Ends a trial. A pruned one keeps its last reported value; a collapsed one counts as infeasible, not as failed.

        Args:
            value: of the selected epoch; None where none was selected.
            seconds: what the trial took, pauses left out.
        """
        import optuna

        State = optuna.trial.TrialState
        trial = self._running.pop(number)
        for name, fact in ((_REASON, reason), (_SECONDS, seconds), (_OUTCOME, outcome)):
            trial.set_user_attr(name, fact)
        if self._spec.collapse is not None:
            trial.set_constraint("collapse", 1.0 if outcome == "COLLAPSED" else 0.0)
        if value is not None and outcome in ("COMPLETE", "COLLAPSED"):
            self._study.tell(trial, value)
        elif outcome in ("PRUNED", "COLLAPSED"):
            self._study.tell(trial, state=State.PRUNED)
        else:
            self._study.tell(trial, state=State.FAIL)

    @property
    def seconds(self) -> float:
        """What the sweep took before this start, pauses left out."""
        return float(self._study.user_attrs.get(_SECONDS, 0.0))

    def set_seconds(self, seconds: float) -> None:
        """Remembers what the sweep has taken so far."""
        self._study.set_user_attr(_SECONDS, seconds)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        import optuna

        seed = int.from_bytes(hashlib.sha256(f"{self._spec.search.seed}/{number}".encode()).digest()[:4], "big")
        if self._spec.method == "tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._spec.search.startup_trials)
        return optuna.samplers.RandomSampler(seed=seed)
