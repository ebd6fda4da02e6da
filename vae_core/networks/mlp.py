"""Fully connected encoder and decoder of images (Kingma & Welling 2014).

Shapes: B images, P pixels, K samples, Z latent dimensions, k parameters a pixel.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

from torch import Generator, Tensor, nn

from vae_core.data.batching import ImageBatch
from vae_core.dropout import Noise, dropout
from vae_core.likelihoods import ImageLikelihood
from vae_core.networks.config import MlpDecoder, MlpEncoder
from vae_core.networks.image import ACTIVATIONS, ImageDecoder
from vae_core.networks.initialise import linear
from vae_core.networks.interface import Encoder


class Layers(Protocol):
    """The options of fully connected layers."""

    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def dropout(self) -> float: ...
    @property
    def dropout_noise(self) -> Noise: ...


class Mlp(nn.Module):
    """Linear, activation, dropout for each of the widths: (..., inputs) -> (..., last width); without widths, its input."""

    def __init__(self, inputs: int, config: Layers, generator: Generator) -> None:
        super().__init__()
        widths = (inputs, *config.hidden)
        self.layers = nn.ModuleList(linear(a, b, generator) for a, b in pairwise(widths))
        self.features, self.units = widths[-1], sum(config.hidden)
        self.activation = ACTIVATIONS[config.activation]
        self.rate, self.noise = config.dropout, config.dropout_noise

    def forward(self, x: Tensor, generator: Generator | None) -> Tensor:
        for layer in self.layers:
            x = self.activation(layer(x))
            if generator is not None:
                x = dropout(x, self.rate, generator, self.noise)
        return x


class MlpImageEncoder(Encoder[ImageBatch]):
    """Summarises the pixels of an image."""

    def __init__(self, config: MlpEncoder, pixels: int, generator: Generator) -> None:
        super().__init__()
        self.body = Mlp(pixels, config, generator)
        self.features = self.body.features

    def forward(self, batch: ImageBatch, generator: Generator | None) -> Tensor:
        summary: Tensor = self.body(batch.pixels, generator)
        return summary


class MlpImageDecoder(ImageDecoder):
    """Gives all pixels' parameters from the last hidden layer."""

    def __init__(self, config: MlpDecoder, latent: int, pixels: int, likelihood: ImageLikelihood, generator: Generator) -> None:
        super().__init__()
        self.body = Mlp(latent, config, generator)
        self.output = linear(self.body.features, likelihood.parameters * pixels, generator)
        self.likelihood = likelihood

    def parameters_of(self, z: Tensor, generator: Generator | None = None) -> Tensor:
        parameters: Tensor = self.output(self.body(z, generator))
        return parameters

    def bytes_per_sample(self, batch: ImageBatch) -> int:
        return 2 * 4 * (self.body.units + 2 * self.output.out_features)
