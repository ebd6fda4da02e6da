"""Variants by their names: which one an assignment has come of, and the assignment in those words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestration.spec.parameters import Choices, Variants
from orchestration.spec.search_space import Assignment, Parameters
from vae_core.configurable import flatten


def variant_places(parameters: Parameters, prefix: str = "") -> dict[str, list[str]]:
    """Every name that some variant sets, by the parameter's."""
    found: dict[str, list[str]] = {}
    for name, parameter in parameters.items():
        full = f"{prefix}{name}"
        if isinstance(parameter, Choices):
            for inner in parameter.choices.values():
                for below, places in variant_places(inner, f"{full}.").items():
                    found[below] = list(dict.fromkeys([*found.get(below, ()), *places]))
        elif isinstance(parameter, Variants):
            places = [f"{prefix}{place}" for change in parameter.variants.values() for place in flatten(change)]
            found[full] = list(dict.fromkeys(places))
    return found


def taken(parameters: Parameters, assignment: Assignment) -> dict[str, str]:
    """The variant of each parameter with variants that the assignment has."""
    return {name: option for name, (option, _) in _taken(parameters, assignment, "").items()}


def in_words(parameters: Parameters, assignment: Assignment) -> Assignment:
    """The assignment with the name of each variant in place of what it sets."""
    found = _taken(parameters, assignment, "")
    owner = {place: name for name, (_, places) in found.items() for place in places}
    words: Assignment = {}
    for name, value in assignment.items():
        if name not in owner:
            words[name] = value
        else:
            words.setdefault(owner[name], found[owner[name]][0])
    return words | {name: option for name, (option, _) in found.items() if name not in words}


def _taken(parameters: Parameters, assignment: Assignment, prefix: str) -> dict[str, tuple[str, list[str]]]:
    found: dict[str, tuple[str, list[str]]] = {}
    for name, parameter in parameters.items():
        full = f"{prefix}{name}"
        if isinstance(parameter, Choices):
            option = assignment.get(f"{full}.kind")
            if option in parameter.choices:
                found |= _taken(parameter.choices[option], assignment, f"{full}.")
        elif isinstance(parameter, Variants):
            fitting = [option for option, change in parameter.variants.items() if _has(assignment, change, prefix)]
            if fitting:  # where one sets all that another does, and more, it is the one
                option = max(fitting, key=lambda option: len(parameter.variants[option]))
                found[full] = option, [f"{prefix}{place}" for place in parameter.variants[option]]
    return found


def _has(assignment: Assignment, change: Mapping[str, Any], prefix: str) -> bool:
    """Whether the assignment has all that a variant sets; 1, 1.0 and true are three values."""
    places = {f"{prefix}{place}": value for place, value in change.items()}
    return all(place in assignment and json.dumps(assignment[place]) == json.dumps(value) for place, value in places.items())
