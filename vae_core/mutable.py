"""What may change in the middle of a training; free of torch, so that a sweep file is checked within a second.

These options change no weight's shape, no data, no schedule of annealing and not the length: a state of a trial that differs in
nothing else can be gone on with (``Trainer.take_over``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_core.config import TrialConfig

_OPTIMIZER = ("lr", "betas", "weight_decay", "momentum")
_OBJECTIVE = (
    "beta",
    "alpha",
    "gamma",
    "weight",
    "free_bits.nats",
    "feedback.nats",
    "feedback.gamma",
    "feedback.lr",
    "feedback.proportional_gain",
    "feedback.integral_gain",
    "feedback.min_weight",
    "feedback.max_weight",
    "critic.lr",
    "critic.betas",
    "critic.gradient_penalty",
    "discriminator.lr",
    "discriminator.betas",
)
_DROPOUT = ("dropout", "embedding_dropout", "attention_dropout")
_RECURRENT = tuple(f"variational_dropout.{name}" for name in ("inputs", "hidden", "output"))

MUTABLE = (
    *(f"optimizer.{name}" for name in _OPTIMIZER),
    "training.clip_norm",
    "training.lr_schedule.floor",
    *(f"objective.{name}" for name in _OBJECTIVE),
    *(f"model.{part}.{name}" for part in ("encoder", "decoder") for name in (*_DROPOUT, *_RECURRENT)),
    "model.decoder.word_dropout",
)
"""By dotted name, whatever the kind of the family that has the option."""


def changed(one: TrialConfig, other: TrialConfig) -> list[str]:
    """The dotted names in which two trials differ."""
    before, after = one.flat(), other.flat()
    return [name for name in {**before, **after} if name not in before or name not in after or before[name] != after[name]]
