"""The hierarchical softmax of two levels.

Shapes: N tokens, D features, V vocabulary size, C word classes, L words of one class, n tokens whose target is in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from vae_core.precision import product_dtype, widened, write_affine, write_product
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

    Few tokens share a class, so that it is not the products that take the time but reading the table, and the calls. Hence the
    logits of neighbouring classes of about the same length are one tensor; and the gradient by the hidden states is computed in
    the forward pass, while the rows are in a cache, and only scaled in the backward. A class writes its gradient into its own
    rows of one V x D table: autograd would make a V x D zero for each class.
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
        order = classes.argsort(stable=True)
        classes = classes.index_select(0, order)
        counts = torch.bincount(classes, minlength=len(lengths)).tolist()
        starts = torch.tensor([0, *accumulate(lengths[:-1])], device=classes.device)
        inside = (targets.index_select(0, order) - starts.index_select(0, classes)).unsqueeze(1)
        hidden = hidden.index_select(0, order)
        nll, residuals = torch.empty_like(hidden[:, 0]), []
        grad_hidden = torch.empty_like(hidden) if keep else hidden.new_empty(0)
        groups = list(_groups(lengths, counts))
        vectors, biases = torch.split(weight, lengths), torch.split(bias, lengths)
        for group in groups:
            logits = hidden.new_full((group.size, group.longest), -math.inf)  # what a shorter class has not
            parts, states = group.parts(logits), torch.split(hidden[group.tokens], group.counts)
            for place, part, state in zip(group.places, parts, states, strict=True):
                write_affine(part, biases[place], state, vectors[place].T, dtype)
            normaliser, words = logits.logsumexp(1, keepdim=True), inside[group.tokens]
            nll[group.tokens] = (normaliser - logits.gather(1, words)).squeeze(1)
            if keep:
                logits.sub_(normaliser).exp_().scatter_add_(1, words, torch.full_like(normaliser, -1.0))  # p - 1_t
                gradients = torch.split(grad_hidden[group.tokens], group.counts)
                for place, part, gradient in zip(group.places, parts, gradients, strict=True):
                    write_product(gradient, part, vectors[place], dtype)
                residuals.append(logits)
        ctx.save_for_backward(hidden, weight, bias, order, grad_hidden, *residuals)
        ctx.groups, ctx.lengths, ctx.dtype = groups, lengths, dtype
        return torch.empty_like(nll).index_copy_(0, order, nll)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, order, grad_hidden, *residuals = ctx.saved_tensors
        scale = grad.index_select(0, order).unsqueeze(1)
        grad_weight, grad_bias = torch.empty_like(weight), torch.zeros_like(bias)
        vectors, biases = torch.split(grad_weight, ctx.lengths), torch.split(grad_bias, ctx.lengths)
        for place in set(range(len(ctx.lengths))).difference(*(group.places for group in ctx.groups)):
            vectors[place].zero_()
        for group, residual in zip(ctx.groups, residuals, strict=True):
            parts, states = group.parts(residual * scale[group.tokens]), torch.split(hidden[group.tokens], group.counts)
            for place, part, state in zip(group.places, parts, states, strict=True):
                write_product(vectors[place], part.T, state, ctx.dtype)
                torch.sum(part, 0, out=biases[place])
        return torch.empty_like(hidden).index_copy_(0, order, grad_hidden * scale), grad_weight, grad_bias, *[None] * 5


class _Group(NamedTuple):
    """Neighbours among the classes that have tokens, of about the same length."""

    first: int
    """Of its tokens among all, sorted by class."""
    places: list[int]
    """Among all classes."""
    counts: list[int]
    """Tokens of each."""
    lengths: list[int]
    """Words of each."""

    @property
    def size(self) -> int:
        return sum(self.counts)

    @property
    def tokens(self) -> slice:
        """Its own, of all tokens sorted by class."""
        return slice(self.first, self.first + self.size)

    @property
    def longest(self) -> int:
        return max(self.lengths)

    def parts(self, x: Tensor) -> list[Tensor]:
        """Of (tokens, longest) what is each class's, (n, L)."""
        rows = torch.split(x, self.counts)
        return [part[:, :length] for part, length in zip(rows, self.lengths, strict=True)]


def _groups(lengths: list[int], counts: list[int]) -> Iterator[_Group]:
    """A class more than twice as long as another begins a group of its own."""
    group, shortest, longest = _Group(0, [], [], []), math.inf, 0
    for place, (count, length) in enumerate(zip(counts, lengths, strict=True)):
        if not count:
            continue
        shortest, longest = min(shortest, length), max(longest, length)
        if longest > 2 * shortest:
            yield group
            group, shortest, longest = _Group(group.tokens.stop, [], [], []), length, length
        group.places.append(place)
        group.counts.append(count)
        group.lengths.append(length)
    if group.places:
        yield group
