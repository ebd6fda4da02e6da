"""Posterior, prior, and the divergence between them.

Shapes: B examples, Z latent dimensions, K samples an example; samples are (K, B, Z) throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from vae_core.networks.initialise import linear

_LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag(exp(log_variance))), both (B, Z): q(z|x) of each example."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std x noise, the reparametrisation (Kingma & Welling 2014, eq. 10); (K, B, Z) -> (K, B, Z)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def draw(self, samples: int, generator: Generator) -> Tensor:
        """``samples`` reparametrised samples an example: (K, B, Z)."""
        shape = (samples, *self.mean.shape)
        return self.sample(torch.randn(shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype))

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (K, B, Z) -> (K, B)."""
        squared = (z - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (squared + self.log_variance + _LOG_2PI).sum(-1)

    def kl(self) -> Tensor:
        """KL(q(z|x) || N(0, I)) in nats, (B,): -1/2 sum(1 + log var - mean^2 - var) (Kingma & Welling 2014, app. B)."""
        return self.kl_per_dimension().sum(-1)

    def kl_per_dimension(self) -> Tensor:
        """The terms of that sum, (B, Z), each 0 or above."""
        # expm1(v) - v keeps the digits of a posterior close to the prior, where exp(v) - 1 - v would lose them.
        return 0.5 * (self.mean.square() + self.log_variance.expm1() - self.log_variance)

    def detach(self) -> DiagonalGaussian:
        """The same distribution, its parameters held fixed."""
        return DiagonalGaussian(self.mean.detach(), self.log_variance.detach())


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats, (..., Z) -> (...)."""
    return -0.5 * (z.square() + _LOG_2PI).sum(-1)


class GaussianPosterior(nn.Module):
    """Reads mean and log variance off the encoder's summary, (B, S) -> two (B, Z)."""

    def __init__(self, features: int, size: int, generator: Generator) -> None:
        super().__init__()
        self.size = size
        self.layer = linear(features, 2 * size, generator)

    def forward(self, summary: Tensor) -> DiagonalGaussian:
        mean, log_variance = self.layer(summary).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_variance)
