"""Which trials compute the same, so that what one of them costs is what the others cost.

Two trials have the same structure where they differ only in what changes no computation: numbers that weigh or scale, schedules,
the seed, and how many epochs there are. A float counts by whether it is 0, as a rate of dropout may be; of the data all counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from orchestration.spec import SweepSpec
from orchestration.spec.parameters import Choices, Leaf, Range, Variants
from orchestration.spec.search_space import Assignment, Parameters, assign, combinations, make_trial_config, points
from vae_core.config import TrialConfig

Structure = tuple[tuple[str, Any], ...]
"""What is computed: names below the trial config, with a value each; a float is 0 or "some"."""

MAX_COUNTED = 1000
"""Combinations that are made into trials to count the structures among them."""
_COSTLESS = frozenset({"annealing", "feedback", "schedule", "lr_schedule", "temperature", "initialisation", "rollback"})
"""Parts of a name below which nothing changes what a step costs."""
_COSTLESS_NAMES = frozenset({"seed", "data.split.seed", "training.epochs", "training.patience", "optimizer.betas"})
_SIZES = frozenset({"model.softmax.division"})
"""Floats that are sizes."""


def structure_of(config: TrialConfig) -> Structure:
    """What is computed in a step, an epoch's validation and the final scoring."""
    found = []
    for name, value in config.flat().items():
        if not _costless(name):
            found.append((name, repr(value) if name.startswith("data.") or name in _SIZES else _kind(value)))
    return tuple(found)


def count_structures(spec: SweepSpec) -> tuple[int, bool]:
    """How many structures the space has, and whether that is exact or an upper bound, as where combinations are many."""
    bound = _bound(spec.parameters)
    if bound > MAX_COUNTED:
        return bound, False
    found: set[Structure] = set()
    for picks in itertools.islice(combinations(spec.parameters, _structural_points), MAX_COUNTED):
        assignment = assign(spec.parameters, lambda key, question, picks=picks: picks[key])  # type: ignore[misc]
        try:
            found.add(structure_of(make_trial_config(spec, assignment)))
        except ValueError:  # a combination that makes no trial
            continue
    return len(found), True


def label_of(assignment: Assignment, structure: Structure) -> str:
    """A structure in a few words: what is searched and makes it; "every trial" where nothing does."""
    own = dict(structure)
    words = []
    for name, value in assignment.items():
        if isinstance(value, dict):  # of a variant, which sets a whole part
            words.append(_said(f"{name}.kind", value["kind"]) if "kind" in value else name.rpartition(".")[2])
        elif own.get(name, "some") != "some":
            words.append(_said(name, value))
    return " ".join(words) or "every trial"


def _costless(name: str) -> bool:
    return name in _COSTLESS_NAMES or not _COSTLESS.isdisjoint(name.split("."))


def _kind(value: Any) -> Any:
    if isinstance(value, float):
        return 0.0 if value == 0.0 else "some"
    if isinstance(value, list):
        return repr([_kind(item) for item in value])
    return value


def _structural_points(key: str, leaf: Leaf) -> Iterator[Any]:
    """The values of a parameter that could differ in what they compute; of a continuous range its middle."""
    if _costless(key):
        return itertools.islice(points(leaf), 1) if not isinstance(leaf, Range) else iter((leaf.min,))
    if isinstance(leaf, Range) and leaf.count is None:
        return iter((leaf.min + (leaf.max - leaf.min) / 2,))
    return points(leaf)


def _bound(parameters: Parameters, prefix: str = "") -> int:
    """How many combinations ``_structural_points`` gives; a choice or a variant counts whatever it changes."""
    total = 1
    for name, parameter in parameters.items():
        key = f"{prefix}{name}"
        if isinstance(parameter, Choices):
            total *= sum(_bound(inner, f"{key}.{option}.") for option, inner in parameter.choices.items())
        elif isinstance(parameter, Variants):
            total *= len(parameter.variants)
        elif not _costless(key):
            count = parameter.count if isinstance(parameter, Range) else len(parameter.values)
            total *= 1 if count is None else count
    return total


def _said(name: str, value: Any) -> str:
    *_, parent, leaf = ("", *name.split("."))
    return f"{parent}={value}" if leaf == "kind" else f"{leaf}={value}"
