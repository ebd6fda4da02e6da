"""How a configuration of several seeds stands, by how its trials do: one rule, for the search and for its reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

Standing = Literal["RUNNING", "COMPLETE", "PRUNED", "COLLAPSED", "FAILED", "STOPPED"]
Ending = tuple[str, str]
"""State and reason of a trial; the state is RUNNING where it has not ended."""

NO_FURTHER = "no further seeds"
"""In the reason of the complete trial after which its configuration was given up."""
_WORST: tuple[Standing, ...] = ("FAILED", "COLLAPSED", "PRUNED")
"""One such trial is enough; the worst first."""


def standing(trials: Sequence[Ending], seeds: int) -> Standing:
    """By those of its trials that have begun; RUNNING while it is not decided.

    It is COMPLETE where all its trials are. Else the worst of them counts; one that gets no further seeds is PRUNED.
    """
    states = {state for state, _ in trials}
    if "RUNNING" in states or "STOPPED" in states:
        return "RUNNING" if "RUNNING" in states else "STOPPED"
    for worst in _WORST:
        if worst in states:
            return worst
    if len(trials) == seeds:
        return "COMPLETE"
    return "PRUNED" if is_cut(trials) else "RUNNING"


def reason_of(trials: Sequence[Ending], stands: str) -> str:
    """Why a configuration stands so: what the trial says that decided it, else the first that says anything."""
    worst = [reason for state, reason in trials if state == stands and state in _WORST]
    cut = [reason for _, reason in trials if NO_FURTHER in reason]
    return next(filter(None, [*worst, *cut, *(reason for _, reason in trials)]), "")


def is_cut(trials: Iterable[Ending]) -> bool:
    """Whether no further trial of a configuration is begun, whatever those that run come to."""
    return any(state in _WORST or NO_FURTHER in reason for state, reason in trials)


def words_of(first: int, seeds: int) -> str:
    """A configuration by the number of its first trial: ``trial 4``, or ``configuration 1 (trials 3 to 5)``."""
    return f"trial {first}" if seeds == 1 else f"configuration {first // seeds} (trials {first} to {first + seeds - 1})"
