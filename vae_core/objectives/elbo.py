"""The ELBO, with whatever becomes of its KL."""

from __future__ import annotations

import torch
from torch import Generator

from vae_core.model import VAE
from vae_core.moment import Moment, State
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import Objective, Terms
from vae_core.objectives.penalties import Weighted
from vae_core.seeding import Streams


class NegativeElbo(Objective):
    """mean_x [ -1/K sum_k log p(x|z_k) ] + penalty(KL(q(z|x) || p(z))), z_k ~ q(z|x).

    Kingma & Welling 2014, eq. 8, where the penalty is the KL's mean. Sums over tokens or pixels and over latent dimensions, then
    one mean over examples, so that a weight means the same on every data set.
    """

    def __init__(self, config: Elbo) -> None:
        self.gradient = config.gradient.build(config.samples)
        self.penalty = Weighted(config) if config.feedback is None else config.feedback.build()

    def initial(self, generator: Generator, device: torch.device | str = "cpu") -> State:
        return self.penalty.initial(device) | self.gradient.initial(device)

    def annealing_end(self, total: int) -> int:
        return self.penalty.end(total)

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        found = self.gradient(model, batch, model.encode(batch, streams.dropout), moment, streams)
        distortion, rate = found.distortion.mean(), found.kl.sum(-1).mean()
        penalised = self.penalty(found.kl, moment)
        return Terms(distortion + penalised.value, distortion, rate, penalised.weight, penalised.state | found.state)
