"""How a trial is trained: length, steps, precision and safeguards; free of torch, as all of the config."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive
from vae_core.learning_rate import LearningRateSchedule
from vae_core.procedures.config import AnyProcedure, Joint


class Rollback(Config):
    """A return to the best weights where validation stops getting better, and on from there at a lower learning rate.

    What an objective carries from step to step goes back with the weights; steps, schedules and random numbers go on.
    """

    patience: Count = 1
    """Epochs without a better val/neg_elbo since the best epoch or the last return, counted from annealing's end."""
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """What each return multiplies the learning rate by, for good."""
    optimizer: Literal["restore", "reset", "keep"] = "restore"
    """The optimiser's moments after it: those that belong to the best weights, none, or those of the weights given up."""
    max: Count | None = None
    """Returns at most; null: as many as there are."""


class Training(Config):
    """Length, batches and safeguards of the training."""

    epochs: Count = 10
    batch_size: Count = 32
    clip_norm: Positive | None = 5.0
    """Gradients are scaled to this norm at most; null: never."""
    accumulate: Count = 1
    """Batches an optimiser step, each weighed by its examples: the gradient of one batch as large as all of them. What looks at a
    batch as a whole, such as a floor under its mean KL, looks at each of them; an objective's state moves once a step. Where an
    epoch ends, a step has the batches that are left."""
    lr_schedule: LearningRateSchedule = LearningRateSchedule()
    """The share of ``optimizer.lr`` at each step."""
    procedure: AnyProcedure = Joint()
    """Which weights a step moves, and what comes before."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products of encoder, decoder and softmax in training. Weights, latent variables, losses and their sums are in
    float32 either way, and so is all evaluation."""
    patience: Count | None = None
    """Stop after so many epochs without a better val/neg_elbo, counted from annealing's end; null: never."""
    rollback: Rollback | None = None
    """What comes before that end; null: nothing."""

    @model_validator(mode="after")
    def _rolls_back_before_it_ends(self) -> Self:
        if self.rollback is not None and self.patience is not None and self.rollback.patience >= self.patience:
            raise ValueError(
                f"rollback.patience: {self.rollback.patience} must be below patience: {self.patience}, which ends training: it "
                "counts from the best epoch, whatever was rolled back since"
            )
        return self
