"""Learned inputs that stand in for examples: where they live, and how a model reads them.

Shapes: C inputs, P pixels, S features of the summary.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vae_core.data.batching import ImageBatch
from vae_core.latent.interface import Posterior, PosteriorLayer, PseudoInputs
from vae_core.networks.interface import Encoder


@dataclass(frozen=True)
class PseudoImages(PseudoInputs):
    """Images, each pixel the sigmoid of a free number, through encoder and posterior layer: (C, P)."""

    size: int
    encoder: Encoder[ImageBatch]
    layer: PosteriorLayer

    def posterior(self, free: Tensor) -> Posterior:
        found: Posterior = self.layer(self.encoder(ImageBatch(free.sigmoid()), None), training=False)
        return found


@dataclass(frozen=True)
class PseudoSummaries(PseudoInputs):
    """Summaries, through the posterior layer alone: (C, S)."""

    size: int
    layer: PosteriorLayer

    def posterior(self, free: Tensor) -> Posterior:
        found: Posterior = self.layer(free, training=False)
        return found
