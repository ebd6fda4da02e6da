"""The trials that ``run`` will draw, as far as they can be known before any result is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestration.replicates import make_search
from orchestration.spec import Assignment, SweepSpec, make_trial_config, planned_trials
from orchestration.stored import MEMORY

if TYPE_CHECKING:
    from vae_core.config import TrialConfig

MAX_DRAWN = 512
"""Trials that stand for all where there are more."""
_POPULATION = 50
"""Of the genetic algorithms, where the file names none."""


@dataclass(frozen=True)
class Drawn:
    """One trial of the sweep."""

    number: int
    assignment: Assignment
    config: TrialConfig | None
    """None where the assignment makes no trial; ``run`` will say FAILED."""
    known: bool
    """Whether ``run`` draws just this; else it stands for what is drawn by results, as a random draw."""


def known_trials(spec: SweepSpec) -> int:
    """How many of the first trials depend on no result."""
    if spec.search.warm_start is not None:  # what other sweeps have found decides from the first draw on
        return 0
    return min(planned_trials(spec), _KNOWN[spec.method](spec) * spec.seeds)


def draw(spec: SweepSpec, at_most: int = MAX_DRAWN) -> list[Drawn]:
    """The sweep's first trials, by the search that ``run`` asks, in memory."""
    known = known_trials(spec)
    alone = spec.model_copy(update={"search": spec.search.model_copy(update={"warm_start": None})})
    search = make_search(alone, MEMORY, "")
    drawn: list[Drawn] = []
    while len(drawn) < min(at_most, planned_trials(spec)) and (asked := search.ask()) is not None:
        number, assignment = asked
        try:
            config = make_trial_config(spec, assignment)
        except ValueError:
            config = None
        drawn.append(Drawn(number, assignment, config, number < known))
    return drawn


_KNOWN: Mapping[str, Callable[[SweepSpec], int]] = {
    "random": planned_trials,
    "grid": planned_trials,
    "qmc": planned_trials,
    "tpe": lambda spec: spec.search.startup_trials,
    "gp": lambda spec: spec.search.startup_trials,
    "cmaes": lambda spec: 1,  # the second draw waits for one result
    "nsga2": lambda spec: spec.search.population or _POPULATION,
    "nsga3": lambda spec: spec.search.population or _POPULATION,
}
"""By method: configurations before the first that results decide. With several at once it may be later still."""
