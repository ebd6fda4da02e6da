"""Image likelihoods: what the decoder's numbers say of the pixels.

Shapes: B images, P pixels (P = height x width x channels), k parameters a pixel; the decoder gives (..., k P), the pixels are
(..., P), leading dimensions broadcast: (K, B, k P) against (B, P) scores K posterior samples an image.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vae_core.config import Bernoulli, ContinuousBernoulli, Gaussian


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


class BernoulliPixels(ImageLikelihood):
    """A pixel x in {0, 1} with logit l: -log p = softplus(l) - x l = softplus((1 - 2 x) l), with all digits of a sure one."""

    parameters = 1

    def nll(self, parameters: Tensor, pixels: Tensor) -> Tensor:
        return softplus((1.0 - 2.0 * pixels) * parameters).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid()


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

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = parameters.chunk(2, dim=-1)
        return mean, self.min_log_variance + softplus(raw - self.min_log_variance)


class FixedGaussianPixels(ImageLikelihood):
    """A pixel with mean m and a given variance v: -log p = ((x - m)^2 / v + log 2 pi v) / 2; the decoder gives m alone."""

    parameters = 1

    def __init__(self, variance: float) -> None:
        self.variance = variance

    def nll(self, parameters: Tensor, pixels: Tensor) -> Tensor:
        return 0.5 * ((pixels - parameters).square() / self.variance + math.log(2 * math.pi * self.variance)).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters


class ContinuousBernoulliPixels(ImageLikelihood):
    """A pixel x in [0, 1] with density l e^(l x) / (e^l - 1), l the logit (Loaiza-Ganem & Cunningham 2019, eqs. 5-7).

    With u = l / 2: -log p = (1 - 2 x) u + log(sinh u / u), and E x = (1 + coth u - 1 / u) / 2. At u = 0, where the paper's form
    in the probability is 0 / 0, the pixel is uniform; near it both functions are taken by their series.
    """

    parameters = 1

    def nll(self, parameters: Tensor, pixels: Tensor) -> Tensor:
        half = 0.5 * parameters
        return ((1.0 - 2.0 * pixels) * half + _log_sinh_ratio(half)).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return 0.5 + 0.5 * _langevin(0.5 * parameters)


_SERIES = 0.25
"""|u| below which a series is used: to 1e-14 there, where the closed form's gradient would cancel; above, it is good to 1e-6 in
float32."""


def _log_sinh_ratio(u: Tensor) -> Tensor:
    """log(sinh u / u), even, 0 at 0; |u| - log 2 |u| far away, where sinh would overflow."""
    near = u.abs() < _SERIES
    square = torch.where(near, u, 0.0).square()
    series = square * (1 / 6 - square * (1 / 180 - square * (1 / 2835 - square * (1 / 37800 - square / 467775))))
    size = torch.where(near, 1.0, u.abs())
    return torch.where(near, series, size + torch.log(-torch.expm1(-2.0 * size) / (2.0 * size)))


def _langevin(u: Tensor) -> Tensor:
    """coth u - 1 / u, the derivative of log(sinh u / u); odd, from -1 to 1."""
    near = u.abs() < _SERIES
    small = torch.where(near, u, 0.0)
    square = small.square()
    series = small * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square * (1 / 4725 - square * 2 / 93555))))
    large = torch.where(near, 1.0, u)
    return torch.where(near, series, 1.0 / torch.tanh(large) - 1.0 / large)


def build_likelihood(config: Bernoulli | ContinuousBernoulli | Gaussian) -> ImageLikelihood:
    """The likelihood that the config names."""
    if isinstance(config, Gaussian):
        return GaussianPixels(config.min_log_variance) if config.variance is None else FixedGaussianPixels(config.variance)
    return ContinuousBernoulliPixels() if isinstance(config, ContinuousBernoulli) else BernoulliPixels()
