"""Whether the method can search this space, and whether constraints and start points speak of what is there."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.spec.conditions import Condition
from orchestration.spec.constraints import Constraints, numbers
from orchestration.spec.faults import Fault, Path, nearest_name
from orchestration.spec.parameters import AnyParameter, Choices, Range
from orchestration.spec.search_space import Parameters, SearchSpace, assign
from orchestration.spec.sections import SweepSpec
from orchestration.spec.sequences import MAX_DIMENSIONS, coordinates, has_choice
from orchestration.spec.start_points import start_point
from orchestration.spec.trial_checks import Trials
from orchestration.spec.yaml_source import Source

NO_CONDITIONS = ("gp", "cmaes", "nsga2", "nsga3")
"""Methods that would draw a parameter that only some trials have at random, always."""
LEARNS_FROM_OTHERS = ("tpe", "gp", "cmaes")
"""Methods to which earlier trials can be told."""


def search_faults(source: Source, spec: SweepSpec, trials: Trials) -> list[Fault]:
    """Every fault of ``method``, ``constraints`` and ``search`` with the parameters as they are."""
    return [
        *_unfit_parameters(source, spec.method, spec.parameters, ("parameters",), conditional=False),
        *_without_numbers(source, spec),
        *_constraint_faults(source, spec, trials),
        *_start_faults(source, spec),
        *_method_faults(source, spec),
    ]


def _unfit_parameters(source: Source, method: str, parameters: Parameters, above: Path, *, conditional: bool) -> Iterator[Fault]:
    for name, parameter in parameters.items():
        path = (*above, name)
        if method == "cmaes" and has_choice(parameter):
            yield source.fault(path, "cmaes searches numbers in ranges alone: this has no order; tpe takes it", key=True)
            continue
        if method in NO_CONDITIONS and conditional and _free(parameter):
            message = f"only some trials have this parameter, and {method} would draw it at random for ever; tpe takes it"
            yield source.fault(path, message, key=True)
        if isinstance(parameter, Choices):
            inner = conditional or len(parameter.choices) > 1
            for option, children in parameter.choices.items():
                yield from _unfit_parameters(source, method, children, (*path, "choices", option), conditional=inner)


def _free(parameter: AnyParameter) -> bool:
    return parameter.count != 1 if isinstance(parameter, Range) else has_choice(parameter)


def _without_numbers(source: Source, spec: SweepSpec) -> Iterator[Fault]:
    if spec.method == "qmc" and len(set(coordinates(spec.parameters))) > MAX_DIMENSIONS:
        yield source.fault(("method",), f"qmc takes {MAX_DIMENSIONS} parameters at most, those of all options counted")


def _constraint_faults(source: Source, spec: SweepSpec, trials: Trials) -> Iterator[Fault]:
    flats = [config.flat() for config, _ in trials.made]
    if not flats:  # the trials' own faults are told
        return
    every = dict.fromkeys(name for flat in flats for name in flat)
    numeric = dict.fromkeys(name for flat in flats for name in numbers(flat))
    sound = True
    for place, text in enumerate(spec.constraints):
        for name, at in Condition(text).names.items():
            if name in numeric:
                continue
            sound = False
            where = f"character {at + 1}: "
            if name in every:
                value = next(flat[name] for flat in flats if name in flat)
                yield source.fault(("constraints", place), f"{where}{name} is no number but {value!r}")
            else:
                message = f"{where}no trial has {name}"
                yield source.fault(("constraints", place), message, nearest=nearest_name(name, numeric))
    if sound and spec.constraints and spec.method == "grid" and SearchSpace(spec.parameters).size() is not None:
        yield from _empty_grid(source, spec)


def _empty_grid(source: Source, spec: SweepSpec) -> Iterator[Fault]:
    from orchestration.spec.constraints import COUNTED, left_out

    size = SearchSpace(spec.parameters).size() or 0
    if size <= COUNTED and left_out(spec) == size:
        yield source.fault(("constraints",), f"every one of the grid's {size} points violates them", key=True)


def _start_faults(source: Source, spec: SweepSpec) -> Iterator[Fault]:
    if spec.search.enqueue and spec.method == "grid":
        yield source.fault(("search", "enqueue"), "a grid tries every point, in its own order", key=True)
        return
    constraints = Constraints(spec)
    for place, written in enumerate(spec.search.enqueue):
        start = start_point(spec.parameters, written)
        for name, message, nearest in start.faults:
            yield source.fault(("search", "enqueue", place, name), message, nearest=nearest)
        whole = not start.faults and constraints and _whole(spec.parameters, start.point)
        if whole and constraints.violation(SearchSpace(spec.parameters).assignment(start.point)):
            yield source.fault(("search", "enqueue", place), "violates the sweep's own constraints")


def _whole(parameters: Parameters, point: dict[str, object]) -> bool:
    """Whether the point says all that the space asks."""
    try:
        assign(parameters, lambda key, question: point[key])
    except KeyError:
        return False
    return True


def _method_faults(source: Source, spec: SweepSpec) -> Iterator[Fault]:
    if spec.search.warm_start is not None and spec.method not in LEARNS_FROM_OTHERS:
        message = f"{spec.method} does not learn from earlier trials; {', '.join(LEARNS_FROM_OTHERS)} do"
        yield source.fault(("search", "warm_start"), message, key=True)
    population = spec.search.population
    if population is not None and spec.method not in ("cmaes", "nsga2", "nsga3"):
        yield source.fault(("search", "population"), f"{spec.method} has no generations", key=True)
