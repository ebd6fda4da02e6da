"""The ELBO, with whatever becomes of its KL."""

from __future__ import annotations

import torch
from torch import Generator

from vae_core.latent.interface import divergence
from vae_core.model import VAE
from vae_core.moment import Moment, State
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import Objective, Terms
from vae_core.objectives.penalties import build_penalty
from vae_core.seeding import Streams


class NegativeElbo(Objective):
    """mean_x [ -1/K sum_k log p(x|z_k) ] + penalty(KL(q(z|x) || p(z))), z_k ~ q(z|x).

    Kingma & Welling 2014, eq. 8, where the penalty is the KL's mean. Sums over tokens or pixels and over latent dimensions, then
    one mean over examples, so that a weight means the same on every data set.
    """

    def __init__(self, config: Elbo) -> None:
        self.config = config
        self.penalty = build_penalty(config)

    def initial(self, generator: Generator, device: torch.device | str = "cpu") -> State:
        return self.penalty.initial(device)

    def annealing_end(self, total: int) -> int:
        return self.penalty.end(total)

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        posterior = model.encode(batch, streams.dropout)
        points = posterior.points(self.config.samples, streams.noise, moment)
        distortion = points.expect(model.training_nll(batch, points.z, moment, streams)).mean()
        kl = divergence(posterior, model.prior_of(batch), points)
        penalised = self.penalty(kl, moment)
        return Terms(distortion + penalised.value, distortion, kl.sum(-1).mean(), penalised.weight, penalised.state)
