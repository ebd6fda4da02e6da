"""The Wasserstein autoencoder by an adversary.

Shapes: B examples, Z latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from vae_core.moment import Moment, State
from vae_core.objectives.config import WaeAdversary
from vae_core.objectives.critic import CriticNetwork, Loss, Score
from vae_core.objectives.options import WassersteinCritic
from vae_core.objectives.wasserstein import Distance, DrawPrior, WassersteinAutoencoder
from vae_core.seeding import Streams


class AdversarialAutoencoder(WassersteinAutoencoder):
    """D by a critic that learns what sets codes apart from the prior's (Tolstikhin et al. 2018, alg. 1).

    At each batch the critic takes its steps first, on the batch's codes, held fixed, and fresh codes of the prior at each; then
    the encoder learns by the critic as it then is. ``critic_loss`` is what the last of the steps saw.

    jensen_shannon (Goodfellow et al. 2014): with T the critic, log s(T(p)) + log(1 - s(T(z))) is raised, s the logistic function;
    D = -log s(T(z)). wasserstein (Gulrajani et al. 2017): T(p) - T(z), less the gradient penalty, is raised, and is D.
    """

    config: WaeAdversary

    def __init__(self, config: WaeAdversary, size: int) -> None:
        super().__init__(config)
        self.critic = CriticNetwork(config.critic, size)

    def initial(self, generator: Generator, device: torch.device | str = "cpu") -> State:
        return self.critic.initial(generator, device)

    def distance(self, z: Tensor, prior: DrawPrior, moment: Moment, streams: Streams) -> Distance:
        state, fixed = moment.state, z.detach()
        for _ in range(self.config.critic.steps):
            real = prior().detach()
            state, loss = self.critic.fit(state, self._loss(fixed, real, streams))
        scores = self.critic.score(state, z)
        if isinstance(self.config.critic, WassersteinCritic):
            value = self.critic.score(state, real).mean() - scores.mean()
        else:
            value = softplus(-scores).mean()
        return Distance(value, state, {"critic_loss": loss})

    def _loss(self, z: Tensor, real: Tensor, streams: Streams) -> Loss:
        """What the critic lowers."""
        config = self.config.critic
        if isinstance(config, WassersteinCritic):
            return lambda score: (
                score(z).mean() - score(real).mean() + config.gradient_penalty * _gradient_penalty(score, z, real, streams.noise)
            )
        return lambda score: softplus(-score(real)).mean() + softplus(score(z)).mean()


def _gradient_penalty(score: Score, z: Tensor, real: Tensor, generator: Generator) -> Tensor:
    """E (|d T(y)/dy| - 1)^2 at y = u z + (1 - u) p, u ~ U(0, 1) (Gulrajani et al. 2017, alg. 1)."""
    share = torch.rand(len(z), 1, generator=generator, device=z.device, dtype=z.dtype)
    between = torch.lerp(real, z, share).requires_grad_()
    (slope,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    penalty: Tensor = (slope.norm(dim=1) - 1.0).square().mean()
    return penalty
