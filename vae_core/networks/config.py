"""The families' tables of encoders and decoders, and the options of those of images; free of torch, so that a sweep file is
checked within a second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vae_core.configurable import Count, Probability
from vae_core.networks.dropout_config import DropoutOptions
from vae_core.networks.recurrent_config import GruDecoder, GruEncoder, LstmDecoder, LstmEncoder
from vae_core.networks.text_config import (
    BagOfWordsDecoder,
    BagOfWordsEncoder,
    CnnDecoder,
    TextDecoderConfig,
    TextEncoderConfig,
    TransformerDecoder,
    TransformerEncoder,
)
from vae_core.plugins import extended

if TYPE_CHECKING:
    from torch import Generator

    from vae_core.data.batching import ImageBatch
    from vae_core.likelihoods import ImageLikelihood
    from vae_core.networks.image import ImageDecoder
    from vae_core.networks.interface import Encoder


class ImageEncoderConfig(DropoutOptions):
    """What every encoder of images has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: Probability = 0.0
    """After each layer."""

    def build(self, shape: tuple[int, ...], generator: Generator) -> Encoder[ImageBatch]:
        """For images (H, W) or (H, W, C)."""
        raise NotImplementedError


class ImageDecoderConfig(DropoutOptions):
    """What every decoder of images has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: Probability = 0.0
    """After each hidden layer."""

    def build(self, latent: int, shape: tuple[int, ...], likelihood: ImageLikelihood, generator: Generator) -> ImageDecoder:
        """For images (H, W) or (H, W, C)."""
        raise NotImplementedError


class FullyConnected(DropoutOptions):
    """What encoder and decoder of fully connected layers share."""

    hidden: tuple[Count, ...] = (400,)
    """Width of each hidden layer; none: a linear map."""

    @model_validator(mode="after")
    def _dropout_of_what(self) -> Self:
        if not self.hidden and self.dropout:
            raise ValueError(f"dropout: {self.dropout} is of hidden layers, and hidden: [] has none")
        return self


class MlpEncoder(FullyConnected, ImageEncoderConfig):
    """Fully connected layers for images."""

    kind: Literal["mlp"] = "mlp"

    def build(self, shape: tuple[int, ...], generator: Generator) -> Encoder[ImageBatch]:
        from vae_core.networks.mlp import MlpImageEncoder

        return MlpImageEncoder(self, math.prod(shape), generator)


class MlpDecoder(FullyConnected, ImageDecoderConfig):
    """Fully connected layers for images."""

    kind: Literal["mlp"] = "mlp"

    def build(self, latent: int, shape: tuple[int, ...], likelihood: ImageLikelihood, generator: Generator) -> ImageDecoder:
        from vae_core.networks.mlp import MlpImageDecoder

        return MlpImageDecoder(self, latent, math.prod(shape), likelihood, generator)


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"a kernel is odd, so that it has a middle; got {kernel}")
    return kernel


Kernel = Annotated[int, Field(ge=1), AfterValidator(_odd)]


class ConvEncoder(ImageEncoderConfig):
    """Convolutions of stride 2 for images of any size (LeCun et al. 1998; strides for pooling: Springenberg et al. 2015)."""

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64)
    """Of each stage, from the image on; each halves height and width, rounding up."""
    kernel: Kernel = 3

    def build(self, shape: tuple[int, ...], generator: Generator) -> Encoder[ImageBatch]:
        from vae_core.networks.convolutional import ConvImageEncoder

        return ConvImageEncoder(self, shape, generator)


class ConvDecoder(ImageDecoderConfig):
    """Transposed convolutions of stride 2, which give the image its exact size (Radford et al. 2016)."""

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 32)
    """Read by each stage, from the latent on; each doubles height and width, the last gives the pixels."""
    kernel: Kernel = 3

    def build(self, latent: int, shape: tuple[int, ...], likelihood: ImageLikelihood, generator: Generator) -> ImageDecoder:
        from vae_core.networks.convolutional import ConvImageDecoder

        return ConvImageDecoder(self, latent, shape, likelihood, generator)


AnyEncoder = Annotated[
    LstmEncoder | GruEncoder | TransformerEncoder | BagOfWordsEncoder | MlpEncoder | ConvEncoder, Field(discriminator="kind")
]
"""The family's table of encoders."""
if not TYPE_CHECKING:
    AnyEncoder = extended(AnyEncoder, (TextEncoderConfig, ImageEncoderConfig), "encoders")
AnyDecoder = Annotated[
    LstmDecoder | GruDecoder | TransformerDecoder | CnnDecoder | BagOfWordsDecoder | MlpDecoder | ConvDecoder,
    Field(discriminator="kind"),
]
"""The family's table of decoders."""
if not TYPE_CHECKING:
    AnyDecoder = extended(AnyDecoder, (TextDecoderConfig, ImageDecoderConfig), "decoders")
