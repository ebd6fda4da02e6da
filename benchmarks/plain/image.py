"""A fully connected image VAE (Kingma & Welling 2014) in plain PyTorch, as torch's own example has it.

Shapes: B images, P pixels, Z latent dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.plain.text import copy_weights
from vae_core.model import VAE


class PlainImageVae(nn.Module):
    """One hidden layer on either side."""

    def __init__(self, pixels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(pixels, hidden)
        self.posterior = nn.Linear(hidden, 2 * latent)
        self.decoder = nn.Linear(latent, hidden)
        self.output = nn.Linear(hidden, pixels)

    def forward(self, pixels: Tensor, noise: Generator | None = None) -> Tensor:
        """The negative ELBO in nats an image, (B, P)."""
        mean, log_variance = self.posterior(relu(self.encoder(pixels))).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=noise)
        logits = self.output(relu(self.decoder(z)))
        distortion = binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
        rate = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (distortion + rate) / len(pixels)

    def take_weights(self, model: VAE[Any]) -> None:
        """Those of the same model of ours, whose names differ."""
        copy_weights(self.encoder, model.encoder.body)
        copy_weights(self.posterior, model.posterior.layer)
        copy_weights(self.decoder, model.decoder.body)
        copy_weights(self.output, model.decoder.output)


def loader(pixels: Tensor, batch_size: int) -> DataLoader[tuple[Tensor, ...]]:
    """Shuffled batches of images (n, P)."""
    return DataLoader(TensorDataset(pixels), batch_size, shuffle=True)
