"""The variational autoencoder: an encoder, a posterior, a decoder.

Shapes: B examples, K samples an example, Z latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Self

import torch
from torch import Generator, Tensor, nn

from vae_core.config import Bernoulli, Categorical, ModelConfig, Multinomial, TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.data.vocabulary import WordList
from vae_core.latent.interface import Posterior, PosteriorLayer, Prior, PriorDensity, PriorSizes, PseudoInputs
from vae_core.latent.pseudo_inputs import PseudoImages, PseudoSummaries
from vae_core.likelihoods import build_likelihood
from vae_core.moment import Moment
from vae_core.networks.config import ImageDecoderConfig, ImageEncoderConfig
from vae_core.networks.initialise import embedding, initialise
from vae_core.networks.interface import BatchT, Decoder, Encoder
from vae_core.networks.text import TextDecoder
from vae_core.networks.text_config import TextDecoderConfig, TextEncoderConfig
from vae_core.precision import PRECISIONS, autocast, widened
from vae_core.seeding import Streams
from vae_core.softmax.svd import require_full

Data = TextData | ImageData


class VAE(nn.Module, Generic[BatchT]):
    """q(z|x), p(x|z) and p(z). Dropout is on where a generator is handed in, whatever the module's mode.

    Args:
        condition: a vector a label, (Y, L): then they are q(z|x, y) and p(x|z, y), for posterior layer and decoder read the
            label's vector behind the summary and behind z (Sohn et al. 2015), and all scores are of x given y.
    """

    def __init__(
        self,
        encoder: Encoder[BatchT],
        posterior: PosteriorLayer,
        prior: Prior,
        decoder: Decoder[BatchT],
        condition: nn.Embedding | None = None,
    ) -> None:
        super().__init__()
        self.encoder: Encoder[BatchT] = encoder
        self.posterior = posterior
        self.prior = prior
        self.decoder: Decoder[BatchT] = decoder
        self.condition = condition
        self.precision: torch.dtype | None = None
        """Of the matrix products that training takes in encoder and decoder; None: that of the weights."""

    @property
    def latent_size(self) -> int:
        """Z."""
        return self.posterior.size

    @property
    def noise_size(self) -> int:
        """E, the standard normal numbers that a code is made of."""
        return self.posterior.noise_size

    @property
    def label_count(self) -> int:
        """Y, how many labels decoder or prior tell apart; 0: none."""
        return self.prior.labels if self.condition is None else self.condition.num_embeddings

    @property
    def kl_kind(self) -> Literal["closed form", "monte carlo"]:
        """How the rate is computed: exactly, or as log q - log p at the samples that are drawn anyway."""
        return "closed form" if self.prior.closed_form else "monte carlo"

    def encode(self, batch: BatchT, dropout: Generator | None = None) -> Posterior:
        """The posterior of each example, (B, Z); with a generator it is the one that training sees."""
        with autocast(self.precision, dropout):
            summary = self.encoder(batch, dropout)
        told = self.with_label(widened(summary), batch.labels)
        posterior: Posterior = self.posterior(told, training=dropout is not None)
        return posterior

    def with_label(self, numbers: Tensor, labels: Tensor | None) -> Tensor:
        """Each example's numbers, and the vector of its label behind them where the model is conditional.

        Args:
            numbers: (..., B, F), such as codes.
            labels: (B,); needed where the model is conditional.

        Returns:
            (..., B, F + L), or the numbers as they are.
        """
        if self.condition is None:
            return numbers
        assert labels is not None, "a conditional model needs labels"
        vectors = self.condition(labels).expand(*numbers.shape[:-1], -1)
        return torch.cat((numbers, vectors), -1)

    def prior_of(self, batch: BatchT) -> PriorDensity:
        """The prior of each example's code."""
        return self.prior.given(batch.labels)

    def training_nll(self, batch: BatchT, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        """What training minimises, with every dropout on: (K, B, Z) -> (K, B)."""
        with autocast(self.precision, streams.dropout):
            return self.decoder.training_nll(batch, self.with_label(z, batch.labels), moment, streams)

    def nll(self, batch: BatchT, z: Tensor) -> Tensor:
        """Exact -log p(x|z) without dropout: (K, B, Z) -> (K, B)."""
        return self.decoder.nll(batch, self.with_label(z, batch.labels))

    def nll_and_gap(self, batch: BatchT, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        """See ``Decoder.nll_and_gap``."""
        return self.decoder.nll_and_gap(batch, self.with_label(z, batch.labels), negatives)

    def log_joint(self, batch: BatchT, z: Tensor) -> Tensor:
        """log p(x, z) in nats, exact and without dropout: (K, B, Z) -> (K, B)."""
        return self.prior_of(batch).log_prob(z) - self.nll(batch, z)


@dataclass(frozen=True)
class ModelSizes:
    """What a model is built from and the config cannot know: a vocabulary, or the shape of an image; and the labels."""

    vocabulary: WordList | None = None
    shape: tuple[int, ...] | None = None
    labels: tuple[str, ...] | None = None
    """Names of the data's labels; None where they have none."""

    @classmethod
    def of(cls, data: Data) -> Self:
        if isinstance(data, TextData):
            return cls(vocabulary=data.vocabulary, labels=data.labels)
        return cls(shape=tuple(data.shape), labels=data.labels)


def build_model(config: TrialConfig, data: Data | ModelSizes, generator: Generator) -> VAE[Any]:
    """A model on the CPU, its first weights drawn from ``generator``.

    Raises:
        ValueError: an option of the softmax, or of what evaluation makes of it, does not fit the vocabulary.
    """
    sizes = data if isinstance(data, ModelSizes) else ModelSizes.of(data)
    if sizes.vocabulary is not None:
        parts = _text_parts(config.model, sizes.vocabulary, generator)
    else:
        assert sizes.shape is not None, "ModelSizes needs a vocabulary or a shape"
        parts = _image_parts(config.model, sizes.shape, generator)
    model = _assemble(config.model, sizes, parts, generator)
    for part in (model.encoder, model.posterior, model.decoder):  # a prior keeps its own, which belong to its density
        initialise(part, config.model.initialisation, generator)
    if (svd := config.evaluation.svd) is not None and isinstance(model.decoder, TextDecoder):
        require_full(model.decoder.head, svd.width, svd.top)  # here, and not when all is trained
    model.precision = PRECISIONS[config.training.precision]
    return model


class _Parts(NamedTuple):
    """What text and images differ in, so that the rest is built alike."""

    encoder: Encoder[Any]
    inputs: Callable[[PosteriorLayer], PseudoInputs]
    decoder: Callable[[int], Decoder[Any]]
    """Given the width of what it reads."""


def _text_parts(config: ModelConfig, vocabulary: WordList, generator: Generator) -> _Parts:
    decoder = config.decoder
    assert isinstance(config.encoder, TextEncoderConfig)  # TrialConfig refuses the rest
    assert isinstance(decoder, TextDecoderConfig)
    table = config.encoder.make_vectors(vocabulary, generator)
    decoder_table = decoder.make_vectors(vocabulary, table, generator)
    encoder = config.encoder.build(vocabulary, table, generator)
    return _Parts(
        encoder,
        lambda posterior: PseudoSummaries(encoder.features, posterior),
        lambda width: decoder.build(width, vocabulary, decoder_table, config.softmax, generator),
    )


def _image_parts(config: ModelConfig, shape: tuple[int, ...], generator: Generator) -> _Parts:
    decoder, likelihood = config.decoder, config.likelihood or Bernoulli()
    assert isinstance(config.encoder, ImageEncoderConfig)  # TrialConfig refuses the rest
    assert isinstance(decoder, ImageDecoderConfig)
    assert not isinstance(likelihood, Categorical | Multinomial)
    encoder = config.encoder.build(shape, generator)
    return _Parts(
        encoder,
        lambda posterior: PseudoImages(math.prod(shape), encoder, posterior),
        lambda width: decoder.build(width, shape, build_likelihood(likelihood), generator),
    )


def _assemble(config: ModelConfig, sizes: ModelSizes, parts: _Parts, generator: Generator) -> VAE[Any]:
    condition, told = _condition(config, sizes, generator)
    posterior = config.latent.build(parts.encoder.features + told, generator)
    prior = config.prior.build(PriorSizes(posterior, parts.inputs(posterior), generator, len(sizes.labels or ())))
    return VAE(parts.encoder, posterior, prior, parts.decoder(posterior.size + told), condition)


def _condition(config: ModelConfig, sizes: ModelSizes, generator: Generator) -> tuple[nn.Embedding | None, int]:
    """A vector a label, (Y, L), and L; None and 0 where the model is unconditional."""
    if config.condition is None:
        return None, 0
    assert sizes.labels, "data without labels"  # TrialConfig refuses them
    return embedding(len(sizes.labels), config.condition.embedding, generator), config.condition.embedding
