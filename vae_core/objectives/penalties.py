"""How the KL enters a loss: weighted by a schedule, above a floor, or by a feedback that holds the rate at a target.

A penalty is a pure function of the KL, the moment and the state that the step before left behind. The states stay tensors on
the model's device, so that a feedback waits for no device.

Shapes: B examples, Z latent dimensions; the KL of each example and dimension is (B, Z). The rate is its sum over dimensions and
mean over examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vae_core.moment import Moment, State
from vae_core.objectives.config import Elbo
from vae_core.objectives.options import (
    BatchFreeBits,
    Capacity,
    ExampleFreeBits,
    FreeBits,
    MinimumRate,
    Pid,
    TotalFreeBits,
)


@dataclass(frozen=True)
class Penalised:
    """What a penalty says of one batch."""

    value: Tensor
    """What is added to the distortion, a scalar."""
    weight: Tensor | float
    """Its derivative by the rate, floors left out."""
    state: State
    """For the next step."""


class Penalty(ABC):
    """One way for the KL to enter a loss."""

    def initial(self, device: torch.device | str = "cpu") -> State:
        """The state before the first step."""
        return {}

    @abstractmethod
    def end(self, total: int) -> int:
        """The first of ``total`` planned steps from which on no schedule changes it."""

    @abstractmethod
    def __call__(self, kl: Tensor, moment: Moment) -> Penalised:
        """The penalty of a batch's KL (B, Z)."""


class Weighted(Penalty):
    """beta a(t) KL, beta of Higgins et al. 2017, a(t) the annealing (Bowman et al. 2016); the KL above its floor, if any."""

    def __init__(self, config: Elbo) -> None:
        self.config = config

    def end(self, total: int) -> int:
        return self.config.annealing.end(total)

    def __call__(self, kl: Tensor, moment: Moment) -> Penalised:
        bits = self.config.free_bits
        weight = self.config.beta * self.config.annealing(moment.step, moment.total)
        held = _rate(kl) if bits is None else _FREE_BITS[type(bits)](kl, bits.nats)
        return Penalised(weight * held, weight, moment.state)


class CapacityPenalty(Penalty):
    """gamma |KL - C(t)| (Burgess et al. 2018); the weight is gamma above C(t) and -gamma below. It needs no state."""

    def __init__(self, config: Capacity) -> None:
        self.config = config

    def end(self, total: int) -> int:
        return self.config.schedule.end(total)

    def __call__(self, kl: Tensor, moment: Moment) -> Penalised:
        excess = _rate(kl) - self.config.nats * self.config.schedule(moment.step, moment.total)
        return Penalised(self.config.gamma * excess.abs(), self.config.gamma * excess.detach().sign(), moment.state)


class PidPenalty(Penalty):
    """The weight of ControlVAE (Shao et al. 2020, alg. 1); the state is the integral term, -K_i sum_s e(s).

    Against wind-up the integral stands still at a step that would push a weight out of its range further out. The error's sign
    belongs to that rule: an integral that stood still after any weight out of range might never come back.
    """

    def __init__(self, config: Pid) -> None:
        self.config = config

    def initial(self, device: torch.device | str = "cpu") -> State:
        return {"integral": torch.zeros((), dtype=torch.float64, device=device)}

    def end(self, total: int) -> int:
        return 0

    def __call__(self, kl: Tensor, moment: Moment) -> Penalised:
        config, rate = self.config, _rate(kl)
        error = config.nats - rate.detach().double()
        base = config.min_weight + config.proportional_gain * torch.sigmoid(-error)
        step = -config.integral_gain * error
        moved = base + moment.state["integral"] + step
        outwards = ((moved > config.max_weight) & (step > 0)) | ((moved < config.min_weight) & (step < 0))
        integral = moment.state["integral"] + torch.where(outwards, 0.0, step)
        weight = (base + integral).clamp(config.min_weight, config.max_weight)
        return Penalised(weight.to(rate) * rate, weight, {"integral": integral})


class MinimumRatePenalty(Penalty):
    """KL + u (r - KL), u = softplus(v) (Pelsmaeker & Aziz 2020), hence a weight of 1 - u; the state is v.

    The model's step sees the u from before it, and v rises by lr (r - KL) sigmoid(v), its gradient: both move at once. At first
    v = 0, u = log 2.
    """

    def __init__(self, config: MinimumRate) -> None:
        self.config = config

    def initial(self, device: torch.device | str = "cpu") -> State:
        return {"v": torch.zeros((), dtype=torch.float64, device=device)}

    def end(self, total: int) -> int:
        return 0

    def __call__(self, kl: Tensor, moment: Moment) -> Penalised:
        rate, v = _rate(kl), moment.state["v"]
        u = softplus(v)
        ascent = (self.config.nats - rate.detach().double()) * torch.sigmoid(v)
        return Penalised(rate + u.to(rate) * (self.config.nats - rate), 1.0 - u, {"v": v + self.config.lr * ascent})


def _rate(kl: Tensor) -> Tensor:
    return kl.sum(-1).mean()


_FREE_BITS: dict[type[FreeBits], Callable[[Tensor, float], Tensor]] = {
    ExampleFreeBits: lambda kl, nats: kl.clamp(min=nats).sum(-1).mean(),
    BatchFreeBits: lambda kl, nats: kl.mean(0).clamp(min=nats).sum(),
    TotalFreeBits: lambda kl, nats: _rate(kl).clamp(min=nats),
}
"""What each floor makes of the KL."""
