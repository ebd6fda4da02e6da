"""Start points: from values by dotted name, as a person writes them, to a point under Optuna's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestration.spec.faults import listed, nearest_name, shown
from orchestration.spec.parameters import Choices, Leaf, Range, Variants, encoded
from orchestration.spec.search_space import Parameters, SearchSpace


class Misplaced(NamedTuple):
    """A value of a start point that is none of the space."""

    name: str
    message: str
    nearest: str | None = None


class StartPoint(NamedTuple):
    """A point, perhaps of some of the parameters only, and what is wrong with it."""

    point: dict[str, Any]
    """Under Optuna's names and in Optuna's values, for ``enqueue_trial``."""
    faults: list[Misplaced]


def start_point(parameters: Parameters, written: Mapping[str, Any]) -> StartPoint:
    """Finds each value's place in the space; what is not there, or not within bounds, is a fault."""
    point: dict[str, Any] = {}
    faults: list[Misplaced] = []
    used: set[str] = set()
    _walk(parameters, written, "", "", point, faults, used)
    known = [*SearchSpace(parameters).names, *(name for name, parameter in parameters.items() if isinstance(parameter, Variants))]
    for name in written:
        if name in used:
            continue
        family = next((kind for kind in known if kind.endswith(".kind") and name.startswith(kind.removesuffix("kind"))), None)
        if name in known and family is not None:
            given = f"is {written[family]}, which has none" if family in written else "has to be said too"
            faults.append(Misplaced(name, f"only some options have it: {family} {given}"))
        else:
            faults.append(Misplaced(name, f"not searched; searched are: {listed(known)}", nearest_name(name, known)))
    return StartPoint(point, faults)


def values_in(parameters: Parameters, written: Mapping[str, Any]) -> tuple[dict[str, Any], list[Misplaced]]:
    """Those of the values that the space asks for, as a point; and those that are not within its bounds."""
    point: dict[str, Any] = {}
    faults: list[Misplaced] = []
    _walk(parameters, written, "", "", point, faults, set())
    return point, faults


def value_in(leaf: Leaf, value: Any) -> tuple[Any, str | None]:
    """The value as the space has it, and None; or what the space has instead."""
    if not isinstance(leaf, Range):
        same = [known for known in leaf.values if known == value and isinstance(known, bool) == isinstance(value, bool)]
        return (same[0], None) if same else (None, f"must be one of: {listed(map(shown, leaf.values))}")
    low, high = leaf.ends
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None, f"must be a number from {low} to {high}"
    nearest = leaf.nearest(value)
    if nearest != value:
        return None, f"must be a step of {leaf.step} from {low}, such as {nearest}"
    return nearest if leaf.count is not None else float(value), None


def _walk(
    parameters: Parameters,
    written: Mapping[str, Any],
    prefix: str,
    key_prefix: str,
    point: dict[str, Any],
    faults: list[Misplaced],
    used: set[str],
) -> None:
    for name, parameter in parameters.items():
        full, key = f"{prefix}{name}", f"{key_prefix}{name}"
        if isinstance(parameter, Choices | Variants):
            options = parameter.choices if isinstance(parameter, Choices) else parameter.variants
            full, key = (f"{full}.kind", f"{key}.kind") if isinstance(parameter, Choices) else (full, key)
            if full not in written:
                continue
            used.add(full)
            option = written[full]
            if option not in list(options):
                nearest = nearest_name(option, options) if isinstance(option, str) else None
                faults.append(Misplaced(full, f"must be one of: {listed(options)}", nearest))
                continue
            point[key] = option
            if isinstance(parameter, Choices):
                inside = f"{key_prefix}{name}.{option}."
                _walk(parameter.choices[option], written, f"{prefix}{name}.", inside, point, faults, used)
        elif full in written:
            used.add(full)
            value, fault = value_in(parameter, written[full])
            if fault is None:
                point[key] = encoded(value)
            else:
                faults.append(Misplaced(full, fault))
