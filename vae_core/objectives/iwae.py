"""The importance-weighted bound, and two gradients of it.

Shapes: B examples, K samples an example, Z latent dimensions.
"""

from __future__ import annotations

import math

from torch import Tensor

from vae_core.latent.interface import Points, divergence
from vae_core.model import VAE
from vae_core.moment import Moment
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import ImportanceWeighted
from vae_core.objectives.interface import Objective, Terms
from vae_core.seeding import Streams


class NegativeImportanceWeighted(Objective):
    """mean_x -log 1/K sum_k w_k, w_k = p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x) (Burda et al. 2016, eq. 8).

    With w~_k = w_k / sum_j w_j, plain gradients weigh d log w_k by w~_k, in the encoder as in the decoder. DReG (Tucker et al.
    2019) weighs the decoder's by w~_k, and the encoder's by w~_k^2 with the parameters of log q held fixed, so that the
    encoder learns through z alone.
    """

    def __init__(self, config: ImportanceWeighted) -> None:
        self.config = config

    def annealing_end(self, total: int) -> int:
        return 0

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        posterior = model.encode(batch, streams.dropout)
        z = posterior.draw(self.config.samples, streams.noise)
        nll = model.training_nll(batch, z, moment, streams)
        prior = model.prior_of(batch)
        dreg = self.config.gradient == "dreg"
        proposal = posterior.detach() if dreg else posterior
        log_weight = prior.log_prob(z) - nll - proposal.log_prob(z)  # (K, B)
        if dreg and z.requires_grad:
            _scale_gradient(z, log_weight.detach().softmax(0).unsqueeze(-1))
        loss = (math.log(self.config.samples) - log_weight.logsumexp(0)).mean()  # logsumexp weighs each gradient by w~_k
        rate = divergence(posterior, prior, Points(z)).sum(-1).mean()
        return Terms(loss, nll.mean(), rate, 1.0, moment.state)


def _scale_gradient(z: Tensor, factor: Tensor) -> None:
    """What flows back through z (K, B, Z) is multiplied by ``factor`` (K, B, 1) on its way."""
    z.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
