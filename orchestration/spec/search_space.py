"""The search space: parameters as questions to Optuna, and Optuna's answers as dotted names of the trial config.

A choice ``p`` is asked for as ``p.kind``; a parameter ``c`` of its option ``o`` as ``p.o.c``, since another option may have
a ``c`` of another range. The assignment that comes of it has ``p.kind`` and ``p.c``, as the trial config has. Variants ``v``
are asked for as ``v``, and the assignment has what the one taken sets.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestration.spec.config_tree import with_default_kinds
from orchestration.spec.faults import dotted
from orchestration.spec.parameters import AnyParameter, Choices, Leaf, Range, Variants, encoded
from orchestration.spec.validation import validate
from vae_core.config import TrialConfig
from vae_core.configurable import flatten

if TYPE_CHECKING:
    import optuna

    from orchestration.spec.sections import SweepSpec

Assignment = dict[str, Any]
"""Values by dotted name below the trial config; a choice under ``….kind``; a list is one value, and so is a variant's mapping."""
Parameters = Mapping[str, AnyParameter]
Pick = Callable[[str, "Leaf | tuple[str, ...]"], Any]
"""Answers one question: the name in Optuna, and a parameter or the options of a choice, or the names of variants."""


class SearchSpace:
    """The parameters of one sweep."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = dict(parameters)

    @property
    def names(self) -> list[str]:
        """Every name that an assignment may have, those of all options among them; each once, in the file's order."""
        return list(dict.fromkeys(_names(self._parameters, "")))

    def example(self) -> Assignment:
        """One assignment: the first option of each choice, the first or lowest value of each parameter."""
        return assign(self._parameters, lambda key, asked: asked[0] if isinstance(asked, tuple) else corners(asked)[0])

    def suggest(self, trial: optuna.trial.BaseTrial) -> Assignment:
        """Asks Optuna for every parameter that the choices made on the way leave open."""
        return assign(self._parameters, lambda key, question: _suggest(trial, key, question))

    def assignment(self, point: Mapping[str, Any]) -> Assignment:
        """The assignment of a whole point under Optuna's names and in Optuna's values.

        Raises:
            KeyError: the point lacks an answer.
        """
        return assign(self._parameters, lambda key, question: _decoded(question, point[key]))

    def size(self) -> int | None:
        """How many points the grid has; None where a parameter is continuous."""
        return _size(self._parameters)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every point under Optuna's names and in Optuna's values, for ``enqueue_trial``; the last parameter varies fastest.

        Raises:
            ValueError: a parameter is continuous.
        """
        if self.size() is None:
            raise ValueError("a continuous range has no grid")
        return combinations(self._parameters, lambda key, leaf: map(encoded, points(leaf)))


def planned_trials(spec: SweepSpec) -> int:
    """Trials of the whole sweep: its cap, or its grid under all seeds where that is smaller."""
    whole = grid_trials(spec)
    return spec.run_cap if whole is None else min(whole, spec.run_cap)


def grid_trials(spec: SweepSpec) -> int | None:
    """Trials of a whole grid under all seeds, whatever the cap; None where the method is no grid."""
    from orchestration.spec.constraints import left_out

    size = SearchSpace(spec.parameters).size() if spec.method == "grid" else None
    return None if size is None else (size - left_out(spec)) * spec.seeds


def make_trial_config(spec: SweepSpec, assignment: Mapping[str, Any]) -> TrialConfig:
    """The trial of the sweep file with the assignment's values in it.

    Raises:
        ValueError: they make no trial config; says why.
    """
    config, problems = validate(TrialConfig, merged(spec.trial, assignment))
    if config is None:
        raise ValueError("; ".join(f"{dotted(problem.path)}: {problem.message}".removeprefix(": ") for problem in problems))
    return config


def merged(trial: Mapping[str, Any], assignment: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's tree with an assignment in it; a family whose member neither names has its default's kind.

    Raises:
        ValueError: a name leads through a plain value.
    """
    tree = copy.deepcopy(dict(trial))
    for name, value in assignment.items():
        *above, last = name.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ValueError(f"{name}: {part} is no mapping")
        node[last] = value
    return with_default_kinds((TrialConfig,), tree)


def assign(parameters: Parameters, pick: Pick, prefix: str = "", key_prefix: str = "") -> Assignment:
    """Walks the parameters, and of each choice the picked option's."""
    assignment: Assignment = {}
    for name, parameter in parameters.items():
        full, key = f"{prefix}{name}", f"{key_prefix}{name}"
        if isinstance(parameter, Choices):
            option = pick(f"{key}.kind", tuple(parameter.choices))
            assignment[f"{full}.kind"] = option
            assignment |= assign(parameter.choices[option], pick, f"{full}.", f"{key}.{option}.")
        elif isinstance(parameter, Variants):
            change = parameter.variants[pick(key, tuple(parameter.variants))]
            assignment |= {f"{prefix}{place}": value for place, value in change.items()}
        else:
            assignment[full] = pick(key, parameter)
    return assignment


def combinations(
    parameters: Parameters, points_of: Callable[[str, Leaf], Iterable[Any]], key_prefix: str = ""
) -> Iterator[dict[str, Any]]:
    """Every combination of the choices with the given points of each parameter, one after the other, by Optuna's names."""
    if not parameters:
        yield {}
        return
    (name, parameter), *others = parameters.items()
    rest, key = dict(others), f"{key_prefix}{name}"
    if isinstance(parameter, Choices):
        for option, inner in parameter.choices.items():
            for inside in combinations(inner, points_of, f"{key}.{option}."):
                for outside in combinations(rest, points_of, key_prefix):
                    yield {f"{key}.kind": option, **inside, **outside}
    else:
        for point in parameter.variants if isinstance(parameter, Variants) else points_of(key, parameter):
            for outside in combinations(rest, points_of, key_prefix):
                yield {key: point, **outside}


def corners(leaf: Leaf) -> tuple[Any, ...]:
    """The values that stand for a parameter in checks: both ends of a range, or every value."""
    return leaf.ends if isinstance(leaf, Range) else leaf.values


def points(leaf: Leaf) -> Iterator[Any]:
    """The values of a parameter that is not continuous."""
    return leaf.points() if isinstance(leaf, Range) else iter(leaf.values)


def _names(parameters: Parameters, prefix: str) -> Iterator[str]:
    for name, parameter in parameters.items():
        if isinstance(parameter, Choices):
            yield f"{prefix}{name}.kind"
            for inner in parameter.choices.values():
                yield from _names(inner, f"{prefix}{name}.")
        elif isinstance(parameter, Variants):
            for change in parameter.variants.values():
                yield from (f"{prefix}{place}" for place in flatten(change))
        else:
            yield f"{prefix}{name}"


def _size(parameters: Parameters) -> int | None:
    total = 1
    for parameter in parameters.values():
        if isinstance(parameter, Choices):
            sizes = [_size(inner) for inner in parameter.choices.values()]
            if None in sizes:
                return None
            count: int | None = sum(size for size in sizes if size is not None)
        elif isinstance(parameter, Variants):
            count = len(parameter.variants)
        else:
            count = parameter.count if isinstance(parameter, Range) else len(parameter.values)
        if count is None:
            return None
        total *= count
    return total


def _suggest(trial: optuna.trial.BaseTrial, key: str, question: Leaf | tuple[str, ...]) -> Any:
    if isinstance(question, tuple):
        return trial.suggest_categorical(key, question)
    if isinstance(question, Range):
        return _suggest_number(trial, key, question)
    return _decoded(question, trial.suggest_categorical(key, list(map(encoded, question.values))))


def _decoded(question: Leaf | tuple[str, ...], answer: Any) -> Any:
    """A value from Optuna's."""
    if isinstance(question, tuple | Range):
        return answer
    table = dict(zip(map(encoded, question.values), question.values, strict=True))
    return copy.deepcopy(table[answer])


def _suggest_number(trial: optuna.trial.BaseTrial, key: str, range_: Range) -> int | float:
    low, high = range_.ends
    if range_.integer and not (range_.log and range_.step != 1):
        return trial.suggest_int(key, int(low), int(high), step=int(range_.step or 1), log=range_.log)
    if range_.log or range_.step is None:  # Optuna has no steps on the logarithmic scale: the nearest one is taken here
        return range_.nearest(trial.suggest_float(key, low, high, log=range_.log))
    return range_.nearest(trial.suggest_float(key, low, high, step=range_.step))
