"""Aggressive training of the encoder (He et al. 2019, alg. 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vae_core.model import VAE
from vae_core.procedures.config import Aggressive
from vae_core.procedures.interface import Procedure, Surroundings
from vae_core.seeding import Streams, derive_seed
from vae_core.updates import Updates


class AggressiveEncoder(Procedure):
    """Brings the encoder to the optimum that belongs to the decoder as it is, before each step of the decoder.

    The encoder's updates are no steps: schedules stand still, the objective's state too, and they draw data and noise from
    generators of their own. As in the paper's code a batch is drawn at random from a plan of an epoch, which is drawn anew for
    each epoch, and the mean loss a token decides, so that long sentences count for no more.
    """

    def __init__(self, config: Aggressive, surroundings: Surroundings) -> None:
        self._config = config
        self._data, self._device = surroundings.data, surroundings.device
        self._batch_size = surroundings.trial.training.batch_size
        self._mixed = surroundings.trial.objective.compares_codes
        self._streams = Streams.create(derive_seed(surroundings.trial.seed, "aggressive"), self._device)
        self._encoder = encoder_parameters(surroundings.model)
        own = {id(parameter) for parameter in self._encoder}
        self._others = [parameter for parameter in surroundings.model.parameters() if id(parameter) not in own]
        self._plan: list[npt.NDArray[np.int64]] = []
        """Of this epoch; empty before its first batch."""
        self.active = True
        """Whether steps are still aggressive."""
        self.updates = 0
        """Of the encoder alone, so far."""
        self._information = 0.0
        """On validation, of the weights that the epoch begins with; of none before the first."""

    def before_step(self, updates: Updates) -> list[nn.Parameter] | None:
        """Updates the encoder until its loss stops falling; then it is the others' turn."""
        if not self.active:
            return None
        before, total, units = math.inf, torch.zeros((), dtype=torch.float64, device=self._device), 0
        for made in range(1, self._config.max_updates + 1):
            loss, size = self._update(updates)
            total, units = total + loss, units + size
            if made % self._config.window == 0:
                mean = total.item() / units
                if not mean < before:  # as a NaN is not either: the step to come fails by it
                    break
                before, total, units = mean, torch.zeros_like(total), 0
        return self._others

    def after_epoch(self, scores: Mapping[str, float]) -> None:
        """Ends aggressive training for good where the mutual information has stopped climbing (He et al. 2019, sec. 4.2)."""
        self.active = self.active and scores["mutual_information"] > self._information
        self._information = scores["mutual_information"]
        self._plan = []

    def after_rollback(self, scores: Mapping[str, float]) -> None:
        self._information = scores["mutual_information"]

    def metrics(self) -> dict[str, float]:
        return {"train/encoder_updates": float(self.updates)}

    def state_dict(self) -> dict[str, Any]:
        state = {"active": self.active, "updates": self.updates, "information": self._information}
        return state | {"streams": self._streams.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.active, self.updates, self._information = state["active"], state["updates"], state["information"]
        self._streams.load_state_dict(state["streams"])
        self._plan = []

    def _update(self, updates: Updates) -> tuple[Tensor, int]:
        """One update of the encoder; the loss of its batch, summed, and the tokens (images) that it was summed over."""
        if not self._plan:
            self._plan = self._data.plan("train", self._batch_size, self._streams.shuffle, mixed=self._mixed)
        place = int(torch.randint(len(self._plan), (), generator=self._streams.shuffle))
        batch: Any = self._data.batch("train", self._plan[place], self._streams.binarise).to(self._device)
        loss = updates.aside(batch, self._encoder, self._streams)
        self.updates += 1
        return loss.double() * batch.size, getattr(batch, "tokens", batch.size)


def encoder_parameters(model: VAE[Any]) -> list[nn.Parameter]:
    """The weights that make the posterior and that the decoder does not read."""
    decoder = {id(parameter) for parameter in model.decoder.parameters()}
    both = (*model.encoder.parameters(), *model.posterior.parameters())
    return [parameter for parameter in both if id(parameter) not in decoder]
