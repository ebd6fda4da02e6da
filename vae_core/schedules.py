"""Schedules: frozen values that map a step to a weight in [0, 1]; they never count, the trainer owns the step."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from vae_core.configurable import Config, Count, Share


class Schedule(Config):
    """A pure function of the global step (0, 1, ...) and the planned number of steps."""

    def __call__(self, step: int, total: int) -> float:
        """The weight at ``step`` of ``total`` planned steps, in [0, 1]."""
        raise NotImplementedError

    def end(self, total: int) -> int:
        """The first step from which on the weight stays at 1."""
        raise NotImplementedError


class Constant(Schedule):
    """Weight 1 throughout (Kingma & Welling 2014)."""

    kind: Literal["constant"] = "constant"

    def __call__(self, step: int, total: int) -> float:
        return 1.0

    def end(self, total: int) -> int:
        return 0


class Linear(Schedule):
    """From 0 to 1 in a straight line (Sønderby et al. 2016): min(1, t / (w T))."""

    kind: Literal["linear"] = "linear"
    warmup: Share = 0.25
    """Share of the planned steps until the weight is 1."""

    def __call__(self, step: int, total: int) -> float:
        span = self.warmup * total
        return 1.0 if step >= span else step / span

    def end(self, total: int) -> int:
        return math.ceil(self.warmup * total)


class Sigmoid(Schedule):
    """A logistic curve (Bowman et al. 2016), cut to run from exactly 0 to exactly 1 over the warm-up.

    With x = t / (w T): (s(k (x - 1/2)) - s(-k/2)) / (s(k/2) - s(-k/2)), s the logistic function.
    """

    kind: Literal["sigmoid"] = "sigmoid"
    warmup: Share = 0.25
    """Share of the planned steps until the weight is 1."""
    steepness: Annotated[float, Field(gt=0.0, le=100.0)] = 10.0
    """k: the larger, the closer to a step in the middle of the warm-up."""

    def __call__(self, step: int, total: int) -> float:
        span = self.warmup * total
        if step >= span:
            return 1.0
        low = _logistic(-self.steepness / 2)
        high = _logistic(self.steepness / 2)
        return (_logistic(self.steepness * (step / span - 0.5)) - low) / (high - low)

    def end(self, total: int) -> int:
        return math.ceil(self.warmup * total)


class Cyclical(Schedule):
    """M cycles, each a line from 0 to 1 over the fraction R and then 1 (Fu et al. 2019, eq. 6-7).

    tau = mod(t, ceil(T/M)) / (T/M), weight = min(1, tau / R), with t counted from 0.
    """

    kind: Literal["cyclical"] = "cyclical"
    cycles: Count = 4
    """M, the number of cycles."""
    ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """R, the share of a cycle in which the weight rises."""

    def __call__(self, step: int, total: int) -> float:
        if step >= total:  # past the plan: the last cycle has ended
            return 1.0
        tau = (step % math.ceil(total / self.cycles)) / (total / self.cycles)
        return min(1.0, tau / self.ratio)

    def end(self, total: int) -> int:
        period = math.ceil(total / self.cycles)
        last_start = (max(total - 1, 0) // period) * period
        return min(total, last_start + math.ceil(self.ratio * total / self.cycles))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


AnySchedule = Annotated[Constant | Linear | Sigmoid | Cyclical, Field(discriminator="kind")]
"""The family's table."""
