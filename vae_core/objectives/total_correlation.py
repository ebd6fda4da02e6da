"""beta-TCVAE: the rate taken apart into mutual information, total correlation and dimension-wise KL.

Shapes: B examples of a batch, N of the training split, Z latent dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_core.latent.gaussian import DiagonalGaussian
from vae_core.latent.interface import Points, divergence
from vae_core.model import VAE
from vae_core.moment import Moment
from vae_core.networks.interface import BatchT
from vae_core.objectives.config import BetaTcVae
from vae_core.objectives.interface import Objective, Terms
from vae_core.seeding import Streams

_LOG_2PI = math.log(2.0 * math.pi)


def pairwise_log_density(posterior: DiagonalGaussian, z: Tensor) -> Tensor:
    """log q(z_i,d | x_j) in nats of every pair and dimension: (B, Z) -> (B, B, Z)."""
    squared = (z.unsqueeze(1) - posterior.mean).square() * (-posterior.log_variance).exp()
    return -0.5 * (squared + posterior.log_variance + _LOG_2PI)


def weighted_log_weights(batch: int, examples: int, like: Tensor) -> Tensor:
    """log 1/(N B) for every pair, (B, B): minibatch weighted sampling (Chen et al. 2018, eq. 5).

    Its mean is a lower bound of log q(z), log N too low where all posteriors are the same.
    """
    return like.new_full((batch, batch), -math.log(examples * batch))


def stratified_log_weights(batch: int, examples: int, like: Tensor) -> Tensor:
    """Minibatch stratified sampling (Chen et al. 2018, app. C.2), (B, B): q(z_i) without bias, for a batch drawn at random.

    With M = B - 1: 1/N for the posterior that z_i is of, (N - M)/(N M) for one other, 1/M for all the rest; they sum to 1. A
    batch of one has the 1/N alone.
    """
    weights = like.new_full((batch, batch), 1.0 / max(batch - 1, 1))
    if batch > 1:
        row = torch.arange(batch, device=like.device)
        weights[row, (row + 1) % batch] = (examples - batch + 1) / (examples * (batch - 1))
    return weights.fill_diagonal_(1.0 / examples).log()


_LOG_WEIGHTS = {"weighted": weighted_log_weights, "stratified": stratified_log_weights}
"""By the names of the config."""


class BetaTotalCorrelation(Objective):
    """mean_x -log p(x|z) + a(t) (alpha I(x; z) + beta TC + gamma sum_d KL(q(z_d) || p(z_d))) (Chen et al. 2018, eq. 4).

    I = E log q(z|x) - log q(z), TC = E log q(z) - sum_d log q(z_d), and the last E sum_d log q(z_d) - log p(z_d), each at the one
    sample of each example, with q(z) and q(z_d) estimated from the batch.

    Args:
        config: its options.
        examples: N.
    """

    def __init__(self, config: BetaTcVae, examples: int) -> None:
        self.config, self.examples = config, examples

    def annealing_end(self, total: int) -> int:
        return self.config.annealing.end(total)

    def terms(self, model: VAE[BatchT], batch: BatchT, moment: Moment, streams: Streams) -> Terms:
        posterior, prior = model.encode(batch, streams.dropout), model.prior_of(batch)
        assert isinstance(posterior, DiagonalGaussian)  # TrialConfig refuses the rest
        z = posterior.draw(1, streams.noise)
        distortion = model.training_nll(batch, z, moment, streams).mean()
        information, correlation, dimensions = self._parts(posterior, z[0], prior.log_prob(z)[0])
        config, share = self.config, self.config.annealing(moment.step, moment.total)
        penalty = config.alpha * information + config.beta * correlation + config.gamma * dimensions
        rate = divergence(posterior, prior, Points(z)).sum(-1).mean()
        extra = {"mutual_information": information, "total_correlation": correlation, "dimension_kl": dimensions}
        return Terms(distortion + share * penalty, distortion, rate, share * config.beta, moment.state, extra)

    def _parts(self, posterior: DiagonalGaussian, z: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The means over the batch of the three, from z (B, Z) and log p(z) (B,)."""
        pairs = pairwise_log_density(posterior, z)
        log_weights = _LOG_WEIGHTS[self.config.estimator](len(z), self.examples, z)
        log_joint = (pairs.sum(-1) + log_weights).logsumexp(1)
        log_product = (pairs + log_weights.unsqueeze(-1)).logsumexp(1).sum(-1)
        own = posterior.log_prob(z)
        return (own - log_joint).mean(), (log_joint - log_product).mean(), (log_product - log_prior).mean()
