"""Fully connected encoder and decoder of images (Kingma & Welling 2014).

Shapes: B images, P pixels, K samples, Z latent dimensions, k parameters a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu, relu

from vae_core.data.batching import ImageBatch
from vae_core.dropout import dropout
from vae_core.likelihoods import ImageLikelihood
from vae_core.networks.config import MlpDecoder, MlpEncoder
from vae_core.networks.initialise import linear
from vae_core.networks.interface import Decoder, Encoder
from vae_core.seeding import Streams

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": relu, "tanh": torch.tanh, "gelu": gelu}


class Mlp(nn.Module):
    """Linear, activation, dropout for each of the widths: (..., inputs) -> (..., last width)."""

    def __init__(self, inputs: int, config: MlpEncoder | MlpDecoder, generator: Generator | None) -> None:
        super().__init__()
        widths = (inputs, *config.hidden)
        self.layers = nn.ModuleList(linear(a, b, generator) for a, b in pairwise(widths))
        self.widths = config.hidden
        self.activation = _ACTIVATIONS[config.activation]
        self.rate = config.dropout

    def forward(self, x: Tensor, generator: Generator | None) -> Tensor:
        for layer in self.layers:
            x = self.activation(layer(x))
            if generator is not None:
                x = dropout(x, self.rate, generator)
        return x


class ImageEncoder(Encoder[ImageBatch]):
    """Summarises the pixels of an image."""

    def __init__(self, config: MlpEncoder, pixels: int, generator: Generator | None) -> None:
        super().__init__()
        self.body = Mlp(pixels, config, generator)
        self.features = self.body.widths[-1]

    def forward(self, batch: ImageBatch, generator: Generator | None) -> Tensor:
        summary: Tensor = self.body(batch.pixels, generator)
        return summary


class ImageDecoder(Decoder[ImageBatch]):
    """Gives the parameters of every pixel's distribution."""

    def __init__(
        self, config: MlpDecoder, latent: int, pixels: int, likelihood: ImageLikelihood, generator: Generator | None
    ) -> None:
        super().__init__()
        self.body = Mlp(latent, config, generator)
        self.output = linear(self.body.widths[-1], likelihood.parameters * pixels, generator)
        self.likelihood = likelihood

    def training_nll(self, batch: ImageBatch, z: Tensor, streams: Streams) -> Tensor:
        return self.likelihood.nll(self.output(self.body(z, streams.dropout)), batch.pixels)

    def nll(self, batch: ImageBatch, z: Tensor) -> Tensor:
        return self.likelihood.nll(self.parameters_of(z), batch.pixels)

    def nll_and_gap(self, batch: ImageBatch, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        exact = self.nll(batch, z)
        return exact, torch.zeros_like(exact)

    def bytes_per_sample(self, batch: ImageBatch) -> int:
        return 2 * 4 * (sum(self.body.widths) + 2 * self.output.out_features)

    def parameters_of(self, z: Tensor) -> Tensor:
        """The likelihood's parameters without dropout: (..., Z) -> (..., k P)."""
        parameters: Tensor = self.output(self.body(z, None))
        return parameters
