"""Population-based training (Jaderberg et al. 2017), synchronous: who takes over from whom at a barrier, and with what.

A decision is a pure function of the sweep's seed, the barrier and what the members have shown at it, so that it is the same for
any number of workers, and after a kill.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from dashboards.schedules import Schedule, Stint, schedule_of
from orchestration.points import TRIES
from orchestration.spec import SweepSpec
from orchestration.spec.constraints import Constraints
from orchestration.spec.early_terminate import Pbt
from orchestration.spec.parameters import AnyParameter, Number, Range, Values
from orchestration.spec.search_space import Assignment, make_trial_config
from orchestration.spec.sequences import point_at


@dataclass(frozen=True)
class Barrier:
    """What was decided at one."""

    epoch: int
    values: Mapping[int, float]
    """Of those that came to it, by number; lower is better, and a collapsed one has infinity."""
    takers: Mapping[int, Schedule]
    """Those that go on from another's weights: their schedules from here on."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "epoch": self.epoch,
            "values": {str(number): value if math.isfinite(value) else None for number, value in self.values.items()},
            "takers": {str(number): [stint.to_dict() for stint in schedule] for number, schedule in self.takers.items()},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        values = {int(number): math.inf if value is None else value for number, value in plain["values"].items()}
        return cls(plain["epoch"], values, {int(number): schedule_of(own) for number, own in plain["takers"].items()})


def pairs(values: Mapping[int, float], quantile: float, seed: str) -> dict[int, int]:
    """From whom each of the worst takes over: one of the best, drawn at random.

    Nobody takes over from a member that is no better, or has collapsed.

    Args:
        values: by number; lower is better.
    """
    ranking = sorted(values, key=lambda number: (values[number], number))
    count = max(1, math.floor(quantile * len(ranking))) if len(ranking) > 1 else 0
    best, worst = ranking[:count], ranking[len(ranking) - count :]
    drawn = {taker: random.Random(f"{seed}/{taker}").choice(best) for taker in worst}
    return {taker: donor for taker, donor in sorted(drawn.items()) if values[donor] < values[taker]}


class Explorer:
    """Changes parameters that are taken over."""

    def __init__(self, spec: SweepSpec, rule: Pbt) -> None:
        self._spec, self._rule = spec, rule
        self._constraints = Constraints(spec)
        self._changing = set(rule.parameters or spec.parameters)

    def explore(self, taken: Assignment, seed: str) -> Assignment:
        """Neighbours of what was taken over, within the space and its constraints; where there are none, as at an end of a range
        or at 0, what is drawn anew. The same again, which trains the same once more, only where nothing else is found.
        """
        for attempt in range(2 * TRIES):
            generator = random.Random(f"{seed}/{attempt}")
            resample = self._rule.resample if attempt < TRIES else 1.0
            found = {name: self._changed(name, value, resample, generator) for name, value in taken.items()}
            if found != taken and self._is_allowed(found):
                return found
        return dict(taken)

    def _changed(self, name: str, value: Any, resample: float, generator: random.Random) -> Any:
        parameter = self._spec.parameters[name]
        if name not in self._changing:
            return value
        anew, share, factor = generator.random(), generator.random(), generator.choice(self._rule.perturb)
        if anew < resample:
            return _drawn(name, parameter, share)
        if isinstance(parameter, Range):
            return perturbed(parameter, value, factor)
        return neighbour(parameter, value, share) if isinstance(parameter, Values) else value

    def _is_allowed(self, assignment: Assignment) -> bool:
        if self._constraints.violation(assignment):
            return False
        try:
            make_trial_config(self._spec, assignment)
        except ValueError:
            return False
        return True


def perturbed(range_: Range, value: Number, factor: float) -> Number:
    """The number times the factor, within the range; of a range in steps at least one step further, where there is one."""
    low, high = range_.ends
    moved = range_.nearest(min(max(value * factor, low), high))
    if moved != value or range_.step is None:
        return moved
    step = range_.step if (factor > 1.0) == (value >= 0) else -range_.step
    return range_.nearest(min(max(value + step, low), high))


def neighbour(parameter: Values, value: Any, share: float) -> Any:
    """A value beside this one in the file's order; ``share``, from 0 to below 1, says which where there are two."""
    place = parameter.values.index(value)
    beside = [at for at in (place - 1, place + 1) if 0 <= at < len(parameter.values)]
    return parameter.values[beside[int(share * len(beside))]] if beside else value


def _drawn(name: str, parameter: AnyParameter, share: float) -> Any:
    if isinstance(parameter, Values):
        return parameter.values[int(share * len(parameter.values))]
    return point_at({name: parameter}, {name: share})[name] if isinstance(parameter, Range) else parameter.to_dict()["value"]


class Population:
    """The members of a sweep, and what has been decided of them."""

    def __init__(self, spec: SweepSpec, rule: Pbt, decided: Iterable[Barrier]) -> None:
        self._rule, self._seed = rule, spec.search.seed
        self._explorer = Explorer(spec, rule)
        self._schedules: dict[int, Schedule] = {}
        self._decided: set[int] = set()
        self._here: dict[int, float] = {}
        """Who has come to the next barrier, and with which value."""
        for barrier in decided:
            self.remember(barrier)

    def join(self, number: int, assignment: Assignment) -> Assignment:
        """A member begins, or is taken up again; what it is trained with from here on."""
        return self._schedules.setdefault(number, (Stint(0, number, assignment),))[-1].parameters

    def schedule(self, number: int) -> Schedule:
        """What the member descends from."""
        return self._schedules[number]

    @property
    def is_closed(self) -> bool:
        """Whether none can join any more: a barrier has been decided without them."""
        return bool(self._decided)

    def is_barrier(self, epoch: int) -> bool:
        """Whether a member waits after this epoch; not where the barrier was decided without it."""
        return epoch % self._rule.interval == 0 and epoch not in self._decided

    def arrive(self, number: int, value: float) -> None:
        """A member has come to the next barrier, with a value of which lower is better."""
        self._here[number] = value

    def waits(self, number: int) -> bool:
        """Whether the member is at a barrier."""
        return number in self._here

    def decide(self, epoch: int, living: Iterable[int]) -> Barrier:
        """What happens at a barrier to which all that live have come; changes nothing."""
        values = {number: self._here[number] for number in sorted(living)}
        seed = f"{self._seed}/pbt/{epoch}"
        takers = {}
        for taker, donor in pairs(values, self._rule.quantile, seed).items():
            chain = self._schedules[donor]
            takers[taker] = (*chain, Stint(epoch, taker, self._explorer.explore(chain[-1].parameters, f"{seed}/{taker}")))
        return Barrier(epoch, values, takers)

    def remember(self, barrier: Barrier) -> None:
        """From here on it is so."""
        self._decided.add(barrier.epoch)
        self._schedules.update(barrier.takers)
        self._here = {}
