"""Image likelihoods: what the decoder's numbers say of the pixels.

Shapes: B images, P pixels (P = height x width x channels), k parameters a pixel; the decoder gives (..., k P), the pixels are
(..., P), leading dimensions broadcast: (K, B, k P) against (B, P) scores K posterior samples an image.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from vae_core.config import Bernoulli, Gaussian


class ImageLikelihood(ABC):
    """log p(x | parameters) of independent pixels."""

    parameters: int
    """k, the numbers the decoder gives a pixel."""

    @abstractmethod
    def nll(self, parameters: Tensor, pixels: Tensor) -> Tensor:
        """-log p in nats, summed over pixels: (B, k P), (B, P) -> (B,)."""

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """E x, for pictures: (B, k P) -> (B, P)."""

    @abstractmethod
    def sample(self, parameters: Tensor, generator: Generator) -> Tensor:
        """One draw of x: (B, k P) -> (B, P)."""


class BernoulliPixels(ImageLikelihood):
    """A pixel x in {0, 1} with logit l: -log p = softplus(l) - x l."""

    parameters = 1

    def nll(self, parameters: Tensor, pixels: Tensor) -> Tensor:
        return (softplus(parameters) - pixels * parameters).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid()

    def sample(self, parameters: Tensor, generator: Generator) -> Tensor:
        return torch.bernoulli(parameters.sigmoid(), generator=generator)


class GaussianPixels(ImageLikelihood):
    """A pixel with mean m and log variance s: -log p = ((x - m)^2 e^-s + s + log 2 pi) / 2.

    The decoder gives all means, then all r of s = floor + softplus(r - floor): nearly r well above the floor, never below it, and
    with a gradient everywhere. Without a floor the density of a constant pixel has no bound.
    """

    parameters = 2

    def __init__(self, min_log_variance: float) -> None:
        self.min_log_variance = min_log_variance

    def nll(self, parameters: Tensor, pixels: Tensor) -> Tensor:
        mean, log_variance = self._split(parameters)
        return 0.5 * ((pixels - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi)).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return self._split(parameters)[0]

    def sample(self, parameters: Tensor, generator: Generator) -> Tensor:
        mean, log_variance = self._split(parameters)
        noise = torch.randn(mean.shape, dtype=mean.dtype, generator=generator, device=generator.device)
        return mean + torch.exp(0.5 * log_variance) * noise

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = parameters.chunk(2, dim=-1)
        return mean, self.min_log_variance + softplus(raw - self.min_log_variance)


def build_likelihood(config: Bernoulli | Gaussian) -> ImageLikelihood:
    """The likelihood that the config names."""
    return GaussianPixels(config.min_log_variance) if isinstance(config, Gaussian) else BernoulliPixels()
