"""Points that are settled before anything is drawn by a sampler: start points, then a grid or a low-discrepancy sequence."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

from orchestration.spec import SweepSpec
from orchestration.spec.constraints import Constraints, allowed_grid
from orchestration.spec.search_space import SearchSpace
from orchestration.spec.sequences import coordinates, point_at, sobol
from orchestration.spec.start_points import start_point

TRIES = 200
"""How many points in a row may violate the constraints before the sweep gives up."""
NOTHING_ALLOWED = "constraints"
"""With this begins why a sweep has found no further point."""
SEQUENCES = ("grid", "qmc")
"""Methods whose every point is settled."""


class NoAllowedPoint(Exception):
    """The constraints leave nothing, or too little to be found; the message says so."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{NOTHING_ALLOWED}: {TRIES} {what} in a row violate them")


def seed_of(seed: int, number: int, attempt: int = 0) -> int:
    """The seed of one draw: another for each number and attempt, the same after an interruption."""
    text = f"{seed}/{number}" + (f"/{attempt}" if attempt else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def settled_points(spec: SweepSpec) -> Iterator[dict[str, Any]]:
    """One after the other, under Optuna's names; of a method that draws, its start points alone.

    Raises:
        NoAllowedPoint: while it is iterated.
    """
    for place in range(len(spec.search.enqueue)):
        yield _completed(spec, place)
    if spec.method == "grid":
        for point, _ in allowed_grid(spec):
            yield point
    elif spec.method == "qmc":
        yield from _allowed_sobol(spec)


def _completed(spec: SweepSpec, place: int) -> dict[str, Any]:
    """A start point; what it leaves out is drawn evenly."""
    given = start_point(spec.parameters, spec.search.enqueue[place]).point
    keys = list(dict.fromkeys(coordinates(spec.parameters)))
    space, constraints = SearchSpace(spec.parameters), Constraints(spec)
    for attempt in range(TRIES):
        generator = random.Random(seed_of(spec.search.seed, place, attempt))
        point = point_at(spec.parameters, {key: generator.random() for key in keys}, given)
        if not constraints.violation(space.assignment(point)):
            return point
    raise NoAllowedPoint(f"ways to complete search.enqueue[{place}]")


def _allowed_sobol(spec: SweepSpec) -> Iterator[dict[str, Any]]:
    space, constraints = SearchSpace(spec.parameters), Constraints(spec)
    in_vain = 0
    for point in sobol(spec.parameters, spec.search.seed):
        in_vain = in_vain + 1 if constraints.violation(space.assignment(point)) else 0
        if in_vain >= TRIES:
            raise NoAllowedPoint("points of the sequence")
        if not in_vain:
            yield point
