"""Schedules: frozen values that map a step to a weight in [0, 1]; they never count, the trainer owns the step.

Symbols: t the global step, counted from 0; T the planned number of steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vae_core.configurable import Config, Count, Share
from vae_core.plugins import extended


class Schedule(Config):
    """A pure function of the global step (0, 1, ...) and the planned number of steps."""

    def __call__(self, step: int, total: int) -> float:
        """The weight at ``step`` of ``total`` planned steps, in [0, 1]."""
        raise NotImplementedError

    def end(self, total: int) -> int:
        """The first step from which on the weight stays at 1; ``total`` or below."""
        raise NotImplementedError


class Constant(Schedule):
    """No annealing (Kingma & Welling 2014): weight 1 throughout."""

    kind: Literal["constant"] = "constant"

    def __call__(self, step: int, total: int) -> float:
        return 1.0

    def end(self, total: int) -> int:
        return 0


class Linear(Schedule):
    """Linear warm-up (Sønderby et al. 2016): min(1, t / (w T))."""

    kind: Literal["linear"] = "linear"
    warmup: Share = 0.25
    """w, the share of the planned steps until the weight is 1."""

    def __call__(self, step: int, total: int) -> float:
        return 1.0 if step >= self.end(total) else step / (self.warmup * total)

    def end(self, total: int) -> int:
        return _whole_steps(self.warmup * total)


class Sigmoid(Schedule):
    """Sigmoid annealing (Bowman et al. 2016): a logistic curve, cut to run from exactly 0 to exactly 1 over the warm-up.

    With x = t / (w T): (s(k (x - 1/2)) - s(-k/2)) / (s(k/2) - s(-k/2)), s the logistic function.
    """

    kind: Literal["sigmoid"] = "sigmoid"
    warmup: Share = 0.25
    """w, the share of the planned steps until the weight is 1."""
    steepness: Annotated[float, Field(gt=0.0, le=100.0)] = 10.0
    """k: the larger, the closer to a step in the middle of the warm-up."""

    def __call__(self, step: int, total: int) -> float:
        if step >= self.end(total):
            return 1.0
        # With tanh(y/2) = 2 s(y) - 1 the curve is (1 + tanh(k (x - 1/2) / 2) / tanh(k/4)) / 2, which cancels nothing.
        x = step / (self.warmup * total)
        curve = 0.5 + 0.5 * math.tanh(self.steepness * (x - 0.5) / 2) / math.tanh(self.steepness / 4)
        return min(curve, math.nextafter(1.0, 0.0))  # a steep curve rounds to 1 early; the weight is 1 at the end only

    def end(self, total: int) -> int:
        return _whole_steps(self.warmup * total)


class Cosine(Schedule):
    """Half a cosine wave (Loshchilov & Hutter 2017, eq. 5, rising): (1 - cos(pi x)) / 2 with x = t / (w T)."""

    kind: Literal["cosine"] = "cosine"
    warmup: Share = 0.25
    """w, the share of the planned steps until the weight is 1."""

    def __call__(self, step: int, total: int) -> float:
        if step >= self.end(total):
            return 1.0
        curve = math.sin(0.5 * math.pi * step / (self.warmup * total)) ** 2  # the same, and keeps the digits of its start
        return min(curve, math.nextafter(1.0, 0.0))  # flat at its end, where it rounds to 1 early

    def end(self, total: int) -> int:
        return _whole_steps(self.warmup * total)


class Cyclical(Schedule):
    """Cyclical annealing (Fu et al. 2019, eq. 6-7): M cycles, each a line from 0 to 1 over the fraction R and then 1.

    weight = min(1, tau / R), tau = mod(t, ceil(T/M)) / (T/M); the paper's t counts from 1. Where M does not divide T, the
    last cycle is the shorter, and can be cut before it comes to 1. From step T on the weight is 1.
    """

    kind: Literal["cyclical"] = "cyclical"
    cycles: Count = 4
    """M, the number of cycles."""
    ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """R, the share of a cycle in which the weight rises."""

    def __call__(self, step: int, total: int) -> float:
        if step >= total:
            return 1.0
        offset, rise = step % self._period(total), self.ratio * total / self.cycles
        return 1.0 if offset >= _whole_steps(rise) else offset / rise

    def end(self, total: int) -> int:
        if total == 0:
            return 0
        last_start = (total - 1) // self._period(total) * self._period(total)
        return min(total, last_start + _whole_steps(self.ratio * total / self.cycles))

    def _period(self, total: int) -> int:
        return -(-total // self.cycles)


def _whole_steps(span: float) -> int:
    """The first step at or after ``span``; 0.07 x 100 = 7.000000000000001 is 7 steps."""
    return math.ceil(span * (1 - 1e-12))


AnySchedule = Annotated[Constant | Linear | Sigmoid | Cosine | Cyclical, Field(discriminator="kind")]
"""The family's table."""
if not TYPE_CHECKING:
    AnySchedule = extended(AnySchedule, Schedule, "schedules")
