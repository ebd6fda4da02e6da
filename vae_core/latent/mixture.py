"""Priors that are mixtures: of Gaussians learned as such, or of the posteriors of made-up inputs.

Shapes: C components, K samples an example, B examples, Z latent dimensions, E numbers of a code's noise, I numbers of an input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from vae_core.latent.gaussian import DiagonalGaussian
from vae_core.latent.interface import Posterior, Prior, PriorDensity, PriorSizes


@dataclass(frozen=True)
class Mixture(PriorDensity):
    """p(z) = sum_c w_c q_c(z), w = softmax(logits); its KL has no closed form."""

    components: Posterior
    """Of C examples."""
    logits: Tensor
    """(C,)."""

    def log_prob(self, z: Tensor) -> Tensor:
        # All components at once take a matrix product, whose squares are multiplied out: float64 keeps the digits.
        components = self.components.map(Tensor.double).pairwise_log_prob(z.double().flatten(0, -2))
        mixed = (components + self.logits.double().log_softmax(0)).logsumexp(1)
        return mixed.view(z.shape[:-1]).to(z)

    def sample(self, count: int, generator: Generator) -> Tensor:
        chosen = self.logits.softmax(0).cpu().multinomial(count, replacement=True, generator=generator)
        drawn = self.components.map(lambda parameter: parameter.cpu()[chosen])
        return drawn.draw(1, generator)[0]


class GaussianMixture(Prior):
    """C learned diagonal Gaussians with learned weights.

    At first the weights are equal and the mixture has mean 0 and variance 1, in expectation: half of the variance lies between
    the components, so that they differ, and half within.
    """

    closed_form = False

    def __init__(self, components: int, sizes: PriorSizes) -> None:
        super().__init__()
        shape = (components, sizes.layer.size)
        self.mean = nn.Parameter(math.sqrt(0.5) * torch.randn(shape, generator=sizes.generator))
        self.log_variance = nn.Parameter(torch.full(shape, math.log(0.5)))
        self.logits = nn.Parameter(torch.zeros(components))

    def given(self, labels: Tensor | None) -> Mixture:
        return Mixture(DiagonalGaussian(self.mean, self.log_variance), self.logits)


class Vamp(Prior):
    """1/C sum_c q(z|u_c), the posteriors of C learned pseudo-inputs u_c (Tomczak & Welling 2018, eq. 9).

    A pseudo-image is read as an image is in evaluation, without dropout, and every pixel is the sigmoid of a learned number.
    Words cannot be learned by gradients: for text a pseudo-input is what the posterior layer reads, the encoder's summary.
    """

    closed_form = False

    def __init__(self, components: int, sizes: PriorSizes) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(components, sizes.inputs.size, generator=sizes.generator))
        self._reader = sizes.inputs

    def given(self, labels: Tensor | None) -> Mixture:
        components = self._reader.posterior(self.inputs)
        return Mixture(components, self.inputs.new_zeros(len(self.inputs)))
