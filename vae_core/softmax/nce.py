"""Noise contrastive estimation and negative sampling: a target is told from noise, class by class.

Shapes: N tokens, D features, V vocabulary size, k noise classes, shared by all tokens of the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from vae_core.softmax.config import NegativeSampling, NoiseContrastive
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.proposals import make_proposal
from vae_core.softmax.sampled import Negatives, SamplingHead, gathered_logits


class NceHead(SamplingHead):
    """Noise contrastive estimation (Gutmann & Hyvärinen 2010; Mnih & Teh 2012); scored by its full softmax.

    loss = -log s(f_t - log k q_t) - sum_j log s(log k q_j - f_j), s the sigmoid, over k classes drawn from q with replacement.
    Its optimum is f = log p, for any k, with the normaliser fixed at 1; hence accidental hits stay, which are noise like any
    other, and the bias starts at -log V. Training takes -f_t for the negative log likelihood: its gap is -log Z.
    """

    def __init__(self, config: NoiseContrastive, sizes: HeadSizes) -> None:
        super().__init__(sizes)
        self.samples, self.proposal = config.samples, make_proposal(config, sizes.counts)
        torch.nn.init.constant_(self.bias, -math.log(sizes.vocabulary))

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        assert generator is not None, "noise contrastive estimation draws its noise from an explicit generator"
        return binary_loss(hidden, self.weight, self.bias, targets, self.draw(targets, generator), self.sparse)

    def approximate_nll(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        return -(hidden * self.weight.index_select(0, targets)).sum(1) - self.bias.index_select(0, targets)

    def draw(self, targets: Tensor, generator: Generator) -> Negatives:
        """One step's noise, with log k q of each class."""
        ids, log_kq = self.proposal.draw(self.samples, generator), self.proposal.log_q + math.log(self.samples)
        return Negatives(ids, log_kq[ids], log_kq[targets], distinct=False)


class NegativeSamplingHead(SamplingHead):
    """Negative sampling (Mikolov et al. 2013): noise contrastive estimation as if k q were 1 for every class.

    loss = -log s(f_t) - sum_j log s(-f_j) over k classes drawn with replacement. Its optimum is f = log(p / k q), so that its
    full softmax, by which it is scored, is p / q normalised: p only where q is uniform. The loss itself is no likelihood, and
    there is no gap to report. The bias starts at -log k, its place where p = q.
    """

    def __init__(self, config: NegativeSampling, sizes: HeadSizes) -> None:
        super().__init__(sizes)
        self.samples, self.proposal = config.samples, make_proposal(config, sizes.counts)
        torch.nn.init.constant_(self.bias, -math.log(config.samples))

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        assert generator is not None, "negative sampling draws its negatives from an explicit generator"
        ids = self.proposal.draw(self.samples, generator)
        one = torch.zeros_like(self.proposal.log_q)
        noise = Negatives(ids, one[ids], one[targets], distinct=False)
        return binary_loss(hidden, self.weight, self.bias, targets, noise, self.sparse)

    def approximate_nll(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> None:
        return None


def binary_loss(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, noise: Negatives, sparse: bool = False) -> Tensor:
    """-log s(d_t) - sum_j log s(-d_j), d = logit - log E[count], s the sigmoid, (N, D), (V, D), (V,), (N,) -> (N,)."""
    target_logits, logits = gathered_logits(hidden, weight, bias, targets, noise.ids, sparse)
    target_odds = target_logits - noise.target_log_expected.to(logits.dtype)
    odds = logits.sub_(noise.log_expected.to(logits.dtype))
    return softplus(-target_odds) + softplus(odds).sum(1)
