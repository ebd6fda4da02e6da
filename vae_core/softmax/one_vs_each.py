"""The one-vs-each bound.

Shapes: N tokens, D features, V vocabulary size, S other classes, shared by all tokens of the batch but for their own target.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from vae_core.softmax.config import OneVsEach
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.proposals import Uniform, draw_distinct, expected_tries
from vae_core.softmax.sampled import SamplingHead, gathered_logits


class OneVsEachHead(SamplingHead):
    """One-vs-each bound (Titsias 2016): log p_t >= -sum_{j != t} log(1 + e^(f_j - f_t)); scored by its full softmax.

    Trained on S of the V - 1 other classes, scaled by (V - 1) / S: right on average, and the bound itself at S = V - 1. It is
    tight where the target's probability is near 1, or V = 2. The bias starts at 0.

    Raises:
        ValueError: more samples are wanted than there are other classes.
    """

    def __init__(self, config: OneVsEach, sizes: HeadSizes) -> None:
        super().__init__(sizes)
        if config.samples >= sizes.vocabulary:
            raise ValueError(
                f"model.softmax.samples: {config.samples} is too large for a vocabulary of {sizes.vocabulary} words; "
                f"beside the target there are {sizes.vocabulary - 1}"
            )
        self.samples, self.proposal = config.samples, Uniform(sizes.counts)
        drawn = config.samples + 1
        self._tries = expected_tries(self.proposal.log_q, drawn) * 9 // 8 if drawn < sizes.vocabulary else drawn

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        assert generator is not None, "one-vs-each draws its classes from an explicit generator"
        return one_vs_each_loss(hidden, self.weight, self.bias, targets, self.draw(generator), self.sparse)

    def draw(self, generator: Generator) -> Tensor:
        """S + 1 classes, all different, in an order of chance, int64 (S + 1,)."""
        return draw_distinct(self.proposal, self.samples + 1, generator, self._tries)[0]


def one_vs_each_loss(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, ids: Tensor, sparse: bool = False) -> Tensor:
    """(V - 1) / S times the sum of softplus(f_j - f_t) over S classes j, (N, D), (V, D), (V,), (N,), (S + 1,) -> (N,).

    Of the S + 1 each token leaves one out: its target, or the last one where the target is not among them. What stays is for
    every token an even draw of S from the others.
    """
    target_logits, logits = gathered_logits(hidden, weight, bias, targets, ids, sparse)
    left_out = targets.unsqueeze(1) == ids
    left_out[:, -1] |= ~left_out.any(1)
    contests = softplus(logits.sub_(target_logits.unsqueeze(1)).masked_fill_(left_out, -torch.inf))
    return contests.sum(1) * ((len(weight) - 1) / (len(ids) - 1))
