"""Where training stands: what every weight over time is a function of."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

State = dict[str, Tensor]
"""What an objective carries from one step to the next, by name. Replaced, never written to. Floating point: where a step has
several batches, what they leave behind is averaged by their examples."""


@dataclass(frozen=True)
class Moment:
    """A step of training; nothing in a model or an objective counts."""

    step: int
    """The global step, from 0."""
    total: int
    """Planned steps."""
    state: State = field(default_factory=dict)
    """What the step before left behind; at first ``Objective.initial``."""
