"""The ELBO, with whatever becomes of its KL."""

from __future__ import annotations

import torch

from vae_core.model import VAE
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import Moment, Objective, State, Terms
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

    def initial(self, device: torch.device | str = "cpu") -> State:
        return self.penalty.initial(device)

    def annealing_end(self, total: int) -> int:
        return self.penalty.end(total)

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        posterior = model.encode(batch, streams.dropout)
        z = posterior.draw(self.config.samples, streams.noise)
        distortion = model.decoder.training_nll(batch, z, streams).mean()
        kl = posterior.kl_per_dimension()
        penalised = self.penalty(kl, moment)
        return Terms(distortion + penalised.value, distortion, kl.sum(-1).mean(), penalised.weight, penalised.state)
