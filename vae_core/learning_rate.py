"""The learning rate over time: a warm-up, then a decay."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Self

from pydantic import model_validator

from vae_core.configurable import Config, Share
from vae_core.schedules import AnySchedule, Constant

_DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda x: 1.0,
    "linear": lambda x: 1.0 - x,
    "cosine": lambda x: math.cos(0.5 * math.pi * x) ** 2,  # (1 + cos(pi x)) / 2 (Loshchilov & Hutter 2017, eq. 5)
}
"""What is left at the share x of the steps after the warm-up, from 1 at x = 0 to 0 at x = 1."""
_MANY_STEPS = 10**6


class LearningRateSchedule(Config):
    """The share of ``optimizer.lr`` at each step: a frozen value, a pure function of the global step and the planned steps.

    Up to step E, the end of the warm-up, it is the warm-up's weight at t + 1, for a step at 0 would move nothing (a cyclical
    one comes back to 0 for a step of each further cycle). From there on it is f + (1 - f) d(x), with f the floor, d the decay and
    x = (t - E) / (T - E). The step T - 1 is the last, so that the floor itself is never reached.
    """

    warmup: AnySchedule = Constant()
    """Any schedule of the family; its weight multiplies the rate (Goyal et al. 2017, sec. 2.2, has the linear one)."""
    decay: Literal["constant", "linear", "cosine"] = "constant"
    """From the warm-up's end to the last planned step; constant: none."""
    floor: Share = 0.0
    """The share that a decay comes down to."""

    @model_validator(mode="after")
    def _of_one_piece(self) -> Self:
        if self.decay == "constant":
            if self.floor != 0.0:
                raise ValueError(f"floor: {self.floor} is for a decay; with decay: constant leave it at 0")
        elif self.warmup.end(_MANY_STEPS) >= _MANY_STEPS:
            raise ValueError(f"decay: {self.decay} has no steps left, for warmup: {self.warmup.kind} ends with the last one")
        return self

    def __call__(self, step: int, total: int) -> float:
        """The share of the learning rate at ``step`` of ``total`` planned steps, in [0, 1]."""
        start = self.warmup.end(total)
        if step < start:
            return self.warmup(step + 1, total)
        x = 1.0 if step >= total else (step - start) / (total - start)
        return self.floor + (1.0 - self.floor) * _DECAYS[self.decay](x)
