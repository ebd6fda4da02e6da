"""The options of the training procedure; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vae_core.configurable import Config, Count
from vae_core.latent.config import VonMisesFisherLatent
from vae_core.objectives.config import Elbo
from vae_core.plugins import extended

if TYPE_CHECKING:
    from vae_core.config import TrialConfig
    from vae_core.procedures.interface import Procedure, Surroundings


class ProcedureConfig(Config):
    """One member of the family; ``build`` makes what the trainer asks before and after it trains."""

    kind: str

    def misfits(self, trial: TrialConfig) -> list[str]:
        """Every reason why the rest of the trial cannot go with it, each a sentence that names the places."""
        return []

    def build(self, surroundings: Surroundings) -> Procedure:
        """Makes the procedure; imports torch."""
        raise NotImplementedError


class Joint(ProcedureConfig):
    """Every step moves all weights, from the first to the last (Kingma & Welling 2014)."""

    kind: Literal["joint"] = "joint"

    def build(self, surroundings: Surroundings) -> Procedure:
        from vae_core.procedures.interface import Procedure

        return Procedure()


class Aggressive(ProcedureConfig):
    """Aggressive training of the encoder (He et al. 2019, alg. 1), against an encoder that lags behind its decoder.

    Before each step the encoder alone is updated on batches drawn at random, until their loss stops falling; the step then moves
    all other weights. After the first epoch in which the mutual information on validation has not risen, steps are joint for
    good. Weights that encoder and decoder share, such as those of the words, move with the decoder.
    """

    kind: Literal["aggressive"] = "aggressive"
    window: Count = 10
    """Updates of the encoder whose mean loss a token (an image) is compared with that of the same number before."""
    max_updates: Count = 100
    """Updates of the encoder before a step, at most."""

    def build(self, surroundings: Surroundings) -> Procedure:
        from vae_core.procedures.aggressive import AggressiveEncoder

        return AggressiveEncoder(self, surroundings)


class Pretraining(ProcedureConfig):
    """The first epochs train an autoencoder, the KL's weight being 0 (Li et al. 2019); they are none to select from.

    The annealing of objective and model, which is a share of the planned steps, begins after them and has the rest for its whole.
    """

    kind: Literal["pretraining"] = "pretraining"
    epochs: Count = 2
    """Of ``training.epochs``."""
    reset: Literal["decoder", "none"] = "decoder"
    """What starts anew after them: the decoder's own weights, drawn again, and the optimiser's state; or nothing. Weights that
    encoder and decoder share stay."""

    def misfits(self, trial: TrialConfig) -> list[str]:
        faults = []
        if not isinstance(trial.objective, Elbo):
            faults.append(
                "training.procedure.kind: pretraining is a weight of 0 on the KL of objective.kind: elbo, and "
                f"{trial.objective.kind} has none"
            )
        if isinstance(latent := trial.model.latent, VonMisesFisherLatent) and latent.concentration is not None:
            faults.append(
                "training.procedure.kind: pretraining is a weight of 0 on the KL, which model.latent.concentration: "
                f"{latent.concentration} makes a constant"
            )
        if self.epochs >= trial.training.epochs:
            faults.append(
                f"training.procedure.epochs: {self.epochs} must be below training.epochs: {trial.training.epochs}, which they "
                "are part of"
            )
        return faults

    def build(self, surroundings: Surroundings) -> Procedure:
        from vae_core.procedures.pretraining import AutoencoderFirst

        return AutoencoderFirst(self, surroundings)


AnyProcedure = Annotated[Joint | Aggressive | Pretraining, Field(discriminator="kind")]
"""The family's table."""
if not TYPE_CHECKING:
    AnyProcedure = extended(AnyProcedure, ProcedureConfig, "procedures")
