"""The full softmax: closed forms, its hand-written gradient, and the memory it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from vae_core.softmax.config import FullSoftmax
from vae_core.softmax.full import KEPT_LOGITS, linear_nll
from vae_core.softmax.head import HeadSizes

MakeSizes = Callable[..., HeadSizes]


def problem(tokens: int, features: int, classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, weight and bias (float64, with gradients) and targets."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in ((tokens, features), (classes, features), (classes,))
    )
    return hidden, weight, bias, torch.randint(0, classes, (tokens,), generator=generator)


def test_zero_logits_give_log_v(make_sizes: MakeSizes) -> None:
    head = FullSoftmax().build(make_sizes(4, 300))
    hidden, targets = torch.zeros(7, 4), torch.arange(7)
    torch.testing.assert_close(head.nll(hidden, targets), torch.full((7,), math.log(300)), rtol=1e-6, atol=0)


def test_two_classes_by_hand() -> None:
    hidden, weight, bias = (torch.tensor(entries, dtype=torch.float64) for entries in ([[2.0]], [[1.0], [-1.0]], [0.5, 0.0]))
    nll = linear_nll(hidden, weight, bias, torch.tensor([1]))  # logits 2.5 and -2: p(1) = 1 / (1 + e^4.5)
    expected = torch.tensor([math.log1p(math.exp(4.5))], dtype=torch.float64)
    torch.testing.assert_close(nll, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("columns", [1, 4, 10, 11, 50])
def test_gradient_and_chunks(columns: int, keep: bool) -> None:
    *inputs, targets = problem(tokens=6, features=3, classes=11)
    assert torch.autograd.gradcheck(lambda h, w, b: linear_nll(h, w, b, targets, columns, keep), inputs)
    whole, chunked = linear_nll(*inputs, targets, 11, True), linear_nll(*inputs, targets, columns, keep)
    torch.testing.assert_close(chunked, whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("keep", [True, False])
def test_gradient_can_be_taken_twice_from_one_graph(keep: bool) -> None:
    *inputs, targets = problem(tokens=6, features=3, classes=11)
    loss = linear_nll(*inputs, targets, 4, keep).sum()
    first = torch.autograd.grad(loss, inputs, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(loss, inputs), strict=True):
        assert torch.equal(one, other)


def test_huge_logits_do_not_overflow() -> None:
    hidden = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    weight, bias = torch.tensor([[1.0], [0.0], [-1.0]]), torch.zeros(3)
    nll = linear_nll(hidden, weight, bias, torch.tensor([0, 0]), columns=2)
    torch.testing.assert_close(nll, torch.tensor([0.0, 2e4]))
    assert torch.autograd.grad(nll.sum(), hidden)[0].isfinite().all()


def test_an_unknown_target_is_an_error() -> None:
    *inputs, _ = problem(tokens=1, features=3, classes=11)
    with pytest.raises(IndexError):
        linear_nll(*inputs, torch.tensor([11]))


@contextmanager
def saved_entries() -> Iterator[list[int]]:
    """The sizes of the tensors that are saved for a backward inside."""
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield sizes


@pytest.mark.parametrize("columns", [None, 1000])
def test_many_logits_never_exist_at_once(columns: int | None, shape_log: Any) -> None:
    tokens, features, classes = 1700, 4, 10_000
    assert tokens * classes > KEPT_LOGITS
    *inputs, targets = problem(tokens, features, classes)
    with shape_log, saved_entries() as saved:
        linear_nll(*inputs, targets, columns).sum().backward()
    assert shape_log.largest <= tokens * (columns or 200)
    assert sum(saved) < 2 * (tokens + classes) * (features + 1)  # no more than came in


def test_scoring_keeps_nothing(shape_log: Any) -> None:
    *inputs, targets = problem(tokens=500, features=4, classes=10_000)
    with torch.no_grad(), shape_log, saved_entries() as saved:
        linear_nll(*inputs, targets)
    assert not saved
    assert shape_log.largest <= 2**18
    with saved_entries() as saved:
        linear_nll(*inputs, targets)
    assert sum(saved) > 500 * 10_000  # few enough to be kept for a backward
