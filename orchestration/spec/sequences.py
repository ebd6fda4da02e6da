"""Methods that are sequences of points, known beforehand: nothing of them depends on what trials have shown."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from orchestration.spec.parameters import Choices, Leaf, Range, Variants, encoded
from orchestration.spec.search_space import Parameters, assign

MAX_DIMENSIONS = 1000
"""Coordinates of a low-discrepancy point."""


def sobol(parameters: Parameters, seed: int) -> Iterator[dict[str, Any]]:
    """The scrambled Sobol sequence (Owen 1998) over the whole space, under Optuna's names and in Optuna's values; endless.

    Every parameter has a coordinate, those of options too: a point ignores those of the options that it does not take.
    """
    from scipy.stats import qmc

    keys = list(dict.fromkeys(coordinates(parameters)))
    engine = qmc.Sobol(len(keys), scramble=True, rng=seed)
    for _ in itertools.count():
        yield point_at(parameters, dict(zip(keys, engine.random(1)[0], strict=True)))


def coordinates(parameters: Parameters, prefix: str = "") -> Iterator[str]:
    """Optuna's name of every question that the space may ask."""
    for name, parameter in parameters.items():
        key = f"{prefix}{name}"
        if isinstance(parameter, Choices):
            yield f"{key}.kind"
            for option, inner in parameter.choices.items():
                yield from coordinates(inner, f"{key}.{option}.")
        else:
            yield key


def point_at(
    parameters: Parameters, shares: Mapping[str, float], given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The point whose every answer lies that share, from 0 to below 1, of the way through what may be answered.

    Args:
        given: answers that are settled, under Optuna's names and in Optuna's values.
    """
    point: dict[str, Any] = {}

    def pick(key: str, question: Leaf | tuple[str, ...]) -> Any:
        if key in given:
            point[key] = given[key]
            return given[key]
        value = _answer(question, shares[key])
        point[key] = encoded(value)
        return value

    assign(parameters, pick)
    return point


def has_choice(parameter: Leaf | Choices | Variants) -> bool:
    """Whether the parameter itself is one of several things that have no order."""
    match parameter:
        case Choices():
            return len(parameter.choices) > 1
        case Variants():
            return len(parameter.variants) > 1
        case Range():
            return False
        case _:
            return len(parameter.values) > 1


def _answer(question: Leaf | tuple[str, ...], share: float) -> Any:
    if isinstance(question, Range):
        return _number(question, share)
    options = question if isinstance(question, tuple) else question.values
    return options[min(int(share * len(options)), len(options) - 1)]


def _number(range_: Range, share: float) -> int | float:
    low, high = range_.ends
    if range_.count is not None and not range_.log:
        return range_.point(min(int(share * range_.count), range_.count - 1))
    if not range_.log:
        return float(min(low + share * (high - low), high))
    if range_.integer and range_.step == 1:  # each integer has the interval around it
        low, high = low - 0.5, high + 0.5
    value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    within = min(max(value, range_.ends[0]), range_.ends[1])
    return range_.nearest(within)
