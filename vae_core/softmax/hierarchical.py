"""The hierarchical softmax of two levels.

Shapes: N tokens, D features, V vocabulary size, C word classes, L words of one class, n tokens whose target is in it.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from vae_core.precision import affine, product_dtype, widened, write_product
from vae_core.softmax.config import HierarchicalSoftmax
from vae_core.softmax.full import linear_nll, uniform_parameter
from vae_core.softmax.head import HeadSizes, SoftmaxHead


class HierarchicalHead(SoftmaxHead):
    """Hierarchical softmax of two levels (Goodman 2001; Mikolov et al. 2011): exact and normalised.

    log p(w | h) = log p(c | h) + log p(w | c, h), c the class of w: N x (C + V / C) logits, for only the target's own class is
    looked into. Every class has the full width, so that the word vectors may be a tied table; those of the classes are the
    head's own. The biases start at 0, weights uniform in +-1/sqrt(D).

    Raises:
        ValueError: more classes are wanted than there are words.
    """

    normalised = True
    weight: nn.Parameter
    """(V, D)"""

    def __init__(self, config: HierarchicalSoftmax, sizes: HeadSizes) -> None:
        super().__init__()
        assert (sizes.counts[:-1] >= sizes.counts[1:]).all(), "the classes of the softmax need ids sorted by falling frequency"
        self.lengths = class_lengths(config, sizes.counts)
        """Words of each class."""
        shape = (sizes.vocabulary, sizes.features)
        assert sizes.tied is None or sizes.tied.shape == shape, f"the shared table is {tuple(sizes.tied.shape)}, not {shape}"
        self.weight = uniform_parameter(*shape, sizes.generator) if sizes.tied is None else sizes.tied
        self.bias = nn.Parameter(torch.zeros(sizes.vocabulary))
        self.classes = uniform_parameter(len(self.lengths), sizes.features, sizes.generator)
        self.class_bias = nn.Parameter(torch.zeros(len(self.lengths)))
        lengths = torch.tensor(self.lengths)
        self.register_buffer("class_of", torch.repeat_interleave(lengths), persistent=False)

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        return self.nll(hidden, targets)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        classes = self.get_buffer("class_of").index_select(0, targets)
        across = linear_nll(hidden, self.classes, self.class_bias, classes)
        return across + within_class_nll(hidden, self.weight, self.bias, targets, classes, self.lengths)

    def log_probs(self, hidden: Tensor) -> Tensor:
        across = widened(nn.functional.linear(hidden, self.classes, self.class_bias)).log_softmax(-1)
        logits = widened(nn.functional.linear(hidden, self.weight, self.bias))
        within = [part.log_softmax(1) for part in torch.split(logits, self.lengths, dim=1)]
        return across.index_select(1, self.get_buffer("class_of")) + torch.cat(within, dim=1)


def class_lengths(config: HierarchicalSoftmax, counts: np.ndarray) -> list[int]:
    """How many words each class has, in the order of their ids; none is empty.

    By frequency a word goes to class floor(C x the share of training tokens before it), counts of 0 taken as 1, and classes
    that get no word are left out (Mikolov et al. 2011).
    """
    vocabulary = len(counts)
    classes = config.classes or max(1, round(math.sqrt(vocabulary)))
    if classes > vocabulary:
        raise ValueError(
            f"model.softmax.classes: {classes} is too large for a vocabulary of {vocabulary} words; "
            f"it must be {vocabulary} at most"
        )
    if config.grouping == "size":
        place = np.arange(vocabulary) * classes // vocabulary
    else:
        floored = np.maximum(counts, 1).astype(np.int64)
        before = floored.cumsum() - floored
        place = before * classes // floored.sum()
    return [int(length) for length in np.unique(place, return_counts=True)[1]]


def within_class_nll(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, classes: Tensor, lengths: list[int]
) -> Tensor:
    """-log softmax over the words of the target's class, (N, D), (V, D), (V,), (N,), (N,) -> (N,); differentiable once.

    Args:
        classes: the class of each target.
        lengths: words of each class, which are neighbours.
    """
    arguments = (widened(hidden), weight, bias, targets, classes, lengths, product_dtype(hidden), torch.is_grad_enabled())
    nll: Tensor = _WithinClassNll.apply(*arguments)  # type: ignore[no-untyped-call]  # torch's own
    return nll


class _WithinClassNll(torch.autograd.Function):
    """Tokens sorted by class; in each: p = softmax(h W_c^T + b_c), and with incoming g the gradients are those of a softmax.

    A class writes its gradient into its own rows of one V x D table: autograd would make a V x D zero for each class.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        classes: Tensor,
        lengths: list[int],
        dtype: torch.dtype | None,
        keep: bool,
    ) -> Tensor:
        words, tokens = _slices(lengths), _slices(torch.bincount(classes, minlength=len(lengths)).tolist())
        order = classes.argsort(stable=True)
        starts = torch.tensor([rows.start for rows in words], device=classes.device)
        inside = (targets - starts.index_select(0, classes)).index_select(0, order).unsqueeze(1)
        hidden = hidden.index_select(0, order)
        nll, kept = torch.empty_like(hidden[:, 0]), []
        for rows, chunk in zip(words, tokens, strict=True):
            if chunk.start == chunk.stop:
                continue
            logits = affine(bias[rows], hidden[chunk], weight[rows].T, dtype)  # (n, L)
            normaliser = logits.logsumexp(1, keepdim=True)
            nll[chunk] = (normaliser - logits.gather(1, inside[chunk])).squeeze(1)
            if keep:
                kept.append(logits.sub_(normaliser).exp_())
        ctx.save_for_backward(hidden, weight, order, inside, *kept)
        ctx.words, ctx.tokens, ctx.dtype = words, tokens, dtype
        return torch.empty_like(nll).index_copy_(0, order, nll)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, order, inside, *kept = ctx.saved_tensors
        scale = grad.index_select(0, order).unsqueeze(1)
        grad_hidden, grad_weight, grad_bias = torch.empty_like(hidden), torch.empty_like(weight), weight.new_empty(len(weight))
        probabilities = iter(kept)
        for rows, chunk in zip(ctx.words, ctx.tokens, strict=True):
            if chunk.start == chunk.stop:
                grad_weight[rows].zero_()
                grad_bias[rows].zero_()
                continue
            scaled = next(probabilities) * scale[chunk]
            scaled.scatter_add_(1, inside[chunk], -scale[chunk])  # g (p - 1_t), (n, L)
            write_product(grad_hidden[chunk], scaled, weight[rows], ctx.dtype)
            write_product(grad_weight[rows], scaled.T, hidden[chunk], ctx.dtype)
            torch.sum(scaled, 0, out=grad_bias[rows])
        return torch.empty_like(hidden).index_copy_(0, order, grad_hidden), grad_weight, grad_bias, *[None] * 5


def _slices(sizes: list[int]) -> list[slice]:
    """Neighbours of these sizes, from 0 on."""
    return [slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]
