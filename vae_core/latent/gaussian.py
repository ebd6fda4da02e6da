"""The diagonal Gaussian posterior and the standard normal prior.

Shapes: B examples, Z latent dimensions, K samples an example; samples are (K, B, Z) throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vae_core.latent.batch_norm import NormalisedMeans
from vae_core.latent.config import BatchNorm
from vae_core.latent.interface import Posterior, PosteriorLayer, PriorDensity
from vae_core.networks.initialise import linear

_LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class DiagonalGaussian(Posterior):
    """N(mean, diag(exp(log_variance))), both (B, Z): q(z|x) of each example."""

    mean: Tensor
    log_variance: Tensor

    def expectation(self) -> Tensor:
        return self.mean

    @property
    def noise_size(self) -> int:
        return self.mean.shape[-1]

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std x noise, the reparametrisation (Kingma & Welling 2014, eq. 10); (K, B, Z) -> (K, B, Z)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        squared = (z - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (squared + self.log_variance + _LOG_2PI).sum(-1)

    def pairwise_log_prob(self, z: Tensor) -> Tensor:
        """log q(z_i|x_j), (M, Z) -> (M, B), as two matrix products.

        The square is multiplied out, about a common centre to keep its digits; float64 has digits to spare for the rest.
        """
        centre = self.mean.mean(0)
        z, mean = z - centre, self.mean - centre
        precision = (-self.log_variance).exp()
        constant = (mean.square() * precision + self.log_variance).sum(1) + z.shape[1] * _LOG_2PI
        return -0.5 * (z.square() @ precision.T - 2.0 * (z @ (mean * precision).T) + constant)

    def kl_per_dimension(self) -> Tensor:
        """KL(q(z|x) || N(0, I)): the terms of -1/2 sum(1 + log var - mean^2 - var) (Kingma & Welling 2014, app. B), (B, Z)."""
        # expm1(v) - v keeps the digits of a posterior close to the prior, where exp(v) - 1 - v would lose them.
        return 0.5 * (self.mean.square() + self.log_variance.expm1() - self.log_variance)


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats, (..., Z) -> (...)."""
    return -0.5 * (z.square() + _LOG_2PI).sum(-1)


@dataclass(frozen=True)
class StandardNormal(PriorDensity):
    """N(0, I), the reference of the Gaussian posterior."""

    size: int

    def log_prob(self, z: Tensor) -> Tensor:
        return standard_normal_log_prob(z)

    def sample(self, count: int, generator: Generator) -> Tensor:
        return torch.randn(count, self.size, generator=generator)

    def kl(self, posterior: Posterior) -> Tensor:
        return posterior.kl_per_dimension()


class GaussianPosterior(PosteriorLayer):
    """Reads mean and log variance off the encoder's summary, (B, S) -> two (B, Z).

    Args:
        batch_norm: of the means; None: none.
        variance: of every posterior; None: each its own.
    """

    def __init__(
        self,
        features: int,
        size: int,
        generator: Generator,
        batch_norm: BatchNorm | None = None,
        variance: float | None = None,
    ) -> None:
        super().__init__()
        self.size = self.noise_size = size
        self.reference = StandardNormal(size)
        self.log_variance = None if variance is None else math.log(variance)
        self.layer = linear(features, 2 * size if variance is None else size, generator)
        self.means = None if batch_norm is None else NormalisedMeans(size, batch_norm)

    def forward(self, summary: Tensor, training: bool = False) -> DiagonalGaussian:
        read = self.layer(summary)
        mean, log_variance = read[:, : self.size], read[:, self.size :]
        if self.log_variance is not None:
            log_variance = torch.full_like(mean, self.log_variance)
        if self.means is not None:
            mean = self.means(mean, training)
        return DiagonalGaussian(mean, log_variance)
