"""The options of the objective; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.latent.config import CategoricalLatent, GaussianLatent
from vae_core.latent.options import GumbelEstimator
from vae_core.objectives.options import (
    AnyCritic,
    AnyFeedback,
    AnyFreeBits,
    AnyGradient,
    Critic,
    JensenShannonCritic,
    NotNegative,
    Reparametrised,
    Score,
)
from vae_core.plugins import extended
from vae_core.schedules import AnySchedule, Constant

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.objectives.interface import Objective, ObjectiveSizes


class ObjectiveConfig(Config):
    """One member of the family; ``build`` makes its loss."""

    compares_codes: ClassVar[bool] = False
    """Whether it takes a batch's codes for draws of q(z). Its batches of text are then of mixed lengths, at the cost of padding:
    sentences of like length are draws of q(z | length)."""

    kind: str
    gradient_variance: Annotated[int, Field(ge=2)] | None = None
    """Draws by which train/gradient_variance is measured after each epoch, each the cost of a step on one batch; null: not."""

    def misfits(self, trial: TrialConfig) -> list[str]:
        """Every reason why the rest of the trial cannot go with it, each a sentence that names the places."""
        return []

    def build(self, sizes: ObjectiveSizes) -> Objective:
        """Makes the loss for these sizes; imports torch."""
        raise NotImplementedError


class Elbo(ObjectiveConfig):
    """Negative ELBO: mean over examples of (sum of the NLL + weight x KL), Kingma & Welling 2014; beta: Higgins et al. 2017."""

    kind: Literal["elbo"] = "elbo"
    beta: NotNegative = 1.0
    """The weight of the KL once annealing has ended."""
    annealing: AnySchedule = Constant()
    """The share of beta at each step."""
    samples: Count = 1
    """Posterior samples an example."""
    free_bits: AnyFreeBits | None = None
    """A floor under the KL in the loss; no reported rate or ELBO has it."""
    feedback: AnyFeedback | None = None
    """What sets the weight of the KL by the rate, in place of beta and annealing."""
    gradient: AnyGradient = Reparametrised()
    """Of the encoder."""

    @model_validator(mode="after")
    def _others_to_leave_in(self) -> Self:
        if isinstance(self.gradient, Score) and self.gradient.baseline == "leave_one_out" and self.samples < 2:
            raise ValueError(f"gradient.baseline: leave_one_out needs samples of 2 or more, not {self.samples}")
        return self

    def misfits(self, trial: TrialConfig) -> list[str]:
        latent, faults = trial.model.latent, self._without_effect()
        if isinstance(self.gradient, Score) and isinstance(latent, CategoricalLatent) and latent.estimator != GumbelEstimator():
            faults.append(
                f"model.latent.estimator.kind: {latent.estimator.kind} has no effect beside objective.gradient.kind: score; "
                "leave it at its default"
            )
        return faults

    def _without_effect(self) -> list[str]:
        """What a feedback leaves without effect."""
        if self.feedback is None:
            return []
        kind, faults = self.feedback.kind, []
        if self.beta != 1.0:
            faults.append(f"objective.beta: {self.beta} has no effect beside objective.feedback.kind: {kind}; leave it at 1")
        if self.annealing != Constant():
            faults.append(
                f"objective.annealing.kind: {self.annealing.kind} has no effect beside objective.feedback.kind: {kind}; "
                "leave it constant"
            )
        if self.free_bits is not None:
            faults.append(
                f"objective.free_bits.kind: {self.free_bits.kind} and objective.feedback.kind: {kind} both hold the rate: "
                "choose one"
            )
        return faults

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.elbo import NegativeElbo

        return NegativeElbo(self)


class ImportanceWeighted(ObjectiveConfig):
    """Importance-weighted bound of K samples (IWAE, Burda et al. 2016)."""

    kind: Literal["iwae"] = "iwae"
    samples: Count = 5
    """K; with 1 it is the ELBO."""
    gradient: Literal["plain", "dreg"] = "dreg"
    """Of the encoder: plain, whose signal drowns in noise as K grows, or doubly reparametrised (Tucker et al. 2019), with the
    same mean and less variance."""

    def misfits(self, trial: TrialConfig) -> list[str]:
        softmax = trial.model.softmax.kind
        if softmax not in ("negative_sampling", "nce"):
            return []
        return [f"objective.kind: iwae weighs samples by likelihood, of which model.softmax.kind: {softmax} trains none"]

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.iwae import NegativeImportanceWeighted

        return NegativeImportanceWeighted(self)


class WassersteinConfig(ObjectiveConfig):
    """What Wasserstein autoencoders share: distortion + weight x a distance of all codes together, q(z), from the prior.

    Tolstikhin et al. 2018. No code is drawn to the prior by itself: the rate has no weight, and validation's neg_elbo has it.
    """

    compares_codes = True
    weight: Positive = 10.0
    """Of the distance, once annealing has ended."""
    annealing: AnySchedule = Constant()
    """The share of the weight at each step."""
    encoder: Literal["stochastic", "deterministic"] = "stochastic"
    """Codes are samples of the posterior, or its means. Validation samples then too: by a variance that the latent has to fix."""

    def misfits(self, trial: TrialConfig) -> list[str]:
        latent, prior, means = trial.model.latent, trial.model.prior.kind, self.encoder == "deterministic"
        faults = []
        if isinstance(latent, CategoricalLatent):
            faults.append(f"objective.kind: {self.kind} compares continuous codes, not those of model.latent.kind: {latent.kind}")
        elif means and not isinstance(latent, GaussianLatent):
            faults.append(
                f"objective.encoder: deterministic takes the mean of a Gaussian, not of model.latent.kind: {latent.kind}"
            )
        elif means and isinstance(latent, GaussianLatent) and latent.variance is None:
            faults.append(
                "objective.encoder: deterministic trains no variance, and validation samples by it: fix it by "
                "model.latent.variance, such as 0.01"
            )
        if prior != "standard":
            faults.append(f"objective.kind: {self.kind} draws codes to a prior that stays: model.prior.kind: {prior} is learned")
        return faults


class WaeMmd(WassersteinConfig):
    """Wasserstein autoencoder by the maximum mean discrepancy (Tolstikhin et al. 2018, alg. 2; Gretton et al. 2012).

    The kernel is sum_s C_s / (C_s + |x - y|^2), C_s = 2 d sigma^2 s.
    """

    kind: Literal["wae_mmd"] = "wae_mmd"
    scales: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    """s, each a kernel."""
    sigma: Positive = 1.0
    """In standard deviations of the prior, of which a coordinate on the sphere of ``vmf`` has 1 / sqrt(d)."""

    def misfits(self, trial: TrialConfig) -> list[str]:
        return super().misfits(trial) + _no_pairs(self, trial)

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.mmd import MmdAutoencoder

        return MmdAutoencoder(self)


class WaeAdversary(WassersteinConfig):
    """Wasserstein autoencoder by an adversary that tells codes from the prior's (Tolstikhin et al. 2018, alg. 1)."""

    kind: Literal["wae_adversary"] = "wae_adversary"
    critic: AnyCritic = JensenShannonCritic()

    def misfits(self, trial: TrialConfig) -> list[str]:
        return super().misfits(trial) + _critic_left_behind(self, trial)

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.adversary import AdversarialAutoencoder

        return AdversarialAutoencoder(self, sizes.latent)


class BetaTcVae(ObjectiveConfig):
    """beta-TCVAE (Chen et al. 2018): distortion + alpha mutual information + beta total correlation + gamma dimension-wise KL.

    The three add up to the rate, and are estimated from the codes of a batch.
    """

    compares_codes = True
    kind: Literal["beta_tcvae"] = "beta_tcvae"
    alpha: NotNegative = 1.0
    """Weight of the mutual information between x and z."""
    beta: NotNegative = 6.0
    """Weight of the total correlation, KL(q(z) || prod_d q(z_d))."""
    gamma: NotNegative = 1.0
    """Weight of the dimension-wise KL, sum_d KL(q(z_d) || p(z_d))."""
    annealing: AnySchedule = Constant()
    """The share of the three weights at each step."""
    estimator: Literal["weighted", "stratified"] = "stratified"
    """Of log q(z) from a batch (Chen et al. 2018, app. C). stratified has no bias in q(z); weighted is up to log N too low, N the
    training examples, and the mutual information, and size - 1 times the total correlation, come out as much too high."""

    def misfits(self, trial: TrialConfig) -> list[str]:
        faults = _no_gaussian(self, trial) + _no_pairs(self, trial)
        if (prior := trial.model.prior.kind) != "standard":
            faults.append(f"objective.kind: beta_tcvae needs a prior of independent dimensions, not model.prior.kind: {prior}")
        return faults

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.total_correlation import BetaTotalCorrelation

        return BetaTotalCorrelation(self, sizes.examples)


class FactorVae(ObjectiveConfig):
    """FactorVAE (Kim & Mnih 2018): distortion + rate + gamma total correlation, by the density ratio of a discriminator.

    It tells the codes of a batch from the same ones with each dimension permuted over the batch.
    """

    compares_codes = True
    kind: Literal["factor_vae"] = "factor_vae"
    gamma: NotNegative = 10.0
    """Weight of the total correlation."""
    annealing: AnySchedule = Constant()
    """The share at each step of the whole penalty, the rate's part too."""
    discriminator: Critic = Critic(lr=1e-4)

    def misfits(self, trial: TrialConfig) -> list[str]:
        return _no_gaussian(self, trial) + _no_pairs(self, trial) + _critic_left_behind(self, trial)

    def build(self, sizes: ObjectiveSizes) -> Objective:
        from vae_core.objectives.factor import FactorObjective

        return FactorObjective(self, sizes.latent)


def _no_pairs(objective: ObjectiveConfig, trial: TrialConfig) -> list[str]:
    if trial.training.batch_size > 1:
        return []
    return [f"objective.kind: {objective.kind} compares the codes of a batch: training.batch_size must be 2 or more"]


def _critic_left_behind(objective: ObjectiveConfig, trial: TrialConfig) -> list[str]:
    training, faults = trial.training, []
    if training.procedure.kind == "aggressive":
        faults.append(
            f"training.procedure.kind: aggressive lets the encoder run ahead of the critic of objective.kind: {objective.kind}, "
            "which moves once a step: take another procedure"
        )
    if training.accumulate > 1:
        faults.append(
            f"training.accumulate: {training.accumulate} trains a copy of the critic of objective.kind: {objective.kind} on each "
            "batch of a step, and copies have no mean: leave it at 1"
        )
    return faults


def _no_gaussian(objective: ObjectiveConfig, trial: TrialConfig) -> list[str]:
    if (latent := trial.model.latent.kind) == "gaussian":
        return []
    return [f"objective.kind: {objective.kind} takes a code apart by dimension, as of model.latent.kind: gaussian, not {latent}"]


AnyObjective = Annotated[Elbo | ImportanceWeighted | WaeMmd | WaeAdversary | BetaTcVae | FactorVae, Field(discriminator="kind")]
"""The family's table."""
if not TYPE_CHECKING:
    AnyObjective = extended(AnyObjective, ObjectiveConfig, "objectives")
