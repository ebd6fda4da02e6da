"""An autoencoder first, and a variational one from there, with another decoder (Li et al. 2019)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from vae_core.config import TrialConfig
from vae_core.model import VAE, Data, build_model
from vae_core.moment import Moment, State
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import Objective, Terms
from vae_core.procedures.config import Pretraining
from vae_core.procedures.interface import Procedure, Surroundings
from vae_core.schedules import Constant
from vae_core.seeding import Streams, make_generator
from vae_core.updates import Updates


class AutoencoderFirst(Procedure):
    """The first epochs without a KL; what starts anew after them starts as the next epoch begins."""

    def __init__(self, config: Pretraining, surroundings: Surroundings) -> None:
        self._config = config
        self._surroundings = surroundings

    def objective(self, objective: Objective) -> Objective:
        surroundings = self._surroundings
        config = surroundings.trial.objective
        assert isinstance(config, Elbo)  # TrialConfig refuses the rest
        plain = config.model_copy(update={"beta": 0.0, "annealing": Constant(), "free_bits": None, "feedback": None})
        share = self._config.epochs / surroundings.trial.training.epochs
        return Delayed(objective, plain.build(surroundings.sizes), share)

    def before_epoch(self, done: int, updates: Updates) -> None:
        if done == self._config.epochs and self._config.reset == "decoder":
            reset_decoder(self._surroundings.model, self._surroundings.trial, self._surroundings.data)
            updates.optimizer.state.clear()


class Delayed(Objective):
    """One objective for the first steps, another one from there on, for which they have not been.

    Args:
        objective: the later one; the state is its.
        first: reads of the state what the later one reads too, and has no schedule.
        share: of the planned steps, and a whole number of them.
    """

    def __init__(self, objective: Objective, first: Objective, share: float) -> None:
        self._objective = objective
        self._first = first
        self._share = share

    def initial(self, generator: Generator, device: torch.device | str = "cpu") -> State:
        return self._objective.initial(generator, device)

    def annealing_end(self, total: int) -> int:
        """At least one step after the first ones, so that no epoch of theirs is a candidate."""
        steps = self._steps(total)
        return steps + max(1, self._objective.annealing_end(total - steps))

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        steps = self._steps(moment.total)
        inside = replace(moment, step=max(0, moment.step - steps), total=moment.total - steps)
        if moment.step >= steps:
            return self._objective.terms(model, batch, inside, streams)
        terms = self._first.terms(model, batch, inside, streams)
        return replace(terms, state=moment.state | terms.state)

    def _steps(self, total: int) -> int:
        return round(self._share * total)


@torch.no_grad()
def reset_decoder(model: VAE[Any], trial: TrialConfig, data: Data) -> None:
    """Draws anew, from a generator of its own, all weights of the decoder that the encoder does not read."""
    fresh = _tensors(build_model(trial, data, make_generator(trial.seed, "init", "after pretraining")))
    kept = {id(parameter) for part in (model.encoder, model.posterior) for parameter in part.parameters()}
    for name, tensor in _tensors(model).items():
        if id(tensor) not in kept:
            tensor.copy_(fresh[name])


def _tensors(model: VAE[Any]) -> dict[str, Tensor]:
    """Parameters and buffers of the decoder by name."""
    return {**dict(model.decoder.named_parameters()), **dict(model.decoder.named_buffers())}
