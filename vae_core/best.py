"""The best weights so far, and training's return to them."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from vae_core.model import VAE
from vae_core.training_config import Rollback
from vae_core.updates import Updates


class Best:
    """A copy of the model at its best epoch.

    Args:
        model: copied from and written to.
        updates: goes back with the weights on a rollback.
        rollback: when training goes back; None: never.
    """

    def __init__(self, model: VAE[Any], updates: Updates, rollback: Rollback | None) -> None:
        self._model = model
        self._updates = updates
        self._rollback = rollback
        self._weights: dict[str, Tensor] = {}
        """Empty before there is a best epoch."""
        self._state: dict[str, Any] = {}
        """Of the updates, at the best epoch; empty where there is no rollback."""
        self._returns: list[int] = []
        """The epochs after which training went back."""

    def take(self) -> None:
        """Remembers the model as it is."""
        self._weights = {name: weight.clone() for name, weight in weights_of(self._model).items()}
        if self._rollback is not None:
            self._state = copy.deepcopy(self._updates.state_dict())

    def put(self) -> None:
        """Fills the remembered weights into the model."""
        put_weights(self._model, self._weights)

    def roll_back_if_due(self, epoch: int, best: int) -> bool:
        """Goes back where the patience has run out since the best epoch or the last return; once after an epoch. Whether it did.

        Args:
            epoch: the last that was trained.
            best: the best so far.
        """
        rollback = self._rollback
        if rollback is None or epoch - max([best, *self._returns]) < rollback.patience:
            return False
        if rollback.max is not None and len(self._returns) >= rollback.max:
            return False
        self.put()
        self._updates.roll_back(self._state, rollback)
        self._returns.append(epoch)
        return True

    def state_dict(self) -> dict[str, Any]:
        """All of it; not copied."""
        return {"weights": self._weights, "updates": self._state, "returns": self._returns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what ``state_dict`` gave, the weights onto the model's device."""
        own = weights_of(self._model)
        self._weights = {name: weight.to(own[name].device) for name, weight in state["weights"].items()}
        self._state, self._returns = state["updates"], state["returns"]


def weights_of(model: VAE[Any]) -> dict[str, Tensor]:
    """Parameters and buffers, shared ones once; not copied."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()} | dict(model.named_buffers())


def put_weights(model: VAE[Any], weights: dict[str, Tensor]) -> None:
    """Fills in what ``weights_of`` gave."""
    own = weights_of(model)
    assert own.keys() == weights.keys(), f"weights of another model: {sorted(own.keys() ^ weights.keys())}"
    for name, weight in own.items():
        weight.copy_(weights[name])
