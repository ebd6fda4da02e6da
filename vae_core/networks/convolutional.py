"""Convolutional encoder and decoder of images of any size (LeCun et al. 1998; Radford et al. 2016).

Shapes: B images of H x W pixels and C channels, K samples, Z latent dimensions, k parameters a pixel; h x w the smallest map.
Batches hold images flattened from (H, W, C), convolutions read (C, H, W).
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Generator, Tensor, nn

from vae_core.data.batching import ImageBatch
from vae_core.dropout import dropout
from vae_core.likelihoods import ImageLikelihood
from vae_core.networks.config import ConvDecoder, ConvEncoder
from vae_core.networks.image import ACTIVATIONS, ImageDecoder
from vae_core.networks.initialise import doubling, halving, linear
from vae_core.networks.interface import Encoder


class ConvImageEncoder(Encoder[ImageBatch]):
    """Convolution of stride 2, activation, dropout at each stage; the last maps, flattened, are the summary."""

    def __init__(self, config: ConvEncoder, shape: tuple[int, ...], generator: Generator) -> None:
        super().__init__()
        self.config = config
        self.shape = _with_channels(shape)
        widths = (self.shape[2], *config.channels)
        self.stages = nn.ModuleList(halving(a, b, config.kernel, generator) for a, b in pairwise(widths))
        self.features = config.channels[-1] * math.prod(_sizes(self.shape, len(config.channels))[-1])

    def forward(self, batch: ImageBatch, generator: Generator | None) -> Tensor:
        x = batch.pixels.view(batch.size, *self.shape).permute(0, 3, 1, 2)
        for stage in self.stages:
            x = ACTIVATIONS[self.config.activation](stage(x))
            if generator is not None:
                x = dropout(x, self.config.dropout, generator, self.config.dropout_noise)
        return x.flatten(1)


class ConvImageDecoder(ImageDecoder):
    """A linear map from z to the smallest maps, then transposed convolutions through the sizes that an encoder would pass."""

    def __init__(
        self, config: ConvDecoder, latent: int, shape: tuple[int, ...], likelihood: ImageLikelihood, generator: Generator
    ) -> None:
        super().__init__()
        self.config = config
        self.shape = _with_channels(shape)
        self.likelihood = likelihood
        self.sizes = _sizes(self.shape, len(config.channels))[::-1]
        widths = (*config.channels, likelihood.parameters * self.shape[2])
        self.start = linear(latent, config.channels[0] * math.prod(self.sizes[0]), generator)
        self.stages = nn.ModuleList(doubling(a, b, config.kernel, generator) for a, b in pairwise(widths))

    def parameters_of(self, z: Tensor, generator: Generator | None = None) -> Tensor:
        x = self.start(z.flatten(0, -2)).view(-1, self.config.channels[0], *self.sizes[0])
        for stage, size in zip(self.stages, self.sizes[1:], strict=True):
            x = ACTIVATIONS[self.config.activation](x)
            if generator is not None:
                x = dropout(x, self.config.dropout, generator, self.config.dropout_noise)
            x = stage(x, output_size=size)
        height, width, channels = self.shape
        by_parameter: Tensor = x.view(-1, self.likelihood.parameters, channels, height, width).permute(0, 1, 3, 4, 2)
        return by_parameter.reshape(*z.shape[:-1], -1)

    def bytes_per_sample(self, batch: ImageBatch) -> int:
        widths = (*self.config.channels, 2 * self.likelihood.parameters * self.shape[2])
        return 2 * 4 * sum(width * math.prod(size) for width, size in zip(widths, self.sizes, strict=True))


def _with_channels(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, *channels = shape
    return height, width, (channels[0] if channels else 1)


def _sizes(shape: tuple[int, int, int], stages: int) -> list[tuple[int, int]]:
    """Height and width of the image, then after each stage, which halves them and rounds up."""
    sizes = [shape[:2]]
    for _ in range(stages):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes
