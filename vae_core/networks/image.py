"""What the decoders of images share: the parameters of every pixel's distribution, and the pixels scored by them.

Shapes: B images, P pixels, K samples, Z latent dimensions, k parameters a pixel.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor
from torch.nn.functional import gelu, relu

from vae_core.data.batching import ImageBatch
from vae_core.likelihoods import ImageLikelihood
from vae_core.moment import Moment
from vae_core.networks.interface import Decoder
from vae_core.precision import widened
from vae_core.seeding import Streams

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"relu": relu, "tanh": torch.tanh, "gelu": gelu}
"""By the names of the config."""


class ImageDecoder(Decoder[ImageBatch]):
    """Gives the parameters of every pixel's distribution."""

    likelihood: ImageLikelihood

    @abstractmethod
    def parameters_of(self, z: Tensor, generator: Generator | None = None) -> Tensor:
        """The likelihood's parameters, (..., Z) -> (..., k P); the generator draws the dropout, without one there is none."""

    def training_nll(self, batch: ImageBatch, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        return self.likelihood.nll(widened(self.parameters_of(z, streams.dropout)), batch.pixels)

    def nll(self, batch: ImageBatch, z: Tensor) -> Tensor:
        return self.likelihood.nll(self.parameters_of(z), batch.pixels)

    def nll_and_gap(self, batch: ImageBatch, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        exact = self.nll(batch, z)
        return exact, torch.zeros_like(exact)
