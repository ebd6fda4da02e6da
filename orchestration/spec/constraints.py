"""``constraints``: which points of the space are never trained."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.spec.conditions import Condition
from orchestration.spec.search_space import Assignment, SearchSpace, make_trial_config
from orchestration.spec.sections import SweepSpec

COUNTED = 5_000
"""Points of a grid that are looked at before the rest is taken as allowed, so that counting ends."""


class Constraints:
    """The conditions on a trial's configuration; what was worked out is kept, by what it depends on."""

    def __init__(self, spec: SweepSpec) -> None:
        self._spec = spec
        self._conditions = [Condition(text) for text in spec.constraints]
        self._known: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._conditions)

    def violation(self, assignment: Assignment) -> float:
        """By how much the assignment's trial violates them, all added; 0 where it violates none."""
        if not self._conditions:
            return 0.0
        key = json.dumps(sorted((name, value) for name, value in assignment.items() if self._matters(name)), default=str)
        if key in self._known:
            return self._known[key]
        seen = self._numbers(assignment)
        violation = sum(condition.violation(seen) for condition in self._conditions)
        if seen:  # what is wrong with another part of the assignment says nothing of the next one with these values
            self._known[key] = violation
        return violation

    def _matters(self, name: str) -> bool:
        """Whether a name of an assignment may change what the conditions see."""
        named = [other for condition in self._conditions for other in condition.names]
        return any(name == other or other.startswith(f"{name.removesuffix('kind').removesuffix('.')}.") for other in named)

    def _numbers(self, assignment: Assignment) -> dict[str, float]:
        try:
            return numbers(make_trial_config(self._spec, assignment).flat())
        except ValueError:  # no trial at all: its own fault is told when it is to be trained
            return {}


def numbers(flat: Mapping[str, Any]) -> dict[str, float]:
    """Those of flat values that are numbers."""
    return {name: float(value) for name, value in flat.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def allowed_grid(spec: SweepSpec) -> Iterator[tuple[dict[str, Any], Assignment]]:
    """The grid's points that violate nothing, under Optuna's names, each with its assignment."""
    space, constraints = SearchSpace(spec.parameters), Constraints(spec)
    return ((point, made) for point in space.grid() if not constraints.violation(made := space.assignment(point)))


def left_out(spec: SweepSpec) -> int:
    """How many points of a grid violate a constraint; of a grid above ``COUNTED``, among the first of them."""
    if spec.method != "grid" or not spec.constraints:
        return 0
    space, constraints = SearchSpace(spec.parameters), Constraints(spec)
    return sum(constraints.violation(space.assignment(point)) > 0 for point in itertools.islice(space.grid(), COUNTED))
