"""The options of posteriors and priors; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.latent.options import MARGINAL_CODES, AnyEstimator, GumbelEstimator, MarginalEstimator
from vae_core.plugins import extended

if TYPE_CHECKING:
    from torch import Generator

    from vae_core.config import TrialConfig
    from vae_core.latent.interface import PosteriorLayer, Prior, PriorSizes


class LatentConfig(Config):
    """One family of posteriors; ``build`` makes the layer that reads their parameters off the encoder's summary."""

    kind: str

    def build(self, features: int, generator: Generator) -> PosteriorLayer:
        """Makes the layer for summaries of this width; imports torch."""
        raise NotImplementedError

    def misfits(self, trial: TrialConfig) -> list[str]:
        """Every reason why the rest of the trial cannot go with it, each a sentence that names the places."""
        return []


class BatchNorm(Config):
    """Posterior means through batch normalisation with a fixed scale and a learned shift (BN-VAE, Zhu et al. 2020)."""

    gamma: Positive = 0.5
    """The scale: with the standard prior the rate of a training batch is at least size x gamma^2 / 2 nats; a learned prior may
    follow the means, and nothing then holds the rate."""
    momentum: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """A batch's share in the running mean and variance, by which evaluation normalises."""


class GaussianLatent(LatentConfig):
    """Diagonal Gaussian posterior (Kingma & Welling 2014)."""

    kind: Literal["gaussian"] = "gaussian"
    size: Count = 32
    variance: Positive | None = None
    """Of every posterior in each dimension; null: learned. Fixed at v it keeps the rate to the standard prior at size x
    (v - 1 - log v) / 2 nats or more."""
    batch_norm: BatchNorm | None = None
    """Of the means; null: none."""

    def build(self, features: int, generator: Generator) -> PosteriorLayer:
        from vae_core.latent.gaussian import GaussianPosterior

        return GaussianPosterior(features, self.size, generator, self.batch_norm, self.variance)

    def misfits(self, trial: TrialConfig) -> list[str]:
        if self.batch_norm is None or trial.training.batch_size > 1:
            return []
        return ["training.batch_size: 1 has no variance for model.latent.batch_norm to normalise by: take 2 or more"]


class VonMisesFisherLatent(LatentConfig):
    """Von Mises-Fisher posterior on the unit sphere; its reference prior is uniform there.

    With a fixed concentration the KL is a constant, so that it cannot collapse (Xu & Durrett 2018); with null each example has
    its own, which is learned (Davidson et al. 2018).
    """

    kind: Literal["vmf"] = "vmf"
    size: Annotated[int, Field(ge=2)] = 32
    """Of the vectors of unit length; the sphere has one dimension less."""
    concentration: Positive | None = None
    """Of every posterior: the larger, the closer to its direction; null: learned, above 1."""

    def build(self, features: int, generator: Generator) -> PosteriorLayer:
        from vae_core.latent.vmf import VonMisesFisherPosterior

        return VonMisesFisherPosterior(features, self.size, self.concentration, generator)

    def misfits(self, trial: TrialConfig) -> list[str]:
        from vae_core.objectives.config import Elbo  # here, for its family may have members that import this one's

        if self.concentration is None or not isinstance(trial.objective, Elbo):
            return []
        left = {name: Elbo.model_fields[name].get_default() for name in ("beta", "annealing", "free_bits", "feedback")}
        return [
            f"objective.{name} weighs or holds a KL that model.latent.concentration: {self.concentration} makes a constant: "
            "leave it out"
            for name, default in left.items()
            if getattr(trial.objective, name) != default
        ]


class CategoricalLatent(LatentConfig):
    """Independent categorical variables, as one-hot vectors in a row; the reference prior has all classes equally likely."""

    kind: Literal["categorical"] = "categorical"
    variables: Count = 8
    classes: Annotated[int, Field(ge=2)] = 10
    """Of each variable."""
    estimator: AnyEstimator = GumbelEstimator()
    """How training gets a gradient through them."""

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        codes = self.variables * math.log(self.classes)
        if isinstance(self.estimator, MarginalEstimator) and codes > math.log(MARGINAL_CODES) + 1e-9:
            raise ValueError(
                f"estimator.kind: marginal decodes classes ^ variables = {self.classes}^{self.variables} codes of each example; "
                f"they must be {MARGINAL_CODES} at most"
            )
        return self

    def build(self, features: int, generator: Generator) -> PosteriorLayer:
        from vae_core.latent.categorical import CategoricalPosterior

        return CategoricalPosterior(features, self.variables, self.classes, self.estimator, generator)

    def misfits(self, trial: TrialConfig) -> list[str]:
        from vae_core.objectives.config import Elbo, ImportanceWeighted  # here, as above

        objective, kind = trial.objective, self.estimator.kind
        if isinstance(objective, ImportanceWeighted):
            return [
                "objective.kind: iwae needs the density of samples that a gradient goes through; with "
                "model.latent.kind: categorical hard samples have no gradient, and relaxed ones no probability"
            ]
        enumerates = isinstance(self.estimator, MarginalEstimator)
        if enumerates and isinstance(objective, Elbo) and objective.gradient.kind == "reparametrised" and objective.samples != 1:
            return [
                f"objective.samples: {objective.samples} has no effect beside model.latent.estimator.kind: {kind}, which takes "
                "every code: leave it at 1"
            ]
        return []


AnyLatent = Annotated[GaussianLatent | VonMisesFisherLatent | CategoricalLatent, Field(discriminator="kind")]
"""The family's table of posteriors."""


class PriorConfig(Config):
    """One family of priors; ``build`` makes it."""

    closed_form: ClassVar[bool] = False
    """Whether its KL is known for each dimension; else the rate is estimated."""

    kind: str

    def build(self, sizes: PriorSizes) -> Prior:
        """Makes the prior for these sizes; imports torch."""
        raise NotImplementedError

    def misfits(self, trial: TrialConfig) -> list[str]:
        """Every reason why the rest of the trial cannot go with it, each a sentence that names the places."""
        from vae_core.objectives.config import Elbo  # here, for its family may have members that import this one's
        from vae_core.objectives.options import BatchFreeBits, ExampleFreeBits

        bits = trial.objective.free_bits if isinstance(trial.objective, Elbo) else None
        if self.closed_form or not isinstance(bits, ExampleFreeBits | BatchFreeBits):
            return []
        return [
            f"objective.free_bits.kind: {bits.kind} needs the KL of each dimension, which model.prior.kind: {self.kind} does not "
            "give: take kind: total"
        ]


class StandardPrior(PriorConfig):
    """What the posterior's family takes for no information: N(0, I) for a Gaussian (Kingma & Welling 2014)."""

    closed_form = True
    kind: Literal["standard"] = "standard"

    def build(self, sizes: PriorSizes) -> Prior:
        from vae_core.latent.standard import Reference

        return Reference(sizes.layer.reference)


class GaussianPrior(PriorConfig):
    """What the priors of the Gaussian posterior's codes share."""

    def misfits(self, trial: TrialConfig) -> list[str]:
        latent = trial.model.latent
        if isinstance(latent, GaussianLatent):
            return super().misfits(trial)
        return [f"model.prior.kind: {self.kind} is for codes of model.latent.kind: gaussian, not {latent.kind}"]


class MixturePrior(GaussianPrior):
    """Diagonal Gaussians, learned as the weights between them are."""

    kind: Literal["mixture"] = "mixture"
    components: Count = 10

    def build(self, sizes: PriorSizes) -> Prior:
        from vae_core.latent.mixture import GaussianMixture

        return GaussianMixture(self.components, sizes)


class VampPrior(GaussianPrior):
    """The mixture of the posteriors of learned pseudo-inputs (VampPrior, Tomczak & Welling 2018).

    For images these are images; for text, whose words no gradient can change, they are summaries, what the posterior layer reads.
    """

    kind: Literal["vamp"] = "vamp"
    components: Count = 50
    """Pseudo-inputs; each step and each batch of evaluation reads them all anew."""

    def build(self, sizes: PriorSizes) -> Prior:
        from vae_core.latent.mixture import Vamp

        return Vamp(self.components, sizes)


class FlowPrior(GaussianPrior):
    """N(0, I) through learned invertible autoregressive maps."""

    kind: Literal["flow"] = "flow"
    family: Literal["nsf", "maf"] = "nsf"
    """nsf: monotonic splines on [-5, 5] (Durkan et al. 2019). maf: affine (Papamakarios et al. 2017)."""
    transforms: Count = 3
    """Maps, one behind the other."""
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 64)
    """Widths of the hidden layers by which dimensions depend on those before them; a single dimension has none."""

    def build(self, sizes: PriorSizes) -> Prior:
        from vae_core.latent.flow import Flow

        return Flow(self, sizes)


class LabelPrior(GaussianPrior):
    """p(z|y), a learned diagonal Gaussian for each label of the data (Kingma et al. 2014; Sohn et al. 2015)."""

    closed_form = True
    kind: Literal["label"] = "label"

    def build(self, sizes: PriorSizes) -> Prior:
        from vae_core.latent.labelled import LabelGaussians

        return LabelGaussians(sizes)


class Condition(Config):
    """Encoder and decoder are told each example's label (Kingma et al. 2014, M2; Sohn et al. 2015).

    A learned vector a label is joined to the encoder's summary, and to z where the decoder reads it.
    """

    embedding: Count = 16
    """Width of the labels' vectors."""


AnyPrior = Annotated[StandardPrior | MixturePrior | VampPrior | FlowPrior | LabelPrior, Field(discriminator="kind")]
"""The family's table of priors."""
if not TYPE_CHECKING:
    AnyLatent = extended(AnyLatent, LatentConfig, "latents")
    AnyPrior = extended(AnyPrior, PriorConfig, "priors")
