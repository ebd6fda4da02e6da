"""The variational autoencoder: an encoder, a posterior, a decoder.

Shapes: B examples, K samples an example, Z latent dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Self

from torch import Generator, Tensor, nn

from vae_core.config import Bernoulli, Categorical, ModelConfig, TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.data.vocabulary import WordList
from vae_core.latent.interface import Posterior, PosteriorLayer, Prior, PriorDensity, PriorSizes
from vae_core.likelihoods import build_likelihood
from vae_core.moment import Moment
from vae_core.networks.config import ImageDecoderConfig, ImageEncoderConfig, TextDecoderConfig, TextEncoderConfig
from vae_core.networks.initialise import embedding, initialise
from vae_core.networks.interface import BatchT, Decoder, Encoder
from vae_core.seeding import Streams

Data = TextData | ImageData


class VAE(nn.Module, Generic[BatchT]):
    """q(z|x), p(x|z) and p(z). Dropout is on where a generator is handed in, whatever the module's mode."""

    def __init__(self, encoder: Encoder[BatchT], posterior: PosteriorLayer, prior: Prior, decoder: Decoder[BatchT]) -> None:
        super().__init__()
        self.encoder: Encoder[BatchT] = encoder
        self.posterior = posterior
        self.prior = prior
        self.decoder: Decoder[BatchT] = decoder

    @property
    def latent_size(self) -> int:
        """Z."""
        return self.posterior.size

    @property
    def noise_size(self) -> int:
        """E, the standard normal numbers that a code is made of."""
        return self.posterior.noise_size

    def encode(self, batch: BatchT, dropout: Generator | None = None) -> Posterior:
        """The posterior of each example, (B, Z); with a generator it is the one that training sees."""
        posterior: Posterior = self.posterior(self.encoder(batch, dropout), training=dropout is not None)
        return posterior

    def prior_of(self, batch: BatchT) -> PriorDensity:
        """The prior of each example's code."""
        density: PriorDensity = self.prior()
        return density

    def training_nll(self, batch: BatchT, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        """What training minimises, with every dropout on: (K, B, Z) -> (K, B)."""
        return self.decoder.training_nll(batch, z, moment, streams)

    def nll(self, batch: BatchT, z: Tensor) -> Tensor:
        """Exact -log p(x|z) without dropout: (K, B, Z) -> (K, B)."""
        return self.decoder.nll(batch, z)

    def nll_and_gap(self, batch: BatchT, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        """See ``Decoder.nll_and_gap``."""
        return self.decoder.nll_and_gap(batch, z, negatives)

    def log_joint(self, batch: BatchT, z: Tensor) -> Tensor:
        """log p(x, z) in nats, exact and without dropout: (K, B, Z) -> (K, B)."""
        return self.prior_of(batch).log_prob(z) - self.nll(batch, z)


@dataclass(frozen=True)
class ModelSizes:
    """What a model is built from and the config cannot know: a vocabulary, or the shape of an image."""

    vocabulary: WordList | None = None
    shape: tuple[int, ...] | None = None

    @classmethod
    def of(cls, data: Data) -> Self:
        return cls(vocabulary=data.vocabulary) if isinstance(data, TextData) else cls(shape=tuple(data.shape))


def build_model(config: TrialConfig, data: Data | ModelSizes, generator: Generator) -> VAE[Any]:
    """A model on the CPU, its first weights drawn from ``generator``."""
    sizes = data if isinstance(data, ModelSizes) else ModelSizes.of(data)
    if sizes.vocabulary is not None:
        model = _build_text(config.model, sizes.vocabulary, generator)
    else:
        assert sizes.shape is not None, "ModelSizes needs a vocabulary or a shape"
        model = _build_image(config.model, sizes.shape, generator)
    initialise(model, config.model.initialisation, generator)
    return model


def _build_text(config: ModelConfig, vocabulary: WordList, generator: Generator) -> VAE[Any]:
    assert isinstance(config.encoder, TextEncoderConfig)  # TrialConfig refuses the rest
    assert isinstance(config.decoder, TextDecoderConfig)
    words, width = len(vocabulary.words), config.decoder.embedding
    table = embedding(words, config.encoder.embedding, generator)
    decoder_table = table if width is None else embedding(words, width, generator)
    encoder = config.encoder.build(table, generator)
    posterior = config.latent.build(encoder.features, generator)
    prior = config.prior.build(PriorSizes(posterior, generator))
    decoder = config.decoder.build(posterior.size, decoder_table, config.softmax, vocabulary, generator)
    return VAE(encoder, posterior, prior, decoder)


def _build_image(config: ModelConfig, shape: tuple[int, ...], generator: Generator) -> VAE[Any]:
    assert isinstance(config.encoder, ImageEncoderConfig)  # TrialConfig refuses the rest
    assert isinstance(config.decoder, ImageDecoderConfig)
    likelihood = config.likelihood or Bernoulli()
    assert not isinstance(likelihood, Categorical)
    encoder = config.encoder.build(shape, generator)
    posterior = config.latent.build(encoder.features, generator)
    prior = config.prior.build(PriorSizes(posterior, generator))
    decoder = config.decoder.build(posterior.size, shape, build_likelihood(likelihood), generator)
    return VAE(encoder, posterior, prior, decoder)
