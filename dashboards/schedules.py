"""Trials whose parameters changed on the way, by population-based training: what they ended with, and how they came to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

DONOR = "population/donor"
"""The metric that marks an epoch after which a trial has gone on from another's weights: whose."""
TAG, LAST = "schedule", "parameters.last"
"""Of a trial's run: all its stints, as JSON that may be cut; where there are several, what the last was trained with."""


class Stint(NamedTuple):
    """A stretch of the training that a trial descends from, to where the next one begins."""

    from_epoch: int
    """Epochs that lie before it."""
    number: int
    """The trial that trained it."""
    parameters: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


Schedule = tuple[Stint, ...]
"""What a trial descends from; the last stint is its own."""


def last_parameters(tags: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, str]:
    """A run's parameters as the trial ended with them; MLflow itself keeps those that it began with.

    Raises:
        ValueError: the tag is no JSON.
    """
    last = json.loads(tags.get(LAST, "{}"))
    return {**parameters, **{name: at if isinstance(at, str) else json.dumps(at) for name, at in last.items()}}


def schedule_of(plain: Iterable[Mapping[str, Any]]) -> Schedule:
    """From what ``to_dict`` gives, or JSON has made of it.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    return tuple(Stint(int(stint["from_epoch"]), int(stint["number"]), dict(stint["parameters"])) for stint in plain)


def is_changed(tags: Mapping[str, str]) -> bool:
    """Whether the trial went on from another's weights."""
    return LAST in tags


def in_words(schedule: Sequence[Stint], short: Mapping[str, str]) -> list[str]:
    """A line a stint: ``epochs 1 to 4: trial 2, lr 0.00895, beta 0.747``.

    Args:
        short: what a parameter is called.
    """
    spans = [f"epochs {one.from_epoch + 1} to {next_.from_epoch}" for one, next_ in pairwise(schedule)]
    spans.append(f"from epoch {schedule[-1].from_epoch + 1} on")
    return [f"{span}: trial {one.number}, {_told(one.parameters, short)}" for span, one in zip(spans, schedule, strict=True)]


def _told(parameters: Mapping[str, Any], short: Mapping[str, str]) -> str:
    values = {name: f"{at:.3g}" if isinstance(at, float) else str(at) for name, at in parameters.items()}
    return ", ".join(f"{short.get(name, name)} {value}" for name, value in values.items())
