"""The options of the objective; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.schedules import AnySchedule, Constant, Linear

if TYPE_CHECKING:
    from vae_core.objectives.interface import Objective, ObjectiveSizes

NotNegative = Annotated[float, Field(ge=0.0)]


class FreeBits(Config):
    """A floor under the KL: below it the KL costs the same whatever it is, and has no gradient (Kingma et al. 2016)."""

    nats: Positive
    """The floor."""


class ExampleFreeBits(FreeBits):
    """A floor for each dimension of each example: mean_x sum_d max(nats, KL_d(x))."""

    kind: Literal["example"] = "example"


class BatchFreeBits(FreeBits):
    """A floor for each dimension's mean over the batch: sum_d max(nats, mean_x KL_d(x)) (Kingma et al. 2016, eq. 15)."""

    kind: Literal["batch"] = "batch"


class TotalFreeBits(FreeBits):
    """One floor for the rate, the sum over dimensions of the mean over the batch: max(nats, mean_x sum_d KL_d(x)).

    Kingma et al. 2016, eq. 15, with all dimensions in one group.
    """

    kind: Literal["total"] = "total"


AnyFreeBits = Annotated[ExampleFreeBits | BatchFreeBits | TotalFreeBits, Field(discriminator="kind")]


class Capacity(Config):
    """Capacity (Burgess et al. 2018): gamma |KL - C(t)|, which pulls the rate up as well as down to C(t)."""

    kind: Literal["capacity"] = "capacity"
    nats: Positive
    """The rate in the end."""
    gamma: Positive = 10.0
    """Weight of the distance; the paper has 1000."""
    schedule: AnySchedule = Linear()
    """The share of ``nats`` that C(t) is at each step; annealing ends with it."""


class Pid(Config):
    """ControlVAE (Shao et al. 2020, alg. 1): a controller sets the weight of the KL so that the rate comes to a set point.

    With e(t) = nats - KL(t): weight = min + K_p / (1 + exp(e(t))) - K_i sum_s e(s), cut to [min, max]. As in the paper there
    is no derivative term.
    """

    kind: Literal["pid"] = "pid"
    nats: Positive
    """The set point."""
    proportional_gain: NotNegative = 0.01
    """K_p."""
    integral_gain: Positive = 1e-4
    """K_i: without it the rate would settle beside the set point."""
    min_weight: NotNegative = 0.0
    max_weight: Positive = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_weight >= self.max_weight:
            raise ValueError(f"min_weight: {self.min_weight} must be below max_weight: {self.max_weight}")
        return self


class MinimumRate(Config):
    """Minimum desired rate (Pelsmaeker & Aziz 2020): -ELBO + u (nats - KL), least over the model, greatest over u >= 0.

    u = softplus(v), and v rises by ``lr`` times its gradient at each step. Where the rate of the plain ELBO is above ``nats``, u
    goes to 0 and nothing is changed.
    """

    kind: Literal["minimum_rate"] = "minimum_rate"
    nats: Positive
    """r, the rate that the model shall not fall below."""
    lr: Positive = 0.003
    """Step size of the multiplier's gradient ascent; where it is too large, rate and multiplier chase each other for ever."""


AnyFeedback = Annotated[Capacity | Pid | MinimumRate, Field(discriminator="kind")]


class ObjectiveConfig(Config):
    """One member of the family; ``build`` makes its loss."""

    def build(self, sizes: ObjectiveSizes) -> Objective:
        """Makes the loss for these sizes; imports torch."""
        raise NotImplementedError


class Elbo(ObjectiveConfig):
    """Negative ELBO: mean over examples of (sum of the NLL + weight x KL), Kingma & Welling 2014; beta: Higgins et al. 2017."""

    kind: Literal["elbo"] = "elbo"
    beta: NotNegative = 1.0
    """The weight of the KL once annealing has ended."""
    annealing: AnySchedule = Constant()
    """The share of beta at each step."""
    samples: Count = 1
    """Posterior samples an example."""
    free_bits: AnyFreeBits | None = None
    """A floor under the KL in the loss; no reported rate or ELBO has it."""
    feedback: AnyFeedback | None = None
    """What sets the weight of the KL by the rate, in place of beta and annealing."""

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.elbo import NegativeElbo

        return NegativeElbo(self)


class ImportanceWeighted(ObjectiveConfig):
    """Importance-weighted bound of K samples (IWAE, Burda et al. 2016)."""

    kind: Literal["iwae"] = "iwae"
    samples: Count = 5
    """K; with 1 it is the ELBO."""
    gradient: Literal["plain", "dreg"] = "dreg"
    """Of the encoder: plain, whose signal drowns in noise as K grows, or doubly reparametrised (Tucker et al. 2019), with the
    same mean and less variance."""

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.iwae import NegativeImportanceWeighted

        return NegativeImportanceWeighted(self)


AnyObjective = Annotated[Elbo | ImportanceWeighted, Field(discriminator="kind")]
"""The family's table."""
