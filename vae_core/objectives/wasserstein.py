"""Wasserstein autoencoders: reconstruction, and one distance between all codes and the prior.

Shapes: B examples, Z latent dimensions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from vae_core.latent.interface import Points, divergence
from vae_core.model import VAE
from vae_core.moment import Moment, State
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import WassersteinConfig
from vae_core.objectives.interface import Objective, Terms
from vae_core.seeding import Streams

DrawPrior = Callable[[], Tensor]
"""Fresh codes of the prior, as many as there are examples: (B, Z)."""


@dataclass(frozen=True)
class Distance:
    """Of the codes of a batch from the prior."""

    value: Tensor
    """With a gradient to the codes, a scalar."""
    state: State
    """For the next step."""
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    """See ``Terms.extra``."""


class WassersteinAutoencoder(Objective):
    """mean_x -log p(x|z) + weight a(t) D(q(z), p(z)), z ~ q(z|x) or its mean (Tolstikhin et al. 2018, eq. 4)."""

    def __init__(self, config: WassersteinConfig) -> None:
        self.config = config

    @abstractmethod
    def distance(self, z: Tensor, prior: DrawPrior, moment: Moment, streams: Streams) -> Distance:
        """D of a batch's codes (B, Z), which like the prior's are in units of the prior's standard deviation."""

    def annealing_end(self, total: int) -> int:
        return self.config.annealing.end(total)

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        posterior, prior = model.encode(batch, streams.dropout), model.prior_of(batch)
        stochastic = self.config.encoder == "stochastic"
        z = posterior.draw(1, streams.noise) if stochastic else posterior.expectation().unsqueeze(0)
        distortion = model.training_nll(batch, z, moment, streams).mean()
        rate = divergence(posterior, prior, Points(z)).sum(-1).mean()
        unit = posterior.unit
        found = self.distance(z[0] / unit, lambda: prior.sample(batch.size, streams.prior).to(z) / unit, moment, streams)
        weight = self.config.weight * self.config.annealing(moment.step, moment.total)
        return Terms(distortion + weight * found.value, distortion, rate, weight, found.state, found.extra)
