"""Posterior means through batch normalisation, which keeps the rate from vanishing.

Shapes: B examples, Z latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_core.latent.config import BatchNorm

_EPSILON = 1e-10
"""Keeps a dimension whose means are all the same from being divided by 0; far below any variance that is one."""


class NormalisedMeans(nn.Module):
    """gamma (m - E m) / sqrt(Var m) + shift, by dimension (BN-VAE, Zhu et al. 2020, eq. 5); gamma is fixed, the shift learned.

    In training E and Var are the batch's own, so that the mean over it of sum_d m_d^2 / 2, and hence of the KL to N(0, I), is at
    least Z gamma^2 / 2. In evaluation they are running ones, over the examples of the last training batches, and no example
    depends on another. A batch of one has no variance: in training too it goes by the running ones, and leaves them as they are.
    """

    running_mean: Tensor
    running_variance: Tensor
    tracked: Tensor
    """The weight of all batches in the running averages, 1 - (1 - momentum)^n after n of them."""

    def __init__(self, size: int, config: BatchNorm) -> None:
        super().__init__()
        self.gamma, self.momentum = config.gamma, config.momentum
        self.shift = nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_variance", torch.ones(size))
        self.register_buffer("tracked", torch.zeros(()))

    def forward(self, mean: Tensor, training: bool) -> Tensor:
        """(B, Z) -> (B, Z)."""
        centre, variance = self.running_mean, self.running_variance
        if training and len(mean) > 1:
            centre, variance = mean.mean(0), mean.var(0, correction=0)
            self._track(centre.detach(), variance.detach())
        return self.gamma * (mean - centre) / (variance + _EPSILON).sqrt() + self.shift

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Takes a batch into the averages: those of its weight alone at first, for they start at no data at all.

        The variance is that of all examples, between the batches as within: sentences of like length share a batch.
        """
        self.tracked += self.momentum * (1.0 - self.tracked)
        share = self.momentum / self.tracked
        step = share * (mean - self.running_mean)
        within = torch.lerp(self.running_variance, variance, share)
        self.running_variance.copy_(within + (1.0 - share) * step * (mean - self.running_mean))
        self.running_mean += step
