"""The sampled softmax.

Shapes: N tokens, D features, V vocabulary size, S negative classes, shared by all tokens of the batch.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from vae_core.precision import affine, product_dtype, widened
from vae_core.softmax.config import SampledSoftmax
from vae_core.softmax.full import FullHead
from vae_core.softmax.head import HeadSizes, ReadsFewRows
from vae_core.softmax.proposals import draw_distinct, expected_tries, log_expected_count, make_proposal


class Negatives(NamedTuple):
    """The classes drawn for one step."""

    ids: Tensor
    """int64 (S,)"""
    log_expected: Tensor
    """log E[count] of each, (S,)"""
    target_log_expected: Tensor
    """log E[count] of each token's target, (N,)"""
    distinct: bool
    """Drawn without replacement."""


class SamplingHead(ReadsFewRows, FullHead):
    """What the heads share that draw the classes which a step looks at beside its targets."""

    normalised = False


class SampledHead(SamplingHead):
    """Sampled softmax by importance sampling (Bengio & Senécal 2008; Jean et al. 2015); scored by its full softmax.

    loss = log Z' - f_t, with Z' an estimate of the normaliser Z from the logits f_j of S negatives, c_j = E[count_j] = S q with
    replacement, 1 - (1 - q)^T after T tries without:

    - include: Z' = c_t (e^f_t / c_t + sum_j e^f_j / c_j), cross entropy among candidates (Jean et al. 2015; Jozefowicz et al.
      2016). Logits log p are the optimum for any S (without replacement: up to O(1/S)). It holds without replacement only if
      accidental hits, negatives that are the target, are masked, and with it only if they stay: a target counts 1 / (S q)
      there, and it is the hits that make up the rest of its part.
    - exclude: Z' = e^f_t + sum_{j != t} e^f_j / c_j (Blanc & Rendle 2018). E Z' = Z with replacement, so that the loss is too
      small on average, and its gradient off by O(1/S).
    - proposal: Z' = sum_j e^f_j / c_j (Bengio & Senécal 2008). E Z' = Z too; where the target was not drawn the loss falls
      without bound as its logit grows.

    As S grows the gradient of each comes to that of the full softmax.

    The vectors of targets and negatives are gathered by one lookup, so that the logits cost N x S and not N x V. Unless the head
    is ``sparse``, the gradient of the weight is dense all the same: a step still fills V x D zeros, and the optimiser goes
    through them.

    Raises:
        ValueError: more samples are wanted without replacement than there are classes.
    """

    def __init__(self, config: SampledSoftmax, sizes: HeadSizes) -> None:
        super().__init__(sizes)
        if not config.replacement and config.samples > sizes.vocabulary:
            raise ValueError(
                f"model.softmax.samples: {config.samples} is too large for a vocabulary of {sizes.vocabulary} words; "
                f"without replacement it must be {sizes.vocabulary} at most"
            )
        self.samples, self.replacement, self.targets = config.samples, config.replacement, config.targets
        self.proposal = make_proposal(config, sizes.counts)
        some_left_out = not config.replacement and config.samples < sizes.vocabulary
        # An eighth above what is expected: one round of draws is then nearly always enough.
        self._tries = expected_tries(self.proposal.log_q, config.samples) * 9 // 8 if some_left_out else config.samples

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        assert generator is not None, "the sampled softmax draws its negatives from an explicit generator"
        negatives = self.draw(targets, generator)
        return sampled_nll(hidden, self.weight, self.bias, targets, negatives, self.targets, self.sparse)

    def draw(self, targets: Tensor, generator: Generator) -> Negatives:
        """One step's negatives."""
        log_q = self.proposal.log_q
        if self.replacement:
            ids, constant = self.proposal.draw(self.samples, generator), math.log(self.samples)
            return Negatives(ids, log_q[ids] + constant, log_q[targets] + constant, distinct=False)
        ids, tries = draw_distinct(self.proposal, self.samples, generator, self._tries)
        if tries == 0:  # every class is there: each counts once, for certain
            return Negatives(ids, torch.zeros_like(log_q), torch.zeros_like(log_q[targets]), distinct=True)
        return Negatives(ids, log_expected_count(log_q[ids], tries), log_expected_count(log_q[targets], tries), distinct=True)


def sampled_nll(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    negatives: Negatives,
    treatment: Literal["include", "exclude", "proposal"] = "include",
    sparse: bool = False,
) -> Tensor:
    """log Z' - f_t of each token, the log c_t in the Z' of ``include`` too, (N, D), (V, D), (V,), (N,) -> (N,)."""
    target_logits, logits = gathered_logits(hidden, weight, bias, targets, negatives.ids, sparse)
    logits = logits.sub_(negatives.log_expected.to(logits.dtype))
    if treatment == "include":
        target_logits = target_logits - negatives.target_log_expected.to(logits.dtype)
    if treatment == "exclude" or (treatment == "include" and negatives.distinct):
        logits = logits.masked_fill_(targets.unsqueeze(1) == negatives.ids, -torch.inf)
    if treatment == "proposal":
        return logits.logsumexp(1) - target_logits
    # logsumexp by hand, with the target's logit apart: in place on the N x S, and with a gradient where all S are hits.
    highest = torch.maximum(logits.detach().amax(1), target_logits.detach())
    others = logits.sub_(highest.unsqueeze(1)).exp_().sum(1)
    return torch.log(others + torch.exp(target_logits - highest)) + highest - target_logits


def gathered_logits(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, ids: Tensor, sparse: bool = False
) -> tuple[Tensor, Tensor]:
    """Each token's logit of its target (N,) and of each of the classes ``ids`` (N, S); one lookup for both.

    ``sparse``: the gradients of weight and bias are sparse tensors of the rows that are read.
    """
    sizes = [len(targets), len(ids)]
    both = torch.cat([targets, ids])
    if sparse:
        vectors, scalars = nn.functional.embedding(both, weight, sparse=True), bias.gather(0, both, sparse_grad=True)
    else:
        vectors, scalars = weight.index_select(0, both), bias.index_select(0, both)
    target_rows, rows = torch.split(vectors, sizes)
    target_bias, biases = torch.split(scalars, sizes)
    target_logits = (widened(hidden) * target_rows).sum(1) + target_bias
    return target_logits, affine(biases, hidden, rows.T, product_dtype(hidden))
