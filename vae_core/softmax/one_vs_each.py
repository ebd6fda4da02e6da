"""The one-vs-each bound.

Shapes: N tokens, D features, V vocabulary size, S other classes, shared by all tokens of the batch but for their own target; F of
them are the most frequent classes, at every step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from vae_core.softmax.config import OneVsEach
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.proposals import Uniform, draw_distinct, expected_tries
from vae_core.softmax.sampled import SamplingHead, gathered_logits


class OneVsEachHead(SamplingHead):
    """One-vs-each bound (Titsias 2016): log p_t >= -sum_{j != t} log(1 + e^(f_j - f_t)); scored by its full softmax.

    Trained on S of the V - 1 other classes: the S / 2 most frequent ones, whose contests weigh most, at every step, and an even
    draw from all others, scaled to their number. That is right on average, and the bound itself at S = V - 1. It is tight where
    the target's probability is near 1, or V = 2. The bias starts at the log of the unigram, where each contest has the odds of
    its two words; from 0 it would take epochs to get there, for the loss is of the order of V a token.

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
        counts = np.maximum(sizes.counts, 1)
        with torch.no_grad():
            self.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        self.samples, self.frequent = config.samples, config.samples // 2
        self.drawn = self.samples - self.frequent + 1
        self.others = Uniform(sizes.counts[self.frequent :])
        some_left_out = self.drawn < sizes.vocabulary - self.frequent
        self._tries = expected_tries(self.others.log_q, self.drawn) * 9 // 8 if some_left_out else self.drawn

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        assert generator is not None, "one-vs-each draws its classes from an explicit generator"
        ids = self.draw(generator)
        return one_vs_each_loss(hidden, self.weight, self.bias, targets, ids, self.frequent, self.sparse)

    def draw(self, generator: Generator) -> Tensor:
        """S + 1 classes, all different, (S + 1,): the F most frequent, then others; one more, as one may be the target."""
        others, _ = draw_distinct(self.others, self.drawn, generator, self._tries)
        return torch.cat([torch.arange(self.frequent, device=others.device), self.frequent + others])


def one_vs_each_loss(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, ids: Tensor, frequent: int, sparse: bool = False
) -> Tensor:
    """Sum of softplus(f_j - f_t) over the classes j, (N, D), (V, D), (V,), (N,), (S + 1,) -> (N,).

    ``ids`` are the classes below ``frequent``, and an even draw of others. Those of them that are not the token's target are for
    every token an even draw from the others that it can meet; the sum of their contests is scaled to the number of these.
    """
    target_logits, logits = gathered_logits(hidden, weight, bias, targets, ids, sparse)
    is_target = targets.unsqueeze(1) == ids
    contests = softplus(logits.sub_(target_logits.unsqueeze(1)).masked_fill_(is_target, -torch.inf))
    is_other = (targets >= frequent).to(contests.dtype)
    there = len(weight) - frequent - is_other
    met = len(ids) - frequent - is_target[:, frequent:].sum(1)
    return contests[:, :frequent].sum(1) + contests[:, frequent:].sum(1) * (there / met)
