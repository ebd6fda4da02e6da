"""Every family of posteriors, small, in double precision."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vae_core.latent.config import (
    BatchNorm,
    CategoricalLatent,
    GaussianLatent,
    LatentConfig,
    VonMisesFisherLatent,
)
from vae_core.latent.interface import Posterior, PosteriorLayer
from vae_core.latent.options import MarginalEstimator, StraightThroughEstimator

FEATURES = 5
LATENTS: dict[str, LatentConfig] = {
    "gaussian": GaussianLatent(size=3),
    "gaussian of one variance": GaussianLatent(size=3, variance=0.3),
    "normalised gaussian": GaussianLatent(size=3, batch_norm=BatchNorm()),
    "vmf": VonMisesFisherLatent(size=4),
    "vmf on the circle": VonMisesFisherLatent(size=2),
    "vmf of one concentration": VonMisesFisherLatent(size=4, concentration=3.0),
    "categorical": CategoricalLatent(variables=2, classes=3),
    "straight-through categorical": CategoricalLatent(variables=2, classes=3, estimator=StraightThroughEstimator()),
    "marginal categorical": CategoricalLatent(variables=2, classes=3, estimator=MarginalEstimator()),
}


def make_layer(config: LatentConfig) -> PosteriorLayer:
    return config.build(FEATURES, Generator().manual_seed(0)).double()


def summaries(examples: int, scale: float = 4.0) -> Tensor:
    """What an encoder may say of so many examples, far enough apart that no posterior is like another."""
    return scale * torch.randn(examples, FEATURES, generator=Generator().manual_seed(1), dtype=torch.float64)


def make_posterior(config: LatentConfig, examples: int = 5) -> Posterior:
    return make_layer(config)(summaries(examples), training=False)


def draws(*shape: int, seed: int = 2) -> Tensor:
    """Standard normal."""
    return torch.randn(shape, generator=Generator().manual_seed(seed), dtype=torch.float64)
