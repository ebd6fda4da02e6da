"""The Wasserstein autoencoder by the maximum mean discrepancy.

Shapes: N and M codes, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_core.moment import Moment
from vae_core.objectives.config import WaeMmd
from vae_core.objectives.wasserstein import Distance, DrawPrior, WassersteinAutoencoder
from vae_core.seeding import Streams


def inverse_multiquadratic(x: Tensor, y: Tensor, constants: Sequence[float]) -> Tensor:
    """sum_s C_s / (C_s + |x_i - y_j|^2) of every pair: (N, Z), (M, Z) -> (N, M)."""
    squared = (x.unsqueeze(1) - y.unsqueeze(0)).square().sum(-1)
    return torch.stack([constant / (constant + squared) for constant in constants]).sum(0)


def squared_mmd(x: Tensor, y: Tensor, constants: Sequence[float]) -> Tensor:
    """MMD^2 of two samples, (N, Z) and (M, Z), without bias: a mean over pairs of different codes within each of them.

    Gretton et al. 2012, eq. 3: its mean is 0 where both are of one distribution, so that it may well be negative.
    """

    def within(codes: Tensor) -> Tensor:
        kernel = inverse_multiquadratic(codes, codes, constants)
        return (kernel.sum() - kernel.diagonal().sum()) / (len(codes) * (len(codes) - 1))

    return within(x) + within(y) - 2.0 * inverse_multiquadratic(x, y, constants).mean()


class MmdAutoencoder(WassersteinAutoencoder):
    """D = MMD^2 (Tolstikhin et al. 2018, alg. 2), from as many codes of the prior as there are examples.

    A batch of one, such as an epoch's last may be, has no pairs, and no distance.
    """

    config: WaeMmd

    def __init__(self, config: WaeMmd) -> None:
        super().__init__(config)

    def distance(self, z: Tensor, prior: DrawPrior, moment: Moment, streams: Streams) -> Distance:
        constants = [2.0 * z.shape[1] * self.config.sigma**2 * scale for scale in self.config.scales]
        mmd = squared_mmd(z, prior(), constants) if len(z) > 1 else z.new_zeros(())
        return Distance(mmd, moment.state, {"mmd": mmd})
