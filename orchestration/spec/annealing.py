"""When a trial's annealing ends, known from its configuration alone."""

from __future__ import annotations

import math

from vae_core.config import TrialConfig
from vae_core.procedures.config import Pretraining

MANY_STEPS = 1000
"""An epoch's, for shares of the steps to be shares of the epochs where the real number is not known."""


def annealing_end(config: TrialConfig, total: int) -> int:
    """The first of ``total`` planned steps from which on epochs are candidates: ``Trainer.annealing_end``, without torch."""
    procedure = config.training.procedure
    if isinstance(procedure, Pretraining):
        before = round(procedure.epochs / config.training.epochs * total)
        return before + max(1, _objective_end(config, total - before))
    return _objective_end(config, total)


def first_candidate(config: TrialConfig, steps_per_epoch: int) -> int:
    """The first epoch, from 1, that may be selected, and be judged by a stopping rule."""
    end = annealing_end(config, config.training.epochs * steps_per_epoch)
    return max(1, math.ceil(end / steps_per_epoch))


def _objective_end(config: TrialConfig, total: int) -> int:
    objective = config.objective
    feedback = getattr(objective, "feedback", None)
    if feedback is not None:  # stands in place of annealing
        return int(feedback.schedule.end(total)) if hasattr(feedback, "schedule") else 0
    annealing = getattr(objective, "annealing", None)
    return 0 if annealing is None else int(annealing.end(total))
