"""The adaptive softmax against its definition, word by word."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_core.softmax.adaptive import AdaptiveHead
from vae_core.softmax.config import AdaptiveSoftmax
from vae_core.softmax.head import HeadSizes

MakeSizes = Callable[..., HeadSizes]
D, V, CUTOFFS = 8, 20, (5, 12)


def build(sizes: HeadSizes, **options: Any) -> AdaptiveHead:
    head = AdaptiveSoftmax(cutoffs=CUTOFFS, **options).build(sizes)
    assert isinstance(head, AdaptiveHead)
    return head.double()


def randomise(head: AdaptiveHead) -> AdaptiveHead:
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(generator=generator)
    return head


def states(tokens: int) -> Tensor:
    return torch.randn(tokens, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("division", [1.0, 2.0, 3.0])
def test_every_word_by_the_definition(division: float, make_sizes: MakeSizes) -> None:
    head = randomise(build(make_sizes(D, V), division=division))
    frequent, *tails = head.weights
    projections = list(head.projections) or [torch.eye(D, dtype=torch.float64)] * 2
    assert [tuple(tail.shape) for tail in tails] == [(7, int(D / division)), (8, max(1, int(D / division**2)))]
    (h,) = states(1)
    logits = torch.cat([frequent @ h + head.bias[:5], head.clusters @ h + head.cluster_bias])
    head_p = logits.exp() / logits.exp().sum()
    for word in range(V):
        if word < 5:
            p = head_p[word]
        else:
            k, start, end = (0, 5, 12) if word < 12 else (1, 12, 20)
            inside = tails[k] @ (projections[k] @ h) + head.bias[start:end]
            p = head_p[5 + k] * inside[word - start].exp() / inside.exp().sum()
        torch.testing.assert_close(head.nll(h.unsqueeze(0), torch.tensor([word]))[0], -p.log(), rtol=1e-12, atol=1e-12)


def test_zero_weights_give_uniform_parts(make_sizes: MakeSizes) -> None:
    nll = build(make_sizes(D, V)).nll(torch.zeros(3, D, dtype=torch.float64), torch.tensor([4, 5, 19]))
    expected = torch.tensor([math.log(7), math.log(7 * 7), math.log(7 * 8)], dtype=torch.float64)
    torch.testing.assert_close(nll, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("tied", [False, True])
def test_permuting_ids_with_the_tree_changes_nothing(tied: bool, make_sizes: MakeSizes) -> None:
    """Words exchanged inside their cluster, with their vectors and biases; equal counts leave every such order sorted."""
    sizes = replace(make_sizes(D, V, tied=tied), counts=np.full(V, 3))
    head = randomise(build(sizes))
    hidden = states(V)
    before = head.log_probs(hidden), head.nll(hidden, torch.arange(V))
    generator = torch.Generator().manual_seed(7)
    within = [torch.randperm(length, generator=generator) for length in head.lengths]
    order = torch.cat([part + start for part, start in zip(within, (0, *CUTOFFS), strict=True)])  # new id -> old id
    with torch.no_grad():
        head.bias.copy_(head.bias[order])
        if head.tied is not None:
            head.tied.copy_(head.tied[order])
        for weight, part in zip(head.weights, within, strict=False):
            weight.copy_(weight[part])
    torch.testing.assert_close(head.log_probs(hidden), before[0][:, order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(head.nll(hidden, order.argsort()), before[1], rtol=1e-12, atol=1e-12)


def test_the_order_of_tokens_does_not_matter(make_sizes: MakeSizes) -> None:
    head, hidden, targets = randomise(build(make_sizes(D, V))), states(V), torch.arange(V)
    order = torch.randperm(V, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(head.nll(hidden[order], targets[order]), head.nll(hidden, targets)[order], rtol=1e-12, atol=1e-12)


def test_a_tail_without_tokens_has_a_zero_gradient(make_sizes: MakeSizes) -> None:
    head = build(make_sizes(D, V))
    head.nll(states(3), torch.tensor([0, 6, 2])).sum().backward()
    assert head.weights[1].grad is not None
    assert head.weights[1].grad.any()
    for parameter in (head.weights[2], head.projections[1]):
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_a_tied_table_is_cut_once(make_sizes: MakeSizes, shape_log: Any) -> None:
    """Slices taken one by one would each add a zero of the table's size to the backward."""
    sizes = make_sizes(64, 3000, tied=True)
    head = AdaptiveSoftmax(cutoffs=(500, 1000, 2000)).build(sizes)
    hidden, targets = torch.randn(20, 64), torch.arange(0, 3000, 150)
    with shape_log:
        head.nll(hidden, targets).sum().backward()
    made = [operation for operation, shape in shape_log.shapes if shape == (3000, 64)]
    assert [operation for operation in made if "detach" not in operation] == ["aten.cat.default"]


def test_cutoffs_must_lie_below_the_vocabulary(make_sizes: MakeSizes) -> None:
    with pytest.raises(ValueError, match=r"^model\.softmax\.cutoffs: 20 is too large .* 20 words; .* between 1 and 19$"):
        AdaptiveSoftmax(cutoffs=(5, 20)).build(make_sizes(D, V))
    assert AdaptiveSoftmax(cutoffs=(5, 19)).build(make_sizes(D, V)).normalised


def test_narrow_tails_cannot_be_tied(make_sizes: MakeSizes) -> None:
    with pytest.raises(ValueError, match=r"^model\.softmax\.division: 2\.0 narrows the tails, but tied embeddings"):
        build(make_sizes(D, V, tied=True), division=2.0)


def test_ids_must_be_sorted_by_frequency(make_sizes: MakeSizes) -> None:
    sizes = make_sizes(D, V)
    with pytest.raises(AssertionError, match="falling frequency"):
        build(replace(sizes, counts=sizes.counts[::-1].copy()))
