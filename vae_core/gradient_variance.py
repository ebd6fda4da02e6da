"""How noisy an objective's gradient is: its variance over draws of the code, with everything else held fixed.

Shapes: B examples, D draws, P numbers that make up an example's posterior.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from vae_core.config import TrialConfig
from vae_core.latent.interface import Posterior
from vae_core.model import VAE, Data
from vae_core.moment import Moment
from vae_core.networks.interface import BatchT
from vae_core.objectives.interface import Objective
from vae_core.seeding import Streams, derive_seed, make_generator


class _Encoded(VAE[BatchT]):
    """A model whose encoder has done its work; all else is the model's own."""

    def __init__(self, model: VAE[BatchT], encoded: Posterior) -> None:
        self.__dict__ |= model.__dict__
        self.encoded = encoded

    def encode(self, batch: BatchT, dropout: Generator | None = None) -> Posterior:
        return self.encoded


def gradient_draws(
    model: VAE[Any], objective: Objective, batch: Any, moment: Moment, draws: int, seed: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Gradients of the examples' losses by the parameters of their posteriors, (D, B, P).

    The posterior is the one of evaluation, so that no dropout and no statistics of a batch enter; the decoder's dropout and the
    negatives of the softmax are the same at every draw. Nothing is left behind: no gradient, no state, no generator moved.

    Args:
        draws: D, each the cost of a training step but for the encoder's part of it.
        seed: of the draws.
        device: the model's.
    """
    posterior, rows = model.encode(batch).detach(), []
    for draw in range(draws):
        fixed = posterior.map(lambda parameter: parameter.clone().requires_grad_())
        streams = replace(Streams.create(seed, device), noise=make_generator(seed, "draw", draw, device=device))
        loss = objective.terms(_Encoded(model, fixed), batch, moment, streams).loss * batch.size  # the sum over examples
        parameters = fixed.tensors()
        slopes = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
        tangent = posterior.tangent(dict(zip(parameters, slopes, strict=True)))
        rows.append(torch.cat([slope.reshape(batch.size, -1) for slope in tangent.values()], 1))
    return torch.stack(rows)


def gradient_variance(model: VAE[Any], objective: Objective, moment: Moment, data: Data, config: TrialConfig) -> dict[str, float]:
    """The variance over draws, summed over an example's parameters, mean over the examples of one batch of train.

    By its name in ``vae_core.metrics``; empty where the objective's options do not ask for it. Batch and draws are the same at
    every call, and come from generators of its own. It costs about ``objective.gradient_variance`` training steps.
    """
    draws = config.objective.gradient_variance
    if draws is None:
        return {}
    seed, device = derive_seed(config.seed, "gradient_variance"), next(model.parameters()).device
    size, mixed = config.training.batch_size, config.objective.compares_codes
    index = data.plan("train", size, make_generator(seed, "shuffle"), mixed=mixed)[0]
    batch: Any = data.batch("train", index, make_generator(seed, "binarise")).to(device)
    found = gradient_draws(model, objective, batch, moment, draws, seed, device)
    return {"train/gradient_variance": found.double().var(0).sum(-1).mean().item()}
