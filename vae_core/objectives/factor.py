"""FactorVAE: the ELBO and a total correlation that a discriminator estimates.

Shapes: B examples, Z latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from vae_core.latent.interface import Points, divergence
from vae_core.model import VAE
from vae_core.moment import Moment, State
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import FactorVae
from vae_core.objectives.critic import CriticNetwork, Loss
from vae_core.objectives.interface import Objective, Terms
from vae_core.seeding import Streams


def permuted(z: Tensor, generator: Generator) -> Tensor:
    """Each dimension in an order of its own over the batch, as if drawn from prod_d q(z_d): (B, Z) (Kim & Mnih 2018, alg. 1)."""
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(0)
    return z.gather(0, order)


class FactorObjective(Objective):
    """mean_x [-log p(x|z)] + a(t) (KL + gamma TC), TC = mean_x log D(z) / (1 - D(z)) (Kim & Mnih 2018, eq. 2 and 3).

    D(z) is the probability that the codes of a batch are as they were drawn and not permuted. As in the paper the model learns
    by D first, then D takes its steps; but the codes that are permuted are those of the same batch, where the paper has a second.
    ``critic_loss`` is what the last of its steps saw, log 2 where D cannot tell.
    """

    def __init__(self, config: FactorVae, size: int) -> None:
        self.config = config
        self.discriminator = CriticNetwork(config.discriminator, size)

    def initial(self, generator: Generator, device: torch.device | str = "cpu") -> State:
        return self.discriminator.initial(generator, device)

    def annealing_end(self, total: int) -> int:
        return self.config.annealing.end(total)

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        posterior = model.encode(batch, streams.dropout)
        z = posterior.draw(1, streams.noise)
        distortion = model.training_nll(batch, z, moment, streams).mean()
        rate = divergence(posterior, model.prior_of(batch), Points(z)).sum(-1).mean()
        correlation = self.discriminator.score(moment.state, z[0]).mean()
        weight = self.config.annealing(moment.step, moment.total)
        state, fixed = moment.state, z[0].detach()
        for _ in range(self.config.discriminator.steps):
            mixed = permuted(fixed, streams.noise)
            state, loss = self.discriminator.fit(state, _told_apart(fixed, mixed))
        penalty = weight * (rate + self.config.gamma * correlation)
        extra = {"total_correlation": correlation, "critic_loss": loss}
        return Terms(distortion + penalty, distortion, rate, weight, state, extra)


def _told_apart(z: Tensor, mixed: Tensor) -> Loss:
    """The discriminator's loss: -1/2 mean [log D(z) + log(1 - D(mixed))], in nats."""
    return lambda score: 0.5 * (softplus(-score(z)).mean() + softplus(score(mixed)).mean())
