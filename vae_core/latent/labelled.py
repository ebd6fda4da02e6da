"""The prior of a label: p(z|y), a Gaussian for each y (Kingma et al. 2014; Sohn et al. 2015).

Shapes: B examples, K samples an example, Y labels, Z latent dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from vae_core.latent.gaussian import DiagonalGaussian
from vae_core.latent.interface import Posterior, Prior, PriorDensity, PriorSizes


@dataclass(frozen=True)
class GaussianOfEach(PriorDensity):
    """N(mean, diag(exp(log_variance))), both (B, Z): p(z|y) of each example's label."""

    gaussian: DiagonalGaussian

    def log_prob(self, z: Tensor) -> Tensor:
        return self.gaussian.log_prob(z)

    def sample(self, count: int, generator: Generator) -> Tensor:
        assert count == len(self.gaussian.mean), "each example has a prior of its own"
        return self.gaussian.map(Tensor.cpu).draw(1, generator)[0]

    def kl(self, posterior: Posterior) -> Tensor:
        """KL(q(z|x) || p(z|y)) of two diagonal Gaussians by dimension, (B, Z): the terms of
        1/2 sum[(m_q - m_p)^2 / v_p + v_q / v_p - 1 - log(v_q / v_p)].
        """
        assert isinstance(posterior, DiagonalGaussian)  # TrialConfig refuses the rest
        log_ratio = posterior.log_variance - self.gaussian.log_variance
        squared = (posterior.mean - self.gaussian.mean).square() * (-self.gaussian.log_variance).exp()
        return 0.5 * (squared + log_ratio.expm1() - log_ratio)  # expm1 keeps the digits of a posterior close to its prior


class LabelGaussians(Prior):
    """A learned diagonal Gaussian a label, N(0, I) at first."""

    closed_form = True

    def __init__(self, sizes: PriorSizes) -> None:
        super().__init__()
        assert sizes.labels, "data without labels"
        self.labels = sizes.labels
        self.mean = nn.Parameter(torch.zeros(sizes.labels, sizes.layer.size))
        self.log_variance = nn.Parameter(torch.zeros(sizes.labels, sizes.layer.size))

    def given(self, labels: Tensor | None) -> PriorDensity:
        assert labels is not None, "data without labels"
        return GaussianOfEach(DiagonalGaussian(self.mean[labels], self.log_variance[labels]))
