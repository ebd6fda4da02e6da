"""Training objectives: what a step minimises, in nats an example.

Shapes: B examples, K samples an example, Z latent dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from vae_core.config import Elbo
from vae_core.model import VAE
from vae_core.networks.interface import BatchT
from vae_core.seeding import Streams


@dataclass(frozen=True)
class Terms:
    """Means over the examples of a batch, each a scalar tensor."""

    loss: Tensor
    """What is differentiated."""
    distortion: Tensor
    """-E_q log p(x|z), approximated where the softmax is; summed over tokens or pixels."""
    rate: Tensor
    """KL(q(z|x) || p(z)), unweighted; summed over dimensions."""


class Objective(ABC):
    """A loss of a batch at a step; the step is the caller's, nothing here counts."""

    @abstractmethod
    def weight(self, step: int, total: int) -> float:
        """The weight of the rate at ``step`` (0, 1, ...) of ``total`` planned steps."""

    @abstractmethod
    def annealing_end(self, total: int) -> int:
        """The first step from which on the weight stays as it is."""

    @abstractmethod
    def terms(self, model: VAE[BatchT], batch: BatchT, weight: float, streams: Streams) -> Terms:
        """The loss and its parts."""


class NegativeElbo(Objective):
    """mean_x [ -1/K sum_k log p(x|z_k) + beta a(t) KL(q(z|x) || p(z)) ], z_k ~ q(z|x).

    Kingma & Welling 2014, eq. 8; beta: Higgins et al. 2017; a(t), the annealing: Bowman et al. 2016. Sums over tokens or
    pixels and over latent dimensions, then one mean over examples, so that beta means the same on every data set.
    """

    def __init__(self, config: Elbo) -> None:
        self.config = config

    def weight(self, step: int, total: int) -> float:
        return self.config.beta * self.config.annealing(step, total)

    def annealing_end(self, total: int) -> int:
        return self.config.annealing.end(total)

    def terms(self, model: VAE[BatchT], batch: BatchT, weight: float, streams: Streams) -> Terms:
        posterior = model.encode(batch, streams.dropout)
        z = posterior.draw(self.config.samples, streams.noise)
        distortion = model.decoder.training_nll(batch, z, streams).mean()
        rate = posterior.kl().mean()
        return Terms(distortion + weight * rate, distortion, rate)


_OBJECTIVES: dict[type[Elbo], type[NegativeElbo]] = {Elbo: NegativeElbo}
"""The family's table: config -> what it configures."""


def build_objective(config: Elbo) -> Objective:
    """The objective that the config names."""
    return _OBJECTIVES[type(config)](config)
