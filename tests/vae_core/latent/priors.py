"""Every prior, small, and in double precision where its weights matter."""

from __future__ import annotations

import torch
from torch import Generator

from vae_core.latent.config import FlowPrior, LabelPrior, MixturePrior, PriorConfig, StandardPrior, VampPrior
from vae_core.latent.gaussian import GaussianPosterior
from vae_core.latent.interface import Prior, PriorSizes
from vae_core.latent.pseudo_inputs import PseudoSummaries

FEATURES = 5
PRIORS: dict[str, PriorConfig] = {
    "standard": StandardPrior(),
    "mixture": MixturePrior(components=3),
    "vamp": VampPrior(components=4),
    "nsf": FlowPrior(family="nsf", transforms=2, hidden=(8,)),
    "maf": FlowPrior(family="maf", transforms=2, hidden=(8, 8)),
    "label": LabelPrior(),
}
UNLABELLED = [name for name in PRIORS if name != "label"]
"""Those for any data; models with the other one are in test_conditional.py."""
LEARNED = [name for name in UNLABELLED if name != "standard"]


def make_prior(config: PriorConfig, size: int = 2) -> Prior:
    """Its weights moved to where nothing is equal or 0 by design."""
    draws = Generator().manual_seed(3)
    layer = GaussianPosterior(FEATURES, size, draws).double()
    prior = config.build(PriorSizes(layer, PseudoSummaries(FEATURES, layer), draws, labels=3)).double()
    with torch.no_grad():
        for weight in prior.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=draws, dtype=torch.float64)
    return prior
