"""``TrialConfig``: everything that one trial is, and nothing that only its run knows."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Misfits, Positive
from vae_core.data.config import AnyData
from vae_core.data.text_config import TextConfig
from vae_core.latent.config import (
    AnyLatent,
    AnyPrior,
    Condition,
    GaussianLatent,
    LabelPrior,
    StandardPrior,
    VampPrior,
)
from vae_core.networks.config import AnyDecoder, AnyEncoder
from vae_core.networks.initialisation import AnyInitialisation, DefaultInitialisation
from vae_core.networks.recurrent_config import SoftSampling
from vae_core.networks.text_config import SentenceDecoderConfig, SentenceEncoderConfig, TextDecoderConfig, TextEncoderConfig
from vae_core.networks.word_vectors_config import TableVectors
from vae_core.objectives.config import AnyObjective, Elbo
from vae_core.optimizer_config import Adam, AnyOptimizer
from vae_core.softmax.config import AdaptiveSoftmax, AnySoftmax, FullSoftmax
from vae_core.training_config import Training


class Categorical(Config):
    """A word from the vocabulary at each position, by the softmax of the model."""

    kind: Literal["categorical"] = "categorical"


class Multinomial(Config):
    """How often each word occurs, by one softmax a document; without the coefficient, which no model can change."""

    kind: Literal["multinomial"] = "multinomial"


class Bernoulli(Config):
    """A pixel is on with the decoder's probability."""

    kind: Literal["bernoulli"] = "bernoulli"


class ContinuousBernoulli(Config):
    """A grey pixel in [0, 1] (Loaiza-Ganem & Cunningham 2019): the Bernoulli's formula, normalised over the grey levels.

    A density: where many pixels are exactly 0 or 1, their log density grows without bound, as the logarithm of the logit.
    """

    kind: Literal["continuous_bernoulli"] = "continuous_bernoulli"


class Gaussian(Config):
    """A pixel is normal; its mean is the decoder's, and its log variance too where it is not fixed."""

    kind: Literal["gaussian"] = "gaussian"
    variance: Positive | None = None
    """The same for all pixels; null: learned, each pixel's own."""
    min_log_variance: float = -7.0
    """A floor for learned ones, without which the density of a constant pixel has no bound."""

    @model_validator(mode="after")
    def _floor_of_what(self) -> Self:
        if self.variance is not None and self.min_log_variance != -7.0:
            raise ValueError(f"min_log_variance: {self.min_log_variance} is for a learned variance; variance: {self.variance}")
        return self


AnyLikelihood = Annotated[Categorical | Multinomial | Bernoulli | ContinuousBernoulli | Gaussian, Field(discriminator="kind")]


class ModelConfig(Config):
    """Encoder, latent, decoder, and what the decoder's output is read as."""

    encoder: AnyEncoder
    decoder: AnyDecoder
    latent: AnyLatent = GaussianLatent()
    """What is inferred of an example."""
    prior: AnyPrior = StandardPrior()
    """What is taken to hold of it before it is seen."""
    condition: Condition | None = None
    """What encoder and decoder are told of an example's label; null: nothing."""
    softmax: AnySoftmax = FullSoftmax()
    """The likelihood layer of a text model."""
    likelihood: AnyLikelihood | None = None
    """null: categorical for text, multinomial with a bag-of-words decoder, Bernoulli for images."""
    initialisation: AnyInitialisation = DefaultInitialisation()
    """The first weights."""


class Svd(Config):
    """The SVD softmax (Shim et al. 2017): all words ranked in few dimensions, the best computed exactly."""

    width: Count
    """Dimensions of the preview, of those that the softmax reads."""
    top: Count
    """Words computed exactly."""


class Evaluation(Config):
    """How a finished trial is scored."""

    importance_samples: Count = 50
    """K of the importance-weighted bound (Burda et al. 2016)."""
    importance_examples: Count | None = 500
    """Examples of the split it is computed on, evenly spread, the same in every trial; null: all. The standard error is reported
    with it."""
    importance_standard_error: Positive | None = None
    """Score no more of these examples than it takes for a standard error so low, in nats an example; null: all of them. How many
    it took is reported as ``test/iw_nll_n``; trials scored on unequal parts are less well told apart."""
    samples: Annotated[int, Field(ge=0)] = 16
    """Samples and reconstructions kept as artifacts."""
    svd: Svd | None = None
    """Of the trained softmax: what it would cost in perplexity is reported beside the exact score; null: it is not asked."""


class TrialConfig(Config):
    """One trial, whole: trained from this alone, it gives the same numbers."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: AnyData
    model: ModelConfig
    objective: AnyObjective = Elbo()
    optimizer: AnyOptimizer = Adam()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults = list(_misfits(self))
        if faults:
            raise Misfits(faults)
        return self


def _misfits(config: TrialConfig) -> list[str]:
    """Every reason why the parts, each right in itself, make no model together."""
    model, modality = config.model, config.data.modality
    faults = [*config.objective.misfits(config), *config.training.procedure.misfits(config)]
    faults += [*model.latent.misfits(config), *model.prior.misfits(config), *_label_misfits(config)]
    faults += _lazy_misfits(config)
    networks = [
        f"model.{part}.kind: {network.kind} reads {network.modality}, but data.kind: {config.data.kind} is {modality}"
        for part, network in (("encoder", model.encoder), ("decoder", model.decoder))
        if network.modality != modality
    ]
    if networks:
        return faults + networks
    likelihood = model.likelihood.kind if model.likelihood else None
    if modality == "text":
        if likelihood not in (None, "categorical", "multinomial"):
            faults.append(f"model.likelihood.kind: {likelihood} is for images, but data.kind: {config.data.kind} is text")
        assert isinstance(config.data, TextConfig)
        faults += [*_text_misfits(model), *model.softmax.misfits(config.data.vocabulary.max_size), *_svd_misfits(config)]
    else:
        if likelihood in ("categorical", "multinomial"):
            faults.append(f"model.likelihood.kind: {likelihood} is for text, but data.kind: {config.data.kind} is image")
        if not isinstance(model.softmax, FullSoftmax):
            faults.append(f"model.softmax.kind: {model.softmax.kind} is for text, but data.kind: {config.data.kind} is image")
        if config.evaluation.svd is not None:
            faults.append(f"evaluation.svd is of a softmax over words, but data.kind: {config.data.kind} is image")
        faults += _pixel_misfits(likelihood or "bernoulli", getattr(config.data, "pixels", None))
    return faults


def _pixel_misfits(likelihood: str, pixels: str | None) -> list[str]:
    if likelihood in ("gaussian", "continuous_bernoulli") and pixels != "grey":
        return [f"model.likelihood.kind: {likelihood} needs data.pixels: grey; a density on binary pixels has no bound"]
    if likelihood == "bernoulli" and pixels == "grey":
        return [
            "model.likelihood.kind: bernoulli (the default for images) is no likelihood of grey pixels: take "
            "continuous_bernoulli or gaussian, or black and white pixels by data.pixels: dynamic or static"
        ]
    return []


def _lazy_misfits(config: TrialConfig) -> list[str]:
    kind, softmax, decoder = config.optimizer.kind, config.model.softmax, config.model.decoder
    if kind != "lazy_adam":
        return []
    if config.data.modality != "text":
        return [f"optimizer.kind: {kind} is for word vectors, but data.kind: {config.data.kind} is {config.data.modality}"]
    faults = []
    by_vectors = _has_word_table(config.model.encoder, decoder)
    if not by_vectors and not softmax.few_rows:
        faults.append(f"optimizer.kind: {kind} has nothing to be lazy with: no part of the model reads single words' vectors")
    if isinstance(decoder, SentenceDecoderConfig) and decoder.tie_embeddings and not softmax.few_rows:
        faults.append(
            f"optimizer.kind: {kind} with model.decoder.tie_embeddings needs a softmax that reads few words a step; "
            f"model.softmax.kind: {softmax.kind} reads them all"
        )
    if isinstance(getattr(decoder, "scheduled_sampling", None), SoftSampling):
        faults.append(f"optimizer.kind: {kind} cannot go with model.decoder.scheduled_sampling.kind: soft, which reads all words")
    return faults


def _has_word_table(encoder: object, decoder: object) -> bool:
    """Whether the encoder looks single words' vectors up in a table, or the decoder in one of its own."""
    shared = isinstance(encoder, SentenceEncoderConfig) and isinstance(encoder.word_vectors, TableVectors)
    return shared or (isinstance(decoder, SentenceDecoderConfig) and decoder.embedding is not None)


def _label_misfits(config: TrialConfig) -> list[str]:
    model, data = config.model, config.data
    readers = [("model.condition", model.condition is not None), ("model.prior.kind: label", isinstance(model.prior, LabelPrior))]
    faults = []
    if not data.labelled:
        cure = "has none" if data.label_option is None else f"has them by data.{data.label_option} alone"
        faults = [f"{name} needs labels, and data.kind: {data.kind} {cure}" for name, wanted in readers if wanted]
    if model.condition is not None and isinstance(model.prior, VampPrior):
        faults.append("model.prior.kind: vamp reads its pseudo-inputs without a label, and model.condition needs one: choose one")
    return faults


def _text_misfits(model: ModelConfig) -> list[str]:
    decoder = model.decoder
    assert isinstance(model.encoder, TextEncoderConfig)
    assert isinstance(decoder, TextDecoderConfig)
    faults = []
    likelihood = model.likelihood.kind if model.likelihood else None
    if likelihood in ("categorical", "multinomial") and likelihood != decoder.likelihood:
        faults.append(
            f"model.likelihood.kind: {likelihood} is not that of model.decoder.kind: {decoder.kind}, {decoder.likelihood}"
        )
    return faults + (_vector_misfits(model, decoder) if isinstance(decoder, SentenceDecoderConfig) else [])


def _svd_misfits(config: TrialConfig) -> list[str]:
    svd, softmax, data = config.evaluation.svd, config.model.softmax, config.data
    assert isinstance(data, TextConfig)
    if svd is None:
        return []
    if not softmax.full:
        return [f"evaluation.svd stands in for a full softmax, and model.softmax.kind: {softmax.kind} is scored by another"]
    if svd.top > data.vocabulary.max_size:
        return [f"evaluation.svd.top: {svd.top} is above data.vocabulary.max_size: {data.vocabulary.max_size}"]
    width = _softmax_reads(config.model)
    if width is not None and svd.width > width:
        return [f"evaluation.svd.width: {svd.width} is above {width}, the width of what the softmax reads"]
    return []


def _softmax_reads(model: ModelConfig) -> int | None:
    """The width of it, where a decoder of sentences has it in its options."""
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(decoder, SentenceDecoderConfig):
        return None
    shared = encoder.embedding if isinstance(encoder, SentenceEncoderConfig) else None
    mapped = decoder.tie_embeddings if decoder.output_map is None else decoder.output_map
    return (decoder.embedding or shared) if mapped else decoder.features


def _vector_misfits(model: ModelConfig, decoder: SentenceDecoderConfig) -> list[str]:
    faults = []
    shared = model.encoder if isinstance(model.encoder, SentenceEncoderConfig) and decoder.embedding is None else None
    embedding, features = shared.embedding if shared else decoder.embedding, decoder.features
    if embedding is None:
        faults.append(
            f"model.decoder.embedding must be given, for model.encoder.kind: {model.encoder.kind} has no word vectors to share"
        )
    if decoder.tie_embeddings and shared and not isinstance(shared.word_vectors, TableVectors):
        faults.append(
            f"model.decoder.tie_embeddings needs a table, and model.encoder.word_vectors.kind: {shared.word_vectors.kind} is "
            "none; model.decoder.embedding gives the decoder one"
        )
    if decoder.tie_embeddings and decoder.output_map is False and features != embedding:
        faults.append(
            f"model.decoder.tie_embeddings needs output_map where its states' width ({features}) is not embedding ({embedding})"
        )
    if decoder.tie_embeddings and isinstance(model.softmax, AdaptiveSoftmax) and (model.softmax.division or 1.0) > 1.0:
        faults.append(
            "model.softmax.division above 1 cannot go with model.decoder.tie_embeddings: shared vectors have full width"
        )
    return faults
