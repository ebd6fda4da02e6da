"""The hierarchical softmax: a tree of few levels, in which a word is found by one small softmax a level.

Shapes: N tokens, D features, V vocabulary size, C word classes, L words of one class, n tokens whose target is in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from vae_core.precision import product_dtype, widened, write_affine, write_product
from vae_core.softmax.config import HierarchicalSoftmax
from vae_core.softmax.full import linear_nll, uniform_parameter
from vae_core.softmax.head import HeadSizes, ReadsFewRows, SoftmaxHead


class HierarchicalHead(ReadsFewRows, SoftmaxHead):
    """Hierarchical softmax (Goodman 2001; Mikolov et al. 2011; Morin & Bengio 2005 for more levels): exact and normalised.

    Of two levels: log p(w | h) = log p(c | h) + log p(w | c, h), c the class of w, so that it is N x (C + V / C) logits; of more,
    a class has classes in it, and each is a further term. Only what is below the target's own nodes is looked into. Words have
    vectors of the full width, so that they may be a tied table; those of the classes are the head's own. The biases start at 0,
    weights uniform in +-1/sqrt(D).

    Raises:
        ValueError: more classes are wanted than there are words.
    """

    normalised = True
    weight: nn.Parameter
    """(V, D)"""

    def __init__(self, config: HierarchicalSoftmax, sizes: HeadSizes) -> None:
        super().__init__()
        assert (sizes.counts[:-1] >= sizes.counts[1:]).all(), "the classes of the softmax need ids sorted by falling frequency"
        self.tree = class_tree(config, sizes.counts)
        """Of each level but the last: how many children each node has; the last of these lists has the words of each class."""
        shape = (sizes.vocabulary, sizes.features)
        assert sizes.tied is None or sizes.tied.shape == shape, f"the shared table is {tuple(sizes.tied.shape)}, not {shape}"
        self.weight = uniform_parameter(*shape, sizes.generator) if sizes.tied is None else sizes.tied
        self.bias = nn.Parameter(torch.zeros(sizes.vocabulary))
        first, *further = [len(lengths) for lengths in self.tree]
        self.classes = uniform_parameter(first, sizes.features, sizes.generator)
        self.class_bias = nn.Parameter(torch.zeros(first))
        self.subclasses = nn.ParameterList(uniform_parameter(nodes, sizes.features, sizes.generator) for nodes in further)
        self.subclass_biases = nn.ParameterList(nn.Parameter(torch.zeros(nodes)) for nodes in further)
        self.register_buffer("path", _paths(self.tree), persistent=False)

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        return self.nll(hidden, targets)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        first, *further = path = self.get_buffer("path").index_select(1, targets).unbind()
        nll = linear_nll(hidden, self.classes, self.class_bias, first)
        for weight, bias, lengths, node, child in zip(*self._below(), path, [*further, targets], strict=True):
            nll = nll + within_class_nll(hidden, weight, bias, child, node, lengths, self.sparse and weight is self.weight)
        return nll

    def log_probs(self, hidden: Tensor) -> Tensor:
        log_probs = widened(nn.functional.linear(hidden, self.classes, self.class_bias)).log_softmax(-1)
        for weight, bias, lengths in zip(*self._below(), strict=True):
            logits = widened(nn.functional.linear(hidden, weight, bias))
            within = torch.cat([part.log_softmax(1) for part in torch.split(logits, lengths, dim=1)], dim=1)
            log_probs = log_probs.repeat_interleave(torch.tensor(lengths, device=hidden.device), 1) + within
        return log_probs

    def _below(self) -> tuple[list[Tensor], list[Tensor], list[list[int]]]:
        """Vectors and biases of each level below the first, and how many of them each node above has."""
        return [*self.subclasses, self.weight], [*self.subclass_biases, self.bias], self.tree


def class_tree(config: HierarchicalSoftmax, counts: np.ndarray) -> list[list[int]]:
    """Of each level but the last, how many children each node has, in the order of their words' ids."""
    return _tree(config, counts, config.levels, config.classes)


def _tree(config: HierarchicalSoftmax, counts: np.ndarray, levels: int, classes: int | None) -> list[list[int]]:
    lengths = _class_lengths(counts, classes or max(1, round(len(counts) ** (1 / levels))), config.grouping)
    if levels == 2:
        return [lengths]
    parts = [_tree(config, part, levels - 1, None) for part in np.split(counts, list(accumulate(lengths[:-1])))]
    return [[len(part[0]) for part in parts], *(list(chain.from_iterable(below)) for below in zip(*parts, strict=True))]


def _class_lengths(counts: np.ndarray, classes: int, grouping: str) -> list[int]:
    """How many words each class has, in the order of their ids; none is empty.

    By frequency a word goes to class floor(C x the share of training tokens before it), counts of 0 taken as 1, and classes
    that get no word are left out (Mikolov et al. 2011).
    """
    vocabulary = len(counts)
    if classes > vocabulary:
        raise ValueError(
            f"model.softmax.classes: {classes} is too large for a vocabulary of {vocabulary} words; "
            f"it must be {vocabulary} at most"
        )
    if grouping == "size":
        place = np.arange(vocabulary) * classes // vocabulary
    else:
        floored = np.maximum(counts, 1).astype(np.int64)
        before = floored.cumsum() - floored
        place = before * classes // floored.sum()
    return [int(length) for length in np.unique(place, return_counts=True)[1]]


def _paths(tree: list[list[int]]) -> Tensor:
    """The node of each word on each level but the last, int64 (levels - 1, V)."""
    paths: list[Tensor] = []
    for lengths in reversed(tree):
        node = torch.repeat_interleave(torch.tensor(lengths))
        paths.append(node if not paths else node.index_select(0, paths[-1]))
    return torch.stack(paths[::-1])


def within_class_nll(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    classes: Tensor,
    lengths: list[int],
    sparse: bool = False,
) -> Tensor:
    """-log softmax over the words of the target's class, (N, D), (V, D), (V,), (N,), (N,) -> (N,); differentiable once.

    Args:
        classes: the class of each target.
        lengths: words of each class, which are neighbours.
        sparse: whether the gradients of weight and bias are sparse tensors, of the classes that have a target.
    """
    keep = torch.is_grad_enabled()
    nll: Tensor = _WithinClassNll.apply(  # type: ignore[no-untyped-call]  # torch's own
        widened(hidden), weight, bias, targets, classes, lengths, product_dtype(hidden), keep, sparse
    )
    return nll


class _WithinClassNll(torch.autograd.Function):
    """Tokens sorted by class; in each: p = softmax(h W_c^T + b_c), and with incoming g the gradients are those of a softmax.

    Few tokens share a class, so that it is not the products that take the time but reading the table, and the calls. Hence the
    logits of neighbouring classes of about the same length are one tensor; and the gradient by the hidden states is computed in
    the forward pass, while the rows are in a cache, and only scaled in the backward. A class writes its gradient into its own
    rows of one table: autograd would make a V x D zero for each class.
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
        sparse: bool,
    ) -> Tensor:
        order = classes.argsort(stable=True)
        classes = classes.index_select(0, order)
        visited, counts = torch.unique_consecutive(classes, return_counts=True)
        starts = torch.from_numpy(_starts(lengths)).to(classes.device)
        inside = (targets.index_select(0, order) - starts.index_select(0, classes)).unsqueeze(1)
        hidden = hidden.index_select(0, order)
        nll, residuals = torch.empty_like(hidden[:, 0]), []
        grad_hidden = torch.empty_like(hidden) if keep else hidden.new_empty(0)
        groups = list(_groups(visited.tolist(), counts.tolist(), lengths))
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
        ctx.groups, ctx.lengths, ctx.dtype, ctx.sparse = groups, lengths, dtype, sparse
        return torch.empty_like(nll).index_copy_(0, order, nll)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, order, grad_hidden, *residuals = ctx.saved_tensors
        scale = grad.index_select(0, order).unsqueeze(1)
        visited = [place for group in ctx.groups for place in group.places]
        read = [ctx.lengths[place] for place in visited]
        if ctx.sparse:
            grad_weight = weight.new_empty(sum(read), weight.shape[1])
            into = list(torch.split(grad_weight, read))
        else:
            grad_weight = _zeros_beside(weight, visited, ctx.lengths)
            vectors = torch.split(grad_weight, ctx.lengths)
            into = [vectors[place] for place in visited]
        by_word: list[Tensor] = []
        parts: list[Tensor] = []
        states: list[Tensor] = []
        for group, residual in zip(ctx.groups, residuals, strict=True):
            scaled = residual * scale[group.tokens]
            by_word.append(group.sums(scaled))
            parts += group.parts(scaled)
            states += torch.split(hidden[group.tokens], group.counts)
        for rows, part, state in zip(into, parts, states, strict=True):
            write_product(rows, part.T, state, ctx.dtype)
        starts = _starts(ctx.lengths)[visited]
        words = torch.from_numpy(np.repeat(starts - _starts(read), read) + np.arange(sum(read))).to(weight.device)
        grad_bias = torch.cat(by_word) if by_word else bias.new_empty(0)
        if ctx.sparse:
            grad_weight, grad_bias = _rows(words, grad_weight, weight), _rows(words, grad_bias, bias)
        else:
            grad_bias = torch.zeros_like(bias).index_copy_(0, words, grad_bias)
        return torch.empty_like(hidden).index_copy_(0, order, grad_hidden * scale), grad_weight, grad_bias, *[None] * 6


def _starts(lengths: list[int]) -> np.ndarray:
    """Where each class begins."""
    own = np.array(lengths, np.int64)  # of none too
    starts: np.ndarray = own.cumsum() - own
    return starts


def _rows(words: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """A sparse tensor of these rows, which ascend."""
    return torch.sparse_coo_tensor(words.unsqueeze(0), values, like.shape, is_coalesced=True, check_invariants=False)


def _zeros_beside(table: Tensor, visited: list[int], lengths: list[int]) -> Tensor:
    """A new table, 0 in all classes but those that are visited, which may hold anything."""
    if 2 * sum(lengths[place] for place in visited) < len(table):  # many small pieces take longer than the whole
        return torch.zeros_like(table)
    made = torch.empty_like(table)
    classes = torch.split(made, lengths)
    for place in set(range(len(lengths))).difference(visited):
        classes[place].zero_()
    return made


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
        rows, longest = torch.split(x, self.counts), self.longest
        return [part if length == longest else part[:, :length] for part, length in zip(rows, self.lengths, strict=True)]

    def sums(self, x: Tensor) -> Tensor:
        """The sum of each class's parts over its tokens, one class after the other, (sum of L,)."""
        counts, lengths = torch.tensor([self.counts, self.lengths], device=x.device)
        of_class = torch.repeat_interleave(counts)
        summed = x.new_zeros(len(self.places), self.longest).index_add_(0, of_class, x)
        return summed[torch.arange(self.longest, device=x.device) < lengths.unsqueeze(1)]


def _groups(visited: list[int], counts: list[int], lengths: list[int]) -> Iterator[_Group]:
    """A class more than twice as long as another begins a group of its own.

    Args:
        visited: the classes that have tokens, and by ``counts`` how many.
        lengths: words of each class.
    """
    group, shortest, longest = _Group(0, [], [], []), math.inf, 0
    for place, count in zip(visited, counts, strict=True):
        length = lengths[place]
        shortest, longest = min(shortest, length), max(longest, length)
        if longest > 2 * shortest:
            yield group
            group, shortest, longest = _Group(group.tokens.stop, [], [], []), length, length
        group.places.append(place)
        group.counts.append(count)
        group.lengths.append(length)
    if group.places:
        yield group
