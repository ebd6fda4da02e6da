"""Taking up a study again: what its trials were when its last driver ended, and which of them are to be gone on with.

A kill at any moment of a recovery loses nothing: it is begun again from the study.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestration.past import EARLIER, NUMBER, OUTCOME, REJECTED, Past, last_epoch, past_of, unfinished
from orchestration.spec.search_space import SearchSpace

if TYPE_CHECKING:
    import optuna


@dataclass
class Recovered:
    """What a study holds."""

    past: list[Past] = field(default_factory=list)
    """Trials that have ended, by number."""
    unfinished: list[Past] = field(default_factory=list)
    """Those that wait in the study's queue, by number."""
    heard: dict[int, int] = field(default_factory=dict)
    """The last epoch that an earlier driver heard, by number."""
    asked: int = 0
    """The lowest number that no trial has had."""
    rejected: int = 0
    """Draws in vain."""
    earlier: list[optuna.trial.FrozenTrial] = field(default_factory=list)
    """Trials of other sweeps."""


def recover(study: optuna.Study, space: SearchSpace) -> Recovered:
    """Queues anew what ran when the study's last driver ended, and leaves no trial RUNNING."""
    import optuna

    State = optuna.trial.TrialState
    found = Recovered()
    by_number: dict[int, list[optuna.trial.FrozenTrial]] = {}
    rejected: list[optuna.trial.FrozenTrial] = []
    for frozen in study.get_trials(deepcopy=False):
        if NUMBER in frozen.user_attrs:
            by_number.setdefault(frozen.user_attrs[NUMBER], []).append(frozen)
        elif EARLIER in frozen.user_attrs:
            found.earlier.append(frozen)
        elif REJECTED in frozen.user_attrs:
            rejected.append(frozen)
        elif frozen.state == State.RUNNING:  # of an earlier version, killed before it had its number: nobody has seen it
            study.tell(frozen.number, state=State.FAIL)
    found.asked = 1 + max(by_number, default=-1)
    for number, attempts in sorted(by_number.items()):
        last = attempts[-1]
        found.heard[number] = max(map(last_epoch, attempts))
        runs = last.state == State.RUNNING or last.user_attrs.get(OUTCOME) == "STOPPED"
        if runs:  # queued before the old attempt is ended: a kill between the two loses nothing
            study.add_trial(_waiting(number, last))
        if runs or last.state == State.WAITING:
            found.unfinished.append(unfinished(number, attempts))
        else:
            found.past.append(past_of(space, number, last))
        for attempt in attempts:
            if attempt.state == State.RUNNING:
                study.tell(attempt.number, state=State.FAIL)
    for frozen in rejected:
        taken = frozen.user_attrs[REJECTED] in by_number
        if frozen.state == State.RUNNING:  # killed while another was sought in its place: that one will be found again
            study.tell(frozen.number, state=State.PRUNED if taken else State.FAIL)
        found.rejected += frozen.state == State.PRUNED or taken
    return found


def _waiting(number: int, last: optuna.trial.FrozenTrial) -> optuna.trial.FrozenTrial:
    """The trial's next attempt, for the queue."""
    import optuna

    # Killed while it was asked, an enqueued trial has only some of its parameters yet.
    parameters = {**last.system_attrs.get("fixed_params", {}), **last.params}
    # What the sampler noted of the draw, such as its generation, stays with the number.
    noted = {key: at for key, at in last.system_attrs.items() if not key.startswith(("fixed_params", "constraints"))}
    attributes = {"fixed_params": parameters, **noted}
    return optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING, user_attrs={NUMBER: number}, system_attrs=attributes)
