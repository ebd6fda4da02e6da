"""One-vs-each: a bound on log p, tight for two classes, and right on average from some of the classes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from vae_core.softmax.config import OneVsEach
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.one_vs_each import OneVsEachHead, one_vs_each_loss

MakeSizes = Callable[..., HeadSizes]
D = 6


def build(sizes: HeadSizes, samples: int) -> OneVsEachHead:
    head = OneVsEach(samples=samples).build(sizes)
    assert isinstance(head, OneVsEachHead)
    with torch.no_grad():
        head.bias.normal_(generator=Generator().manual_seed(2))
    return head.double()


def states(tokens: int) -> Tensor:
    return 3 * torch.randn(tokens, D, dtype=torch.float64, generator=Generator().manual_seed(1))


def test_two_classes_are_exact(make_sizes: MakeSizes) -> None:
    head, hidden, targets = build(make_sizes(D, 2), samples=1), states(8), torch.arange(8) % 2
    loss = head.loss(hidden, targets, Generator().manual_seed(0))
    torch.testing.assert_close(loss, head.nll(hidden, targets), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_is_never_above_log_p(seed: int, make_sizes: MakeSizes) -> None:
    head = build(make_sizes(D, 30, seed=seed), samples=29)
    hidden, targets = states(30), torch.arange(30)
    bound, exact = head.loss(hidden, targets, Generator().manual_seed(0)), head.nll(hidden, targets)
    assert (bound > exact).all()


def test_the_bound_class_by_class(make_sizes: MakeSizes) -> None:
    head, hidden, targets = build(make_sizes(D, 9), samples=8), states(9), torch.arange(9)
    found = head.loss(hidden, targets, Generator().manual_seed(0))
    logits = hidden @ head.weight.T + head.bias
    for token in range(9):
        others = [word for word in range(9) if word != token]
        expected = softplus(logits[token, others] - logits[token, token]).sum()
        torch.testing.assert_close(found[token], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("samples", "frequent"), [(1, 0), (2, 0), (4, 0), (2, 1), (3, 1), (3, 2), (4, 3)])
def test_the_mean_over_every_draw_is_the_bound(samples: int, frequent: int, make_sizes: MakeSizes) -> None:
    """In value and in gradient, for targets that are always there, that are drawn, and that are not."""
    head, hidden, targets = build(make_sizes(D, 5), samples=4), states(5), torch.arange(5)
    weights = torch.linspace(0.5, 2, 5, dtype=torch.float64)
    inputs = [head.weight, head.bias]

    def value_and_gradients(ids: list[int], frequent: int) -> list[Tensor]:
        loss = one_vs_each_loss(hidden, head.weight, head.bias, targets, torch.tensor(ids), frequent)
        return [loss.detach(), *torch.autograd.grad(weights @ loss, inputs)]

    always, others = list(range(frequent)), range(frequent, 5)
    draws = [value_and_gradients([*always, *ids], frequent) for ids in permutations(others, samples - frequent + 1)]
    for parts, whole in zip(zip(*draws, strict=True), value_and_gradients(list(range(5)), 0), strict=True):
        torch.testing.assert_close(torch.stack(parts).mean(0), whole, rtol=1e-12, atol=1e-12)


def test_it_begins_at_the_odds_of_the_unigram(make_sizes: MakeSizes) -> None:
    sizes = make_sizes(D, 9)
    counts = torch.from_numpy(sizes.counts).clamp(min=1).double()
    head = OneVsEach(samples=4).build(sizes).double()
    torch.testing.assert_close(head.log_probs(torch.zeros(1, D).double())[0].exp(), counts / counts.sum(), rtol=1e-6, atol=0)


def test_every_token_meets_as_many_others(make_sizes: MakeSizes) -> None:
    """Equal logits: each contest costs log 2, so that the scaled sum is (V - 1) log 2 whether the target was drawn or not."""
    head = build(make_sizes(D, 12), samples=4)
    with torch.no_grad():
        head.bias.zero_()
    loss = head.loss(torch.zeros(12, D).double(), torch.arange(12), Generator().manual_seed(0))
    torch.testing.assert_close(loss, torch.full((12,), 11.0).double() * torch.tensor(2.0).double().log(), rtol=1e-12, atol=0)


def test_draws_are_different_and_even(make_sizes: MakeSizes) -> None:
    """The two most frequent of 12 are always there, each of the others as often."""
    head, generator, draws = build(make_sizes(D, 12), samples=4), Generator().manual_seed(0), 3000
    seen = torch.zeros(12)
    for _ in range(draws):
        ids = head.draw(generator)
        assert len(ids.unique()) == len(ids) == 5
        seen[ids] += 1
    assert seen[:2].tolist() == [draws, draws]
    assert ((seen[2:] / draws - 0.3).abs() < 4.5 * (0.3 * 0.7 / draws) ** 0.5).all()


def test_gradient(make_sizes: MakeSizes) -> None:
    head, targets = build(make_sizes(D, 9), samples=3), torch.tensor([0, 8, 3, 3])
    inputs = [states(4).requires_grad_(), head.weight, head.bias]
    assert torch.autograd.gradcheck(lambda h, w, b: one_vs_each_loss(h, w, b, targets, torch.tensor([0, 1, 5, 3]), 2), inputs)


def test_never_scores_the_whole_vocabulary(make_sizes: MakeSizes, shape_log: Any) -> None:
    head = build(make_sizes(4, 5000), samples=50)
    with shape_log:
        head.loss(torch.randn(200, 4).double(), torch.arange(200), Generator().manual_seed(0)).sum().backward()
    assert shape_log.largest <= 5000 * 4


def test_there_must_be_enough_others(make_sizes: MakeSizes) -> None:
    with pytest.raises(
        ValueError, match=r"^model\.softmax\.samples: 20 is too large for a vocabulary of 20 words; .* there are 19$"
    ):
        build(make_sizes(D, 20), samples=20)


def test_classes_need_a_generator(make_sizes: MakeSizes) -> None:
    with pytest.raises(AssertionError, match="explicit generator"):
        build(make_sizes(D, 20), samples=4).loss(states(2), torch.tensor([0, 1]))
