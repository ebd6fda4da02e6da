"""What the options of a posterior are made of; free of torch, as ``config`` is."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Positive
from vae_core.schedules import AnySchedule, Constant, Linear


class Temperature(Config):
    """start^(1 - s) end^s, s the schedule: with a line, the exponential decay of Jang et al. 2017.

    It shapes the gradient alone: evaluation has hard samples throughout, and so no annealing ends with it.
    """

    start: Positive = 1.0
    end: Positive = 0.5
    schedule: AnySchedule = Linear(warmup=0.5)

    @model_validator(mode="after")
    def _start_of_what(self) -> Self:
        if isinstance(self.schedule, Constant) and self.start != self.end:
            raise ValueError(f"start: {self.start} is never had with schedule.kind: constant; set it to end: {self.end}")
        return self

    def __call__(self, step: int, total: int) -> float:
        """At ``step`` of ``total`` planned steps."""
        share = self.schedule(step, total)
        return float(self.start ** (1.0 - share) * self.end**share)


class EstimatorConfig(Config):
    """What training looks at in place of hard samples, through which no gradient goes."""

    kind: str


class GumbelEstimator(EstimatorConfig):
    """Relaxed samples (Jang et al. 2017; Maddison et al. 2017), whose training loss is no bound."""

    kind: Literal["gumbel"] = "gumbel"
    temperature: Temperature = Temperature()


class StraightThroughEstimator(EstimatorConfig):
    """Hard samples with the gradient of the relaxed ones (Jang et al. 2017)."""

    kind: Literal["straight_through"] = "straight_through"
    temperature: Temperature = Temperature()


class MarginalEstimator(EstimatorConfig):
    """Every code, weighed by its probability: loss and gradient are exact, at the cost of as many samples."""

    kind: Literal["marginal"] = "marginal"


AnyEstimator = Annotated[GumbelEstimator | StraightThroughEstimator | MarginalEstimator, Field(discriminator="kind")]

MARGINAL_CODES = 256
"""More are not enumerated."""
