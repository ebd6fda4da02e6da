"""From batches to an optimiser step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim

from vae_core.config import TrialConfig
from vae_core.model import VAE
from vae_core.moment import Moment, State
from vae_core.objectives.interface import Objective, Terms
from vae_core.row_sparse import clip_gradients
from vae_core.seeding import Streams, make_generator
from vae_core.training_config import Rollback


class Updates:
    """The optimiser, the objective and the step that they stand at.

    Args:
        config: the trial.
        model: on its device; changed by each step.
        objective: the loss.
        total_steps: planned.
        streams: drawn from by each step.
    """

    def __init__(self, config: TrialConfig, model: VAE[Any], objective: Objective, total_steps: int, streams: Streams) -> None:
        self.model = model
        self.step = 0
        """Optimiser steps so far."""
        self.total_steps = total_steps
        self.objective = objective
        self.optimizer = config.optimizer.build(model)
        self._config = config.training
        self._peak_lr = config.optimizer.lr
        self._cut = 1.0
        """What rollbacks have left of the learning rate."""
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

    def __call__(self, *batches: Any, of: list[nn.Parameter] | None = None) -> Terms:
        """One optimiser step on all batches; what the objective said of them before it, in the mean over their examples.

        The batches go through the model one by one, all at the same moment.

        Args:
            of: the weights that move; None: all.
        """
        terms = self._update(batches, of, self._streams)
        self.step += 1
        self._state = terms.state
        return terms

    def aside(self, batch: Any, of: list[nn.Parameter], streams: Streams) -> Tensor:
        """An update of these weights that is no step: moment and objective's state stay as they are; the loss before it."""
        return self._update((batch,), of, streams).loss.detach()

    def _update(self, batches: Sequence[Any], of: list[nn.Parameter] | None, streams: Streams) -> Terms:
        self.optimizer.zero_grad(set_to_none=True)
        moment, examples = self.moment, sum(batch.size for batch in batches)
        found, shares = [], []
        for batch in batches:
            terms = self.objective.terms(self.model, batch, moment, streams)
            share = batch.size / examples
            loss: Tensor = terms.loss if len(batches) == 1 else share * terms.loss
            loss.backward(inputs=of)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            found.append(terms)
            shares.append(share)
        terms = found[0] if len(batches) == 1 else _mean(found, shares)
        if self._config.clip_norm is not None:
            clip_gradients(self.model.parameters(), self._config.clip_norm)
        lr = self._peak_lr * self._cut * self._config.lr_schedule(self.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        return terms

    def roll_back(self, state: dict[str, Any], rollback: Rollback) -> None:
        """Goes on from what ``state_dict`` gave at other weights, at the learning rate cut; the steps are not taken back.

        Args:
            state: not changed, and not kept.
        """
        _OPTIMIZER_AFTER[rollback.optimizer](self.optimizer, state["optimizer"])
        self._state = _moved(state["objective"], self._device)
        self._cut *= rollback.decay

    def state_dict(self) -> dict[str, Any]:
        """All that further steps depend on but for weights and streams; not copied."""
        return {"optimizer": self.optimizer.state_dict(), "objective": self._state, "step": self.step, "cut": self._cut}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what ``state_dict`` gave, onto this device."""
        put_optimizer_state(self.optimizer, state["optimizer"])
        self._state = _moved(state["objective"], self._device)
        self.step, self._cut = state["step"], state["cut"]


def put_optimizer_state(optimizer: optim.Optimizer, state: dict[str, Any]) -> None:
    """Puts back moments and steps; options stay those of the config, which may be another than the state's.

    The rate, which every step sets anew, comes back as it was.
    """
    own = [{name: at for name, at in group.items() if name not in ("params", "lr")} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, options in zip(optimizer.param_groups, own, strict=True):
        group.update(options)


_OPTIMIZER_AFTER: dict[str, Callable[[optim.Optimizer, dict[str, Any]], None]] = {
    "restore": lambda optimizer, state: put_optimizer_state(optimizer, copy.deepcopy(state)),  # which would share its tensors
    "reset": lambda optimizer, state: optimizer.state.clear(),
    "keep": lambda optimizer, state: None,
}
"""What each strategy makes of the optimiser's state on a rollback."""


def _moved(state: State, device: torch.device) -> State:
    return {name: value.to(device) for name, value in state.items()}


def _mean(terms: Sequence[Terms], shares: Sequence[float]) -> Terms:
    """The terms of all batches as one; shares sum to 1.

    The mean of the states is one update by the mean over all examples where a state moves by a mean over its batch's.
    """

    def mean(values: list[Any]) -> Any:
        return sum(share * value for share, value in zip(shares, values, strict=True))

    def detached(name: str) -> Tensor:
        value: Tensor = mean([getattr(each, name).detach() for each in terms])
        return value

    state = {name: mean([each.state[name] for each in terms]) for name in terms[0].state}
    extra = {name: mean([each.extra[name].detach() for each in terms]) for name in terms[0].extra}
    weight = mean([each.weight for each in terms])
    return Terms(detached("loss"), detached("distortion"), detached("rate"), weight, state, extra)
