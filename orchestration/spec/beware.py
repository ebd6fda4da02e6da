"""What is allowed in a sweep file, and should be known before hours are spent on it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from dashboards.comparable import CONDITION, CONDITION_WORDS, deciding, is_of_data
from orchestration.spec.parameters import Choices, Variants
from orchestration.spec.search_space import Parameters, corners
from orchestration.spec.sections import SweepSpec
from vae_core.configurable import flatten

SOFTMAX, CLIPPING = "model.softmax.kind", "training.clip_norm"


def warnings_of(spec: SweepSpec) -> list[str]:
    """Sentences; none where there is nothing to beware of."""
    return [*_unlike_scores(spec), *_clipped_contests(spec)]


def _clipped_contests(spec: SweepSpec) -> list[str]:
    """One-vs-each under a clipping that is made for losses of the order of log V."""
    fixed, settings = flatten(spec.trial), list(_settings(spec.parameters, _own_condition(spec)))
    kinds = {value for name, _, value in settings if name == SOFTMAX} or {fixed.get(SOFTMAX)}
    clipped = fixed.get(CLIPPING, "the default") is not None and all(name != CLIPPING for name, _, _ in settings)
    if "one_vs_each" not in kinds or not clipped:
        return []
    return [
        "the training loss of model.softmax.kind one_vs_each is of the order of the vocabulary a word: training.clip_norm cuts"
        " its every step, and a KL of weight 1 counts for nothing beside it; give it training.clip_norm: null and an"
        " objective.beta of 20 and more (scores are exact, and at β = 1, all the same), in a variant of its own where other"
        " softmaxes are searched too"
    ]


def _unlike_scores(spec: SweepSpec) -> list[str]:
    metrics = [metric.name for metric in spec.objectives if is_of_data(metric.name)]
    if not metrics:
        return []
    values: dict[tuple[str, str], set[str]] = {}
    for name, parameter, value in _settings(spec.parameters, _own_condition(spec)):
        values.setdefault((name, parameter), set()).add(json.dumps(value, sort_keys=True))
    several = [place for place, found in values.items() if len(found) > 1]
    words = {**deciding(name for name, _ in several), CONDITION: CONDITION_WORDS}
    blamed = dict.fromkeys((parameter, words[name]) for name, parameter in several if name in words)
    return [
        f"{parameter} is searched, and with it what {' and '.join(metrics)} is of changes ({why}): trials that differ in it are"
        " ranked against each other, and should not be"
        for parameter, why in blamed
    ]


def _own_condition(spec: SweepSpec) -> Any:
    model = spec.trial.get("model")
    return model.get("condition") if isinstance(model, dict) else None


def _settings(parameters: Parameters, condition: Any, prefix: str = "", outermost: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every value that a place may be given: its name, the parameter of the file that sets it, the value.

    Of ``model.condition`` it is whether there is one. Where a variant sets nothing it is the trial's own.
    """
    for name, parameter in parameters.items():
        full, said = f"{prefix}{name}", outermost or name
        if isinstance(parameter, Choices):
            for option, inner in parameter.choices.items():
                yield f"{full}.kind", said, option
                yield from _settings(inner, condition, f"{full}.", said)
        elif isinstance(parameter, Variants):
            changes = [{f"{prefix}{place}": value for place, value in change.items()} for change in parameter.variants.values()]
            for place in dict.fromkeys(place for change in changes for place in flatten(change)):
                if not _is_condition(place):
                    yield from ((place, said, flatten(change).get(place, "the trial's own")) for change in changes)
            if any(map(_is_condition, itertools.chain(*changes))):
                for change in changes:
                    given = [value for place, value in change.items() if _is_condition(place)]
                    yield CONDITION, said, (given[0] if given else condition) is not None
        elif not _is_condition(full):
            yield from ((full, said, value) for value in corners(parameter))


def _is_condition(place: str) -> bool:
    return place == CONDITION or place.startswith(f"{CONDITION}.")
