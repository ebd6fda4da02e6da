"""The von Mises-Fisher posterior on the unit sphere, and the uniform prior there.

Shapes: B examples, Z numbers of a code, all of unit length, K samples an example; samples are (K, B, Z). Densities are with
respect to the area of the sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize, softplus

from vae_core.latent.angle import Angle
from vae_core.latent.interface import Posterior, PosteriorLayer, PriorDensity
from vae_core.latent.space import Sphere
from vae_core.networks.initialise import linear


def log_area(size: int) -> float:
    """log of the area of the unit sphere of R^size, 2 pi^(Z/2) / Gamma(Z/2)."""
    return math.log(2.0) + 0.5 * size * math.log(math.pi) - math.lgamma(0.5 * size)


@dataclass(frozen=True)
class VonMisesFisher(Posterior):
    """Density prop. to exp(concentration direction.z) on the sphere; computed in float64, given out in direction's type."""

    direction: Tensor
    """(B, Z), of unit length."""
    concentration: Tensor | Angle
    """Each example's, (B,), above 0; or the distribution of the angle that all have, computed once and for all."""

    @cached_property
    def _angle(self) -> Angle:
        """Of each example, or one row for all."""
        if isinstance(self.concentration, Angle):
            return self.concentration.to(self.direction.device)
        with torch.enable_grad():  # it is kept: whoever asks first may want a sample without a gradient
            return Angle(self.direction.shape[1], self.concentration)

    def expectation(self) -> Tensor:
        return ((1.0 - self._angle.cosine_gap()).unsqueeze(1) * self.direction.double()).to(self.direction)

    def mode(self) -> Tensor:
        return self.direction

    @property
    def unit(self) -> float:
        return 1.0 / math.sqrt(self.direction.shape[1])

    @property
    def noise_size(self) -> int:
        return 1 + self.direction.shape[-1]

    def sample(self, noise: Tensor) -> Tensor:
        """cos(t) direction + sin(t) v; (K, B, 1 + Z) -> (K, B, Z). The first number gives the angle t, the others v.

        v is the direction of what is tangent to the sphere at ``direction``, and its gradient is that of a rotation that carries
        it along. The gradient of the projection would add a spin about ``direction``, which changes nothing in the mean and
        has no finite variance where Z is 3.
        """
        direction = self.direction
        angle = self._angle.quantile(torch.special.ndtr(noise[..., 0].double()))
        with torch.no_grad():
            tangent = noise[..., 1:]
            for _ in range(2):  # the second time removes what rounding left, much where little was perpendicular
                tangent = normalize(_reject(tangent, direction), dim=-1)
        tangent = _reject(tangent, direction)
        return angle.cos().to(direction).unsqueeze(-1) * direction + angle.sin().to(direction).unsqueeze(-1) * tangent

    def tangent(self, slopes: dict[str, Tensor]) -> dict[str, Tensor]:
        """Less the part along the direction, whose length stays 1."""
        return slopes | {"direction": _reject(slopes["direction"], self.direction)}

    def log_prob(self, z: Tensor) -> Tensor:
        squared = (z.double() - self.direction.double()).square().sum(-1)  # 2 - 2 w, with the digits of a small angle
        return self._log_density(squared).to(z)

    def pairwise_log_prob(self, z: Tensor) -> Tensor:
        z, direction = z.double(), self.direction.double()
        squared = z.square().sum(1, keepdim=True) + direction.square().sum(1) - 2.0 * (z @ direction.T)
        return self._log_density(squared).to(self.direction)

    def _log_density(self, squared: Tensor) -> Tensor:
        """Of squared distances from the direction, (..., B)."""
        return -0.5 * self._angle.concentration * squared - self._angle.log_ratio() - log_area(self.direction.shape[1])

    def kl_per_dimension(self) -> Tensor:
        """KL to the uniform distribution, whole, for the dimensions of a unit vector are not independent: (B, 1).

        Davidson et al. 2018, eq. 14; a constant where the concentration is (Xu & Durrett 2018).
        """
        return self._angle.kl().to(self.direction).expand(len(self.direction)).unsqueeze(1)


def _reject(vectors: Tensor, direction: Tensor) -> Tensor:
    """What of (K, B, Z) is perpendicular to (B, Z)."""
    return vectors - (vectors * direction).sum(-1, keepdim=True) * direction


@dataclass(frozen=True)
class UniformSphere(PriorDensity):
    """The uniform distribution on the sphere, the reference of the von Mises-Fisher posterior."""

    size: int

    def log_prob(self, z: Tensor) -> Tensor:
        return z.new_full(z.shape[:-1], -log_area(self.size))

    def sample(self, count: int, generator: Generator) -> Tensor:
        return normalize(torch.randn(count, self.size, generator=generator), dim=-1)

    def kl(self, posterior: Posterior) -> Tensor:
        return posterior.kl_per_dimension()


class VonMisesFisherPosterior(PosteriorLayer):
    """Reads a direction off the encoder's summary, and the concentration where it is learned: softplus(.) + 1.

    The 1 is Davidson et al.'s (2018): without it a posterior that has lost its direction gets none to learn from.

    Args:
        concentration: of every posterior (Xu & Durrett 2018); None: each its own (Davidson et al. 2018).
    """

    def __init__(self, features: int, size: int, concentration: float | None, generator: Generator) -> None:
        super().__init__()
        self.size, self.noise_size = size, 1 + size
        self.reference = UniformSphere(size)
        self.angle = None if concentration is None else Angle(size, torch.tensor([concentration], dtype=torch.float64))
        self.layer = linear(features, size + (concentration is None), generator)

    @property
    def space(self) -> Sphere:
        return Sphere(self.size)

    def forward(self, summary: Tensor, training: bool = False) -> VonMisesFisher:
        read = self.layer(summary)
        direction = normalize(read[:, : self.size], dim=-1)
        return VonMisesFisher(direction, softplus(read[:, -1]) + 1.0 if self.angle is None else self.angle)
