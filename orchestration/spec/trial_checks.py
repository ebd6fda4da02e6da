"""Whether the trials that a sweep file describes can be made: each option, each value, and all of them together."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestration.spec.faults import Fault, Path, dotted
from orchestration.spec.parameters import Choices, Leaf, Range, Variants
from orchestration.spec.search_space import Parameters, assign, combinations, corners, merged
from orchestration.spec.validation import MISFIT, Problem, validate
from orchestration.spec.yaml_source import Source
from vae_core.config import TrialConfig
from vae_core.configurable import flatten

MAX_COMBINATIONS = 256
_MAX_FAULTS = 50

Picks = Mapping[str, Any]
"""By Optuna's name: the option of a choice, a variant, or the number of a corner; the first one where it says nothing."""


class Origin(NamedTuple):
    """A value of an assignment, and what in the file it comes from."""

    value: Any
    parameter: Path
    within: Path
    """Below the parameter: ("min",), ("values", 2), ..."""


Origins = dict[str, Origin]
"""By the name in the assignment."""


class Located(NamedTuple):
    """A parameter of one value at a time, wherever it lies."""

    name: str
    """In the assignment."""
    key: str
    """In Optuna."""
    path: Path
    parameter: Leaf
    picks: dict[str, Any]
    """The options on the way to it."""


@dataclass
class Trials:
    """The trials that stand for the sweep's: all corners of its space, or a sample where they are many."""

    faults: list[Fault] = field(default_factory=list)
    made: list[tuple[TrialConfig, Origins]] = field(default_factory=list)


def trials_of(source: Source, parameters: Parameters, dropped: set[str]) -> Trials:
    """Makes the trials, and finds every fault of the trial's tree and of the parameters' values.

    Args:
        dropped: parameters with faults of their own; what they alone could bring is not called missing.
    """
    trial = source.tree["trial"]
    trials = Trials()
    seen: set[tuple[Path, str]] = set()
    for picks in itertools.chain(_one_at_a_time(parameters), _together(parameters)):
        origins = _origins(parameters, picks)
        config, problems = _make(trial, origins)
        if config is not None:
            trials.made.append((config, origins))
        for problem in problems:
            path = path_in_file(trial, origins, problem)
            if not _concerns(problem.path, dropped) and (path, problem.message) not in seen:
                seen.add((path, problem.message))
                trials.faults.append(_fault(source, path, problem))
        if len(trials.faults) >= _MAX_FAULTS:
            break
    trials.faults += _unclear_integers(source, parameters, trial)
    return trials


def located(
    parameters: Parameters, above: Path = ("parameters",), prefix: str = "", key: str = "", picks: Picks | None = None
) -> Iterator[Located]:
    """Every parameter of one value at a time, those of options among them."""
    for name, parameter in parameters.items():
        path = (*above, name)
        if isinstance(parameter, Choices):
            for option, inner in parameter.choices.items():
                chosen = {**(picks or {}), f"{key}{name}.kind": option}
                yield from located(inner, (*path, "choices", option), f"{prefix}{name}.", f"{key}{name}.{option}.", chosen)
        elif not isinstance(parameter, Variants):
            yield Located(f"{prefix}{name}", f"{key}{name}", path, parameter, dict(picks or {}))


def path_in_file(trial: Any, origins: Origins, problem: Problem) -> Path:
    """Where the file says what a problem of a trial's config is about: in ``parameters`` or in ``trial``."""
    parts = [str(part) for part in itertools.takewhile(lambda part: isinstance(part, str), problem.path)]
    name = ".".join(parts)
    above = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    if problem.kind == MISFIT:
        words = re.findall(r"\w+(?:\.\w+)*", problem.message)
        for full in (full for word in words for full in (*_upwards(word), f"{name}.{word}")):
            if full in origins:
                return _whole(origins[full])
        named = ([*parts, *word.split(".")] for word in words if parts or "." in word)
        first = next((place for place in named if _has(trial, place)), None)
        if first is not None and not any(candidate in origins for candidate in above):
            return ("trial", *first)
    for candidate in above:
        if candidate in origins:
            origin = origins[candidate]
            return origin.parameter if problem.kind == "extra_forbidden" else _whole(origin)
    if not _has(trial, parts):
        brought = [origin for full, origin in origins.items() if full.startswith(f"{name}.")]
        if brought and problem.kind != "missing":
            return brought[0].parameter
        for candidate in above:
            if f"{candidate}.kind" in origins:
                return _whole(origins[f"{candidate}.kind"])
    return ("trial", *problem.path)


def _upwards(name: str) -> Iterator[str]:
    """The name, and the names of what it lies in: a variant may bring a whole mapping."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(len(parts), 0, -1))


def overlaps(parameters: Parameters, source: Source) -> Iterator[tuple[str, Path, str]]:
    """Parameters that are set twice: by name the outermost one, its path, and a sentence."""
    trial = source.tree.get("trial")
    fixed = list(flatten(trial)) if isinstance(trial, dict) else []
    names: dict[str, Path] = {}
    for name, path in _set_names(parameters, ("parameters",), ""):
        outermost = str(path[1])
        changed = "variants" in path[2::3]  # it is the trial's own value that a variant stands in place of
        if not changed and (clash := next((leaf for leaf in fixed if _same(leaf, name)), None)):
            line = source.place(("trial", *clash.split("."))).line
            where = f"trial.{clash}" + (f" (line {line})" if line else "")
            yield outermost, path, f"set twice, here and in {where}: take it out of one of them"
        elif other := next((known for known in names if _same(known, name) and not _apart(names[known], path)), None):
            yield outermost, path, f"set twice, here and in {'.'.join(map(str, names[other]))}: take it out of one of them"
        names.setdefault(name, path)


def _make(trial: Any, origins: Origins) -> tuple[TrialConfig | None, list[Problem]]:
    values = {name: origin.value for name, origin in origins.items()}
    try:
        return validate(TrialConfig, merged(trial, values))
    except ValueError:  # a parameter leads through what should be a mapping and is none: that is the fault to tell
        return validate(TrialConfig, merged(trial, _reachable(trial, values)))


def _reachable(trial: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Without the parameters that lead through a plain value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        with contextlib.suppress(ValueError):
            merged(trial, {**found, name: value})
            found[name] = value
    return found


def _one_at_a_time(parameters: Parameters) -> Iterator[Picks]:
    """Each option and each corner once, all others at their first."""
    yield {}
    yield from _options(parameters, "", {})
    for leaf in located(parameters):
        for number in range(len(corners(leaf.parameter))):
            yield {**leaf.picks, leaf.key: number}


def _options(parameters: Parameters, key: str, picks: Picks) -> Iterator[Picks]:
    for name, parameter in parameters.items():
        if isinstance(parameter, Choices):
            for option, inner in parameter.choices.items():
                chosen = {**picks, f"{key}{name}.kind": option}
                yield chosen
                yield from _options(inner, f"{key}{name}.{option}.", chosen)
        elif isinstance(parameter, Variants):
            yield from ({**picks, f"{key}{name}": option} for option in parameter.variants)


def _together(parameters: Parameters) -> Iterator[Picks]:
    """Every combination of options and corners; where they are many, some of the options' and some at random."""
    every = list(itertools.islice(combinations(parameters, _corner_numbers), MAX_COMBINATIONS + 1))
    if len(every) <= MAX_COMBINATIONS:
        yield from every
        return
    yield from itertools.islice(combinations(parameters, lambda key, leaf: (0,)), MAX_COMBINATIONS)
    generator = random.Random(0)
    for _ in range(MAX_COMBINATIONS):
        yield _drawn(parameters, generator)


def _drawn(parameters: Parameters, generator: random.Random) -> Picks:
    picks: dict[str, Any] = {}

    def pick(key: str, question: Leaf | tuple[str, ...]) -> Any:
        options = question if isinstance(question, tuple) else range(len(corners(question)))
        picks[key] = generator.choice(options)
        return picks[key]

    assign(parameters, pick)
    return picks


def _corner_numbers(key: str, leaf: Leaf) -> range:
    return range(len(corners(leaf)))


def _origins(
    parameters: Parameters, picks: Picks, above: Path = ("parameters",), prefix: str = "", key_prefix: str = ""
) -> Origins:
    origins: Origins = {}
    for name, parameter in parameters.items():
        path, full, key = (*above, name), f"{prefix}{name}", f"{key_prefix}{name}"
        if isinstance(parameter, Choices):
            option = picks.get(f"{key}.kind", next(iter(parameter.choices)))
            inside = (*path, "choices", option)
            origins[f"{full}.kind"] = Origin(option, inside, ())
            origins |= _origins(parameter.choices[option], picks, inside, f"{full}.", f"{key}.{option}.")
        elif isinstance(parameter, Variants):
            option = picks.get(key, next(iter(parameter.variants)))
            for place, value in parameter.variants[option].items():
                origins[f"{prefix}{place}"] = Origin(value, (*path, "variants", option, place), ())
        else:
            number = picks.get(key, 0)
            origins[full] = Origin(corners(parameter)[number], path, _within(parameter, number))
    return origins


def _within(parameter: Leaf, number: int) -> Path:
    if isinstance(parameter, Range):
        return (("min", "max")[number],)
    return ("value",) if len(parameter.values) == 1 and "value" in type(parameter).model_fields else ("values", number)


def _unclear_integers(source: Source, parameters: Parameters, trial: Any) -> Iterator[Fault]:
    """Ranges with integer ends, and nothing said of it, of a field that takes other numbers too."""
    for leaf in located(parameters):
        range_ = leaf.parameter
        if not (isinstance(range_, Range) and range_.distribution is None and range_.integer and range_.min < range_.max):
            continue
        origins = _origins(parameters, leaf.picks)
        origins[leaf.name] = origins[leaf.name]._replace(value=range_.min + 0.5)
        if _make(trial, origins)[0] is not None:
            low, high = float(range_.min), float(range_.max)
            message = f"whole ends give whole numbers only: write {low} and {high}, or say distribution: int_uniform"
            yield source.fault(leaf.path, message)


def _set_names(parameters: Parameters, above: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """What each parameter sets: a choice its kind, and what its options set; variants what each of them sets."""
    for name, parameter in parameters.items():
        if isinstance(parameter, Choices):
            yield f"{prefix}{name}.kind", (*above, name)
            for option, inner in parameter.choices.items():
                yield from _set_names(inner, (*above, name, "choices", option), f"{prefix}{name}.")
        elif isinstance(parameter, Variants):
            for option, change in parameter.variants.items():
                yield from ((f"{prefix}{place}", (*above, name, "variants", option, place)) for place in change)
        else:
            yield f"{prefix}{name}", (*above, name)


def _same(one: str, other: str) -> bool:
    """Whether one name is the other, or lies below it."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _apart(one: Path, other: Path) -> bool:
    """Whether two parameters belong to different options of one choice, or to different variants, so that they never meet."""
    shared = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
    return 0 < shared < min(len(one), len(other)) and one[shared - 1] in ("choices", "variants") and shared % 3 == 0


def _concerns(path: Path, dropped: set[str]) -> bool:
    name = ".".join(str(part) for part in path)
    return any(_same(name, other) for other in dropped)


def _fault(source: Source, path: Path, problem: Problem) -> Fault:
    in_parameters = path[0] == "parameters"
    unknown, nearest, message = problem.kind == "extra_forbidden", problem.nearest, _without_place(problem, path)
    if len(path) == 2 and in_parameters and unknown and nearest and "." not in nearest:  # the whole dotted name
        rest = str(path[1]).split(".")[len(problem.path) :]
        nearest = ".".join([*(str(part) for part in problem.path[:-1]), nearest, *rest])
    message = message.replace("unknown key", "a trial has no such field") if in_parameters else message
    return source.fault(path, message, nearest=nearest, key=unknown or (in_parameters and path[-2] == "choices"))


def _without_place(problem: Problem, path: Path) -> str:
    """The message without the name at its beginning, where that is the place that stands before it anyway."""
    name, _, rest = problem.message.partition(" ")
    said = problem.kind == MISFIT and f".{dotted(path)}".endswith(f".{name.removesuffix(':')}")
    return rest if said and not rest.startswith("(") else problem.message


def _whole(origin: Origin) -> Path:
    return origin.parameter + origin.within


def _has(trial: Any, parts: list[str]) -> bool:
    for part in parts:
        if not isinstance(trial, dict) or part not in trial:
            return False
        trial = trial[part]
    return True
