"""The options of what objectives are made of; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.schedules import AnySchedule, Linear

if TYPE_CHECKING:
    from vae_core.objectives.gradients import Gradient
    from vae_core.objectives.penalties import Penalty

NotNegative = Annotated[float, Field(ge=0.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
"""The share of its old value that a running mean keeps at each step."""


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


class Feedback(Config):
    """What sets the weight of the KL by the rate; ``build`` makes the penalty."""

    kind: str

    def build(self) -> Penalty:
        """Makes the penalty; imports torch."""
        raise NotImplementedError


class Capacity(Feedback):
    """Capacity (Burgess et al. 2018): gamma |KL - C(t)|, which pulls the rate up as well as down to C(t)."""

    kind: Literal["capacity"] = "capacity"
    nats: Positive
    """The rate in the end."""
    gamma: Positive = 10.0
    """Weight of the distance; the paper has 1000."""
    schedule: AnySchedule = Linear()
    """The share of ``nats`` that C(t) is at each step; annealing ends with it."""

    def build(self) -> Penalty:
        from vae_core.objectives.penalties import CapacityPenalty

        return CapacityPenalty(self)


class Pid(Feedback):
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

    def build(self) -> Penalty:
        from vae_core.objectives.penalties import PidPenalty

        return PidPenalty(self)


class MinimumRate(Feedback):
    """Minimum desired rate (Pelsmaeker & Aziz 2020): -ELBO + u (nats - KL), least over the model, greatest over u >= 0.

    u = softplus(v), and v rises by ``lr`` times its gradient at each step. Where the rate of the plain ELBO is above ``nats``, u
    goes to 0 and nothing is changed.
    """

    kind: Literal["minimum_rate"] = "minimum_rate"
    nats: Positive
    """r, the rate that the model shall not fall below."""
    lr: Positive = 0.003
    """Step size of the multiplier's gradient ascent; where it is too large, rate and multiplier chase each other for ever."""

    def build(self) -> Penalty:
        from vae_core.objectives.penalties import MinimumRatePenalty

        return MinimumRatePenalty(self)


AnyFeedback = Annotated[Capacity | Pid | MinimumRate, Field(discriminator="kind")]


class GradientConfig(Config):
    """How the encoder learns of the expectation under its posterior; ``build`` makes the estimator."""

    kind: str

    def build(self, samples: int) -> Gradient:
        """Makes the estimator by so many samples an example; imports torch."""
        raise NotImplementedError


class Reparametrised(GradientConfig):
    """The encoder learns through its samples, which move with its parameters (Kingma & Welling 2014)."""

    kind: Literal["reparametrised"] = "reparametrised"

    def build(self, samples: int) -> Gradient:
        from vae_core.objectives.gradients import ThroughSamples

        return ThroughSamples(samples)


class Score(GradientConfig):
    """The score function estimator, REINFORCE (Williams 1992): (loss - baseline) x the gradient of log q(z|x) at hard samples.

    It needs no gradient of the loss by z, and pays for that in variance; the decoder learns as ever. A KL in closed form is
    differentiated as it is, any other is estimated in the same way.
    """

    kind: Literal["score"] = "score"
    baseline: Literal["none", "running_mean", "leave_one_out"] = "running_mean"
    """What is taken off the loss; it never depends on the sample that it is taken off of. running_mean: of the batches before
    (Mnih & Gregor 2014). leave_one_out: the mean over the example's other samples (Mnih & Rezende 2016), for ``samples`` of 2 or
    more."""
    decay: Decay = 0.9
    """Of the running mean."""

    @model_validator(mode="after")
    def _decay_of_what(self) -> Self:
        if self.decay != 0.9 and self.baseline != "running_mean":
            raise ValueError(f"decay: {self.decay} is for baseline: running_mean; baseline: {self.baseline} has none")
        return self

    def build(self, samples: int) -> Gradient:
        from vae_core.objectives.gradients import ScoreFunction

        return ScoreFunction(self, samples)


AnyGradient = Annotated[Reparametrised | Score, Field(discriminator="kind")]


class Critic(Config):
    """A fully connected network with an Adam of its own (Kingma & Ba 2015), which tells two kinds of codes apart."""

    hidden: Count = 256
    """Width of the hidden layers."""
    layers: Count = 3
    """Hidden layers, each with a leaky ReLU of slope 0.2."""
    lr: Positive = 5e-4
    betas: tuple[Decay, Decay] = (0.5, 0.9)
    steps: Count = 1
    """Its steps a batch."""


class JensenShannonCritic(Critic):
    """Tells posterior from prior by a probability, whose -log the encoder lowers (Goodfellow et al. 2014, not saturating)."""

    kind: Literal["jensen_shannon"] = "jensen_shannon"


class WassersteinCritic(Critic):
    """Scores codes, with slope 1 between posterior and prior; the encoder lowers the difference (Gulrajani et al. 2017)."""

    kind: Literal["wasserstein"] = "wasserstein"
    steps: Count = 5
    """Its steps a batch."""
    gradient_penalty: Positive = 10.0
    """Weight of (|slope| - 1)^2."""


AnyCritic = Annotated[JensenShannonCritic | WassersteinCritic, Field(discriminator="kind")]
