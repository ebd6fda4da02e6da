"""What a study knows of the trials that have ended, or wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestration.messages import TrialState
from orchestration.spec.search_space import Assignment, SearchSpace

if TYPE_CHECKING:
    import optuna

NUMBER, OUTCOME, REASON, ANNEALED, SECONDS = "number", "outcome", "reason", "annealed_from", "seconds"
METRICS, DATA, COLLAPSED = "metrics", "data.fingerprint", "collapsed_epochs"
"""Under which a trial of Optuna keeps what it has no place of its own for."""
VALUE = "value."
"""With an epoch's number behind it: the first metric's value then, of a sweep with several."""
REJECTED = "rejected"
"""On a point that violates the constraints: the number for which it was drawn."""
SCHEDULE = "schedule"
"""On a member of a population that went on from another's weights: what it descends from, see ``orchestration.lineage``."""
EARLIER = "earlier"
"""On a trial that another sweep has trained: which, as SWEEP/NUMBER. It has no number here."""


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
    epoch: int = 0
    """The last that was heard of."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the selected epoch, where there is one."""
    data: str = ""
    """The fingerprint of its data; empty where it never began."""
    collapsed: frozenset[int] = frozenset()
    """Epochs past annealing's end at which the posterior was collapsed."""
    changed: bool = False
    """Whether it went on from another's weights, and so was not trained with ``assignment`` alone."""


def past_of(space: SearchSpace, number: int, frozen: optuna.trial.FrozenTrial) -> Past:
    """A trial that has ended."""
    import optuna

    return Past(
        number=number,
        outcome=frozen.user_attrs.get(OUTCOME, "FAILED"),
        reason=frozen.user_attrs.get(REASON, ""),
        assignment=space.suggest(optuna.trial.FixedTrial(frozen.params)),
        value=frozen.values[0] if frozen.values else None,
        values=_values(frozen),
        annealed_from=frozen.user_attrs.get(ANNEALED),
        started_s=frozen.datetime_start.timestamp() if frozen.datetime_start else 0.0,
        duration_s=frozen.user_attrs.get(SECONDS, 0.0),
        epoch=last_epoch(frozen),
        metrics=frozen.user_attrs.get(METRICS, {}),
        data=frozen.user_attrs.get(DATA, ""),
        collapsed=frozenset(frozen.user_attrs.get(COLLAPSED, ())),
        changed=SCHEDULE in frozen.user_attrs,
    )


def last_epoch(frozen: optuna.trial.FrozenTrial) -> int:
    """The last epoch that was heard of, 0 where none was."""
    return max(_values(frozen), default=0)


def _values(frozen: optuna.trial.FrozenTrial) -> dict[int, float]:
    """By epoch."""
    kept = {int(name.removeprefix(VALUE)): value for name, value in frozen.user_attrs.items() if name.startswith(VALUE)}
    return {**frozen.intermediate_values, **kept}


def unfinished(number: int, attempts: list[optuna.trial.FrozenTrial]) -> Past:
    """A trial that waits: what all its attempts have told so far; the reason is empty where the last one was killed."""
    import optuna

    values: dict[int, float] = {}
    for attempt in attempts:
        values |= _values(attempt)
    annealed = [attempt.user_attrs[ANNEALED] for attempt in attempts if ANNEALED in attempt.user_attrs]
    seconds = max(attempt.user_attrs.get(SECONDS, 0.0) for attempt in attempts)
    collapsed = frozenset(epoch for attempt in attempts for epoch in attempt.user_attrs.get(COLLAPSED, ()))
    begun = [attempt for attempt in attempts if attempt.state != optuna.trial.TrialState.WAITING]
    return Past(
        number=number,
        outcome="STOPPED",
        reason=begun[-1].user_attrs.get(REASON, "") if begun else "",
        assignment={},
        value=None,
        values=values,
        annealed_from=min(annealed, default=None),
        started_s=0.0,
        duration_s=seconds,
        data=next((attempt.user_attrs[DATA] for attempt in attempts if DATA in attempt.user_attrs), ""),
        collapsed=collapsed,
    )
