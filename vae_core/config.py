"""``TrialConfig``: everything that one trial is, and nothing that only its run knows."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.data.config import AnyData
from vae_core.latent.config import AnyLatent, AnyPrior, GaussianLatent, StandardPrior
from vae_core.networks.config import AnyDecoder, AnyEncoder, TextDecoderConfig, TextEncoderConfig
from vae_core.networks.initialisation import AnyInitialisation, DefaultInitialisation
from vae_core.objectives.config import AnyObjective, Elbo, ImportanceWeighted
from vae_core.schedules import Constant
from vae_core.softmax.config import AdaptiveSoftmax, AnySoftmax, FullSoftmax, NegativeSampling, NoiseContrastive


class Categorical(Config):
    """A word from the vocabulary at each position, by the softmax of the model."""

    kind: Literal["categorical"] = "categorical"


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


AnyLikelihood = Annotated[Categorical | Bernoulli | ContinuousBernoulli | Gaussian, Field(discriminator="kind")]


class ModelConfig(Config):
    """Encoder, latent, decoder, and what the decoder's output is read as."""

    encoder: AnyEncoder
    decoder: AnyDecoder
    latent: AnyLatent = GaussianLatent()
    """What is inferred of an example."""
    prior: AnyPrior = StandardPrior()
    """What is taken to hold of it before it is seen."""
    softmax: AnySoftmax = FullSoftmax()
    """The likelihood layer of a text model."""
    likelihood: AnyLikelihood | None = None
    """null: categorical for text, Bernoulli for images."""
    initialisation: AnyInitialisation = DefaultInitialisation()
    """The first weights."""


class Adam(Config):
    """Kingma & Ba 2015."""

    kind: Literal["adam"] = "adam"
    lr: Positive = 1e-3
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)


class AdamW(Config):
    """Loshchilov & Hutter 2019."""

    kind: Literal["adamw"] = "adamw"
    lr: Positive = 1e-3
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2


class Sgd(Config):
    """Stochastic gradient descent, with momentum where it is above 0."""

    kind: Literal["sgd"] = "sgd"
    lr: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0


AnyOptimizer = Annotated[Adam | AdamW | Sgd, Field(discriminator="kind")]


class Training(Config):
    """Length, batches and safeguards of the training."""

    epochs: Count = 10
    batch_size: Count = 32
    clip_norm: Positive | None = 5.0
    """Gradients are scaled to this norm at most; null: never."""
    patience: Count | None = None
    """Stop after so many epochs without a better val/neg_elbo, counted from annealing's end; null: never."""


class Evaluation(Config):
    """How a finished trial is scored."""

    importance_samples: Count = 50
    """K of the importance-weighted bound (Burda et al. 2016)."""
    importance_examples: Count | None = 500
    """Examples of the split it is computed on, evenly spread, the same in every trial; null: all. The standard error is reported
    with it."""
    samples: Annotated[int, Field(ge=0)] = 16
    """Samples and reconstructions kept as artifacts."""


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
            raise ValueError("; ".join(faults))
        return self


def _misfits(config: TrialConfig) -> list[str]:
    """Every reason why the parts, each right in itself, make no model together."""
    model, modality = config.model, config.data.modality
    faults = _objective_misfits(config)
    networks = [
        f"model.{part}.kind: {network.kind} reads {network.modality}, but data.kind: {config.data.kind} is {modality}"
        for part, network in (("encoder", model.encoder), ("decoder", model.decoder))
        if network.modality != modality
    ]
    if networks:
        return faults + networks
    likelihood = model.likelihood.kind if model.likelihood else None
    if modality == "text":
        if likelihood not in (None, "categorical"):
            faults.append(f"model.likelihood.kind: {likelihood} is for images, but data.kind: {config.data.kind} is text")
        faults += _text_misfits(model)
    else:
        if likelihood == "categorical":
            faults.append(f"model.likelihood.kind: categorical is for text, but data.kind: {config.data.kind} is image")
        if not isinstance(model.softmax, FullSoftmax):
            faults.append(f"model.softmax.kind: {model.softmax.kind} is for text, but data.kind: {config.data.kind} is image")
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


def _objective_misfits(config: TrialConfig) -> list[str]:
    objective, softmax = config.objective, config.model.softmax
    if isinstance(objective, ImportanceWeighted):
        if isinstance(softmax, NegativeSampling | NoiseContrastive):
            return [f"objective.kind: iwae weighs samples by likelihood, of which model.softmax.kind: {softmax.kind} trains none"]
        return []
    faults = []
    if objective.feedback is not None:
        kind = objective.feedback.kind
        if objective.beta != 1.0:
            faults.append(f"objective.beta: {objective.beta} has no effect beside objective.feedback.kind: {kind}; leave it at 1")
        if objective.annealing != Constant():
            faults.append(
                f"objective.annealing.kind: {objective.annealing.kind} has no effect beside objective.feedback.kind: {kind}; "
                "leave it constant"
            )
        if objective.free_bits is not None:
            faults.append(
                f"objective.free_bits.kind: {objective.free_bits.kind} and objective.feedback.kind: {kind} both hold the rate: "
                "choose one"
            )
    return faults


def _text_misfits(model: ModelConfig) -> list[str]:
    faults = []
    decoder = model.decoder
    assert isinstance(model.encoder, TextEncoderConfig)
    assert isinstance(decoder, TextDecoderConfig)
    embedding, features = decoder.embedding or model.encoder.embedding, decoder.features
    if decoder.tie_embeddings and decoder.output_map is False and features != embedding:
        faults.append(
            f"model.decoder.tie_embeddings needs output_map where its states' width ({features}) is not embedding ({embedding})"
        )
    if decoder.tie_embeddings and isinstance(model.softmax, AdaptiveSoftmax) and (model.softmax.division or 1.0) > 1.0:
        faults.append(
            "model.softmax.division above 1 cannot go with model.decoder.tie_embeddings: shared vectors have full width"
        )
    return faults
