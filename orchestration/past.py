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
EPOCH, METRICS, DATA, COLLAPSED = "epoch", "metrics", "data.fingerprint", "collapsed_epochs"
"""Under which a trial of Optuna keeps what it has no place of its own for."""


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


def past_of(space: SearchSpace, number: int, frozen: optuna.trial.FrozenTrial) -> Past:
    """A trial that has ended."""
    import optuna

    return Past(
        number=number,
        outcome=frozen.user_attrs.get(OUTCOME, "FAILED"),
        reason=frozen.user_attrs.get(REASON, ""),
        assignment=space.suggest(optuna.trial.FixedTrial(frozen.params)),
        value=frozen.values[0] if frozen.values else None,
        values=dict(frozen.intermediate_values),
        annealed_from=frozen.user_attrs.get(ANNEALED),
        started_s=frozen.datetime_start.timestamp() if frozen.datetime_start else 0.0,
        duration_s=frozen.user_attrs.get(SECONDS, 0.0),
        epoch=last_epoch(frozen),
        metrics=frozen.user_attrs.get(METRICS, {}),
        data=frozen.user_attrs.get(DATA, ""),
        collapsed=frozenset(frozen.user_attrs.get(COLLAPSED, ())),
    )


def last_epoch(frozen: optuna.trial.FrozenTrial) -> int:
    """The last epoch that was heard of, 0 where none was."""
    return max([*frozen.intermediate_values, int(frozen.user_attrs.get(EPOCH, 0))])


def unfinished(number: int, attempts: list[optuna.trial.FrozenTrial]) -> Past:
    """A trial that waits: what all its attempts have told so far."""
    values: dict[int, float] = {}
    for attempt in attempts:
        values |= attempt.intermediate_values
    annealed = [attempt.user_attrs[ANNEALED] for attempt in attempts if ANNEALED in attempt.user_attrs]
    seconds = max(attempt.user_attrs.get(SECONDS, 0.0) for attempt in attempts)
    collapsed = frozenset(epoch for attempt in attempts for epoch in attempt.user_attrs.get(COLLAPSED, ()))
    return Past(number, "STOPPED", "", {}, None, values, min(annealed, default=None), 0.0, seconds, collapsed=collapsed)
