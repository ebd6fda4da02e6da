"""What the trainer asks a training procedure; each answer here is that of joint training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vae_core.config import TrialConfig
from vae_core.model import VAE, Data
from vae_core.objectives.interface import Objective, ObjectiveSizes
from vae_core.updates import Updates


@dataclass(frozen=True)
class Surroundings:
    """What a procedure is built from and its config cannot know."""

    trial: TrialConfig
    model: VAE[Any]
    data: Data
    sizes: ObjectiveSizes
    device: torch.device


class Procedure:
    """Joint training. Whatever a procedure does between epochs is decided by what it knows before the epoch begins."""

    def objective(self, objective: Objective) -> Objective:
        """What is trained on in place of the trial's own objective."""
        return objective

    def before_epoch(self, done: int, updates: Updates) -> None:
        """Is told how many epochs are done."""

    def before_step(self, updates: Updates) -> list[nn.Parameter] | None:
        """The weights that the step is to move; None: all."""
        return None

    def after_epoch(self, scores: Mapping[str, float]) -> None:
        """Is told what validation gave, by the names of ``evaluate``."""

    def after_rollback(self, scores: Mapping[str, float]) -> None:
        """Is told, before the epoch that follows a return to the best weights, what validation gave of these."""

    def metrics(self) -> dict[str, float]:
        """To be reported with the epoch, by the names of ``vae_core.metrics``."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All that its further decisions depend on, between two epochs; not copied."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what ``state_dict`` gave."""
