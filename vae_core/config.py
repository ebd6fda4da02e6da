"""``TrialConfig``: everything that one trial is, and nothing that only its run knows."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.data.config import AnyData
from vae_core.networks.config import AnyDecoder, AnyEncoder, RecurrentDecoder
from vae_core.schedules import AnySchedule, Constant
from vae_core.softmax.config import AdaptiveSoftmax, AnySoftmax, FullSoftmax


class GaussianLatent(Config):
    """Diagonal Gaussian posterior, standard normal prior (Kingma & Welling 2014)."""

    kind: Literal["gaussian"] = "gaussian"
    size: Count = 32


class Categorical(Config):
    """A word from the vocabulary at each position, by the softmax of the model."""

    kind: Literal["categorical"] = "categorical"


class Bernoulli(Config):
    """A pixel is on with the decoder's probability."""

    kind: Literal["bernoulli"] = "bernoulli"


class Gaussian(Config):
    """A pixel is normal; mean and log variance are the decoder's."""

    kind: Literal["gaussian"] = "gaussian"
    min_log_variance: float = -7.0
    """A floor, without which the density of a constant pixel has no bound."""


AnyLikelihood = Annotated[Categorical | Bernoulli | Gaussian, Field(discriminator="kind")]


class ModelConfig(Config):
    """Encoder, latent, decoder, and what the decoder's output is read as."""

    encoder: AnyEncoder
    decoder: AnyDecoder
    latent: GaussianLatent = GaussianLatent()
    softmax: AnySoftmax = FullSoftmax()
    """The likelihood layer of a text model."""
    likelihood: AnyLikelihood | None = None
    """null: categorical for text, Bernoulli for images."""


class Elbo(Config):
    """Negative ELBO: mean over examples of (sum of the NLL + weight x KL), Kingma & Welling 2014; beta: Higgins et al. 2017."""

    kind: Literal["elbo"] = "elbo"
    beta: Annotated[float, Field(ge=0.0)] = 1.0
    """The weight of the KL once annealing has ended."""
    annealing: AnySchedule = Constant()
    """The share of beta at each step."""
    samples: Count = 1
    """Posterior samples an example."""


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
    """Examples of the split it is computed on, drawn by the seed; null: all. The standard error is reported with it."""
    samples: Annotated[int, Field(ge=0)] = 16
    """Samples and reconstructions kept as artifacts."""


class TrialConfig(Config):
    """One trial, whole: trained from this alone, it gives the same numbers."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: AnyData
    model: ModelConfig
    objective: Elbo = Elbo()
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
    faults = [
        f"model.{part}.kind: {network.kind} reads {network.modality}, but data.kind: {config.data.kind} is {modality}"
        for part, network in (("encoder", model.encoder), ("decoder", model.decoder))
        if network.modality != modality
    ]
    if faults:
        return faults
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
        grey = getattr(config.data, "pixels", None) == "grey"
        if likelihood == "gaussian" and not grey:
            faults.append("model.likelihood.kind: gaussian needs data.pixels: grey; a density on binary pixels has no bound")
    return faults


def _text_misfits(model: ModelConfig) -> list[str]:
    faults = []
    decoder = model.decoder
    assert isinstance(decoder, RecurrentDecoder)
    embedding = decoder.embedding or getattr(model.encoder, "embedding", 0)
    if decoder.tie_embeddings and decoder.output_map is False and decoder.hidden != embedding:
        faults.append(
            f"model.decoder.tie_embeddings needs output_map where hidden ({decoder.hidden}) is not embedding ({embedding})"
        )
    if decoder.tie_embeddings and isinstance(model.softmax, AdaptiveSoftmax) and (model.softmax.division or 1.0) > 1.0:
        faults.append(
            "model.softmax.division above 1 cannot go with model.decoder.tie_embeddings: shared vectors have full width"
        )
    return faults
