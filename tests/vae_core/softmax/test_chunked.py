"""The chunked softmax: the full one's value and gradient, products in the forward pass alone, and one chunk of logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from vae_core.softmax.chunked import ChunkedHead, chunked_nll
from vae_core.softmax.config import ChunkedSoftmax
from vae_core.softmax.full import linear_nll
from vae_core.softmax.head import HeadSizes

MakeSizes = Callable[..., HeadSizes]
N, D, V = 7, 3, 11

every_chunk = pytest.mark.parametrize("rows", [1, 3, 7, 50])


def problem(tokens: int = N, classes: int = V) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, weight and bias (float64, with gradients) and targets, the first of them twice."""
    generator = Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in ((tokens, D), (classes, D), (classes,))
    )
    targets = torch.randint(0, classes, (tokens,), generator=generator)
    targets[1] = targets[0]
    return hidden, weight, bias, targets


@every_chunk
@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
def test_gradient_of_tokens_of_equal_and_unequal_weight(rows: int, equal: bool) -> None:
    *inputs, targets = problem()
    weights = torch.full((N,), 0.3).double() if equal else torch.linspace(-1, 2, N, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda h, w, b: weights @ chunked_nll(h, w, b, targets, rows), inputs)
    mine = torch.autograd.grad(weights @ chunked_nll(*inputs, targets, rows), inputs)
    full = torch.autograd.grad(weights @ linear_nll(*inputs, targets), inputs)
    for one, other in zip(mine, full, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


@every_chunk
def test_chunks_do_not_change_the_value(rows: int) -> None:
    *inputs, targets = problem()
    torch.testing.assert_close(chunked_nll(*inputs, targets, rows), linear_nll(*inputs, targets), rtol=1e-13, atol=1e-13)


def products(log: Any) -> list[str]:
    return [operation for operation, _ in log.shapes if "mm" in operation]


def test_the_backward_makes_no_product_where_tokens_weigh_the_same(shape_log: Any) -> None:
    *inputs, targets = problem()
    loss = chunked_nll(*inputs, targets, 3).sum() / 5
    with shape_log:
        loss.backward()
    assert products(shape_log) == []


def test_three_products_a_chunk_and_one_without_gradients(shape_log: Any) -> None:
    *inputs, targets = problem()
    with shape_log:
        chunked_nll(*inputs, targets, 3)
    assert len(products(shape_log)) == 3 * 3
    shape_log.shapes.clear()
    with torch.no_grad(), shape_log:
        chunked_nll(*inputs, targets, 3)
    assert len(products(shape_log)) == 3


def test_gradient_can_be_taken_twice_from_one_graph() -> None:
    *inputs, targets = problem()
    loss = 3 * chunked_nll(*inputs, targets, 3).sum()
    first = torch.autograd.grad(loss, inputs, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(loss, inputs), strict=True):
        assert torch.equal(one, other)


def test_huge_logits_do_not_overflow() -> None:
    hidden = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    weight, bias = torch.tensor([[1.0], [0.0], [-1.0]]), torch.zeros(3)
    nll = chunked_nll(hidden, weight, bias, torch.tensor([0, 0]), rows=1)
    torch.testing.assert_close(nll, torch.tensor([0.0, 2e4]))
    assert torch.autograd.grad(nll.sum(), hidden)[0].isfinite().all()


def test_memory_is_that_of_one_chunk(make_sizes: MakeSizes, shape_log: Any) -> None:
    """0.25 MiB are 6 tokens of 10,000 logits in float32; the table and its gradient have 40,000 entries."""
    head = ChunkedSoftmax(chunk_mib=0.25).build(make_sizes(4, 10_000))
    assert isinstance(head, ChunkedHead)
    hidden, targets = torch.randn(300, 4, requires_grad=True), torch.arange(300)
    with shape_log:
        head.loss(hidden, targets).mean().backward()
    assert shape_log.largest == 60_000
    assert max(shape[0] for _, shape in shape_log.shapes if len(shape) == 2 and shape[1] == 10_000) == 6


def test_a_chunk_has_a_token_at_least(make_sizes: MakeSizes) -> None:
    head = ChunkedSoftmax(chunk_mib=1e-6).build(make_sizes(4, 100))
    hidden, targets = torch.randn(3, 4), torch.arange(3)
    torch.testing.assert_close(head.nll(hidden, targets), -head.log_probs(hidden)[[0, 1, 2], targets])
