"""Sparse gradients of the heads that read few rows, against the dense ones."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from tests.vae_core.softmax.conftest import MakeSizes
from vae_core.row_sparse import make_row_sparse
from vae_core.softmax.config import (
    AnySoftmax,
    HierarchicalSoftmax,
    NegativeSampling,
    NoiseContrastive,
    OneVsEach,
    SampledSoftmax,
    SoftmaxConfig,
)

FEW_ROWS: list[SoftmaxConfig] = [
    SampledSoftmax(samples=7),
    SampledSoftmax(samples=7, proposal="unigram", replacement=True, targets="exclude"),
    NoiseContrastive(samples=7),
    NegativeSampling(samples=7),
    OneVsEach(samples=7),
    HierarchicalSoftmax(levels=3),
]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_softmax_that_reads_few_rows_is_here():
    members = get_args(get_args(AnySoftmax)[0])
    assert {type(config) for config in FEW_ROWS} == {member for member in members if member.few_rows}


@pytest.mark.parametrize("config", FEW_ROWS, ids=repr)
def test_sparse_gradients_are_the_dense_ones_and_hold_only_what_was_read(config: SoftmaxConfig, make_sizes: MakeSizes):
    hidden = torch.randn(12, 5, dtype=torch.float64, generator=generator(1))
    targets = torch.randint(60, (12,), generator=generator(2))
    losses, gradients = [], []
    for wanted in (False, True):
        head = config.build(make_sizes(5, 60)).double()
        if wanted:
            assert make_row_sparse(nn.ModuleList([head])) == [head.weight, head.bias]
        states = hidden.clone().requires_grad_()
        loss = head.loss(states, targets, generator(3))
        loss.square().sum().backward()
        losses.append(loss.detach())
        gradients.append((head.weight.grad, head.bias.grad, states.grad))
    dense, found = gradients
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-13, atol=0.0)
    assert [part.is_sparse for part in found] == [True, True, False]
    for one, other in zip(dense, found, strict=True):
        torch.testing.assert_close(other.to_dense(), one, rtol=1e-11, atol=1e-13)
    rows = found[0].coalesce().indices()[0]
    assert len(rows) <= (12 * 4 if isinstance(config, HierarchicalSoftmax) else 12 + 8) < 60
    assert set(targets.tolist()) <= set(rows.tolist())
    assert torch.equal(found[1].coalesce().indices()[0], rows)
