"""From a batch to an optimiser step."""

from __future__ import annotations

from typing import Any

from torch.nn.utils import clip_grad_norm_

from vae_core.config import TrialConfig
from vae_core.model import VAE
from vae_core.moment import Moment
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.optimizers import build_optimizer
from vae_core.seeding import Streams, make_generator


class Updates:
    """The optimiser, the objective and the step that they stand at.

    Args:
        config: the trial.
        model: on its device; changed by each step.
        sizes: what the objective is built for.
        total_steps: planned.
        streams: drawn from by each step.
    """

    def __init__(self, config: TrialConfig, model: VAE[Any], sizes: ObjectiveSizes, total_steps: int, streams: Streams) -> None:
        self.model = model
        self.step = 0
        """Optimiser steps so far."""
        self.total_steps = total_steps
        self.objective = config.objective.build(sizes)
        self.optimizer = build_optimizer(config.optimizer, model.parameters())
        self._config = config.training
        self._streams = streams
        self._device = next(model.parameters()).device
        self._state = self.objective.initial(make_generator(config.seed, "objective"), self._device)

    @property
    def moment(self) -> Moment:
        """What the next step is taken at."""
        return Moment(self.step, self.total_steps, self._state)

    @property
    def lr(self) -> float:
        """Of the last step."""
        lr: float = self.optimizer.param_groups[0]["lr"]
        return lr

    def __call__(self, batch: Any) -> Terms:
        """One optimiser step; what the objective said of the batch before it."""
        terms = self.objective.terms(self.model, batch, self.moment, self._streams)
        self.optimizer.zero_grad(set_to_none=True)
        terms.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if self._config.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self._config.clip_norm)
        self.optimizer.step()
        self.step += 1
        self._state = terms.state
        return terms

    def state_dict(self) -> dict[str, Any]:
        """All that further steps depend on but for weights and streams; not copied."""
        return {"optimizer": self.optimizer.state_dict(), "objective": self._state, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what ``state_dict`` gave, onto this device."""
        self.optimizer.load_state_dict(state["optimizer"])
        self._state = {name: value.to(self._device) for name, value in state["objective"].items()}
        self.step = state["step"]
