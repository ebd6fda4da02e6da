"""Noise contrastive estimation and negative sampling: their formulas, and the optima that tell them apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from vae_core.softmax.config import NegativeSampling, NoiseContrastive
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.nce import NceHead, NegativeSamplingHead, binary_loss
from vae_core.softmax.proposals import PROPOSALS
from vae_core.softmax.sampled import Negatives

MakeSizes = Callable[..., HeadSizes]
D, V, N = 6, 40, 12
P = torch.tensor([0.5, 0.2, 0.12, 0.1, 0.05, 0.03], dtype=torch.float64)
Q = torch.tensor([0.3, 0.1, 0.2, 0.2, 0.1, 0.1], dtype=torch.float64)

every_proposal = pytest.mark.parametrize("proposal", sorted(PROPOSALS))
both = pytest.mark.parametrize("member", [NoiseContrastive, NegativeSampling])


def build(config: NoiseContrastive | NegativeSampling, sizes: HeadSizes) -> NceHead | NegativeSamplingHead:
    head = config.build(sizes)
    assert isinstance(head, NceHead | NegativeSamplingHead)
    return head.double()


def problem() -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(1)
    hidden = 2 * torch.randn(N, D, dtype=torch.float64, generator=generator)
    return hidden, torch.cat([torch.zeros(3, dtype=torch.int64), torch.randint(0, V, (N - 3,), generator=generator)])


@every_proposal
@both
def test_the_formula_class_by_class(member: Any, proposal: Any, make_sizes: MakeSizes) -> None:
    """Accidental hits stay, classes that were drawn twice count twice."""
    head, (hidden, targets) = build(member(samples=9, proposal=proposal), make_sizes(D, V)), problem()
    with torch.no_grad():
        head.bias.normal_(generator=Generator().manual_seed(2))
    found = head.loss(hidden, targets, Generator().manual_seed(0))
    ids = head.proposal.draw(9, Generator().manual_seed(0))
    if proposal != "uniform":
        assert (targets.unsqueeze(1) == ids).any()
    log_kq = math.log(9) + head.proposal.log_q if member is NoiseContrastive else torch.zeros(V)
    odds = hidden @ head.weight.T + head.bias - log_kq
    for token, target in enumerate(targets.tolist()):
        expected = torch.log1p(torch.exp(-odds[token, target]))
        expected = expected + sum(torch.log1p(torch.exp(odds[token, word])) for word in ids.tolist())
        torch.testing.assert_close(found[token], expected, rtol=1e-12, atol=1e-12)


def optimum(log_expected: Tensor) -> Tensor:
    """Logits that minimise the expected loss without context: 100 targets just as p, 20 negatives just as q, by Newton."""
    targets, ids = (torch.repeat_interleave((count * q).round().long()) for count, q in ((100, P), (20, Q)))
    noise = Negatives(ids, log_expected[ids], log_expected[targets], distinct=False)
    hidden, weight = torch.zeros(100, 1, dtype=torch.float64), torch.zeros(6, 1, dtype=torch.float64)
    bias = torch.full((6,), -2.0, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([bias], max_iter=300, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = binary_loss(hidden, weight, bias, targets, noise).mean()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    solver.step(closure)
    return bias.detach()


def test_nce_converges_to_log_p() -> None:
    torch.testing.assert_close(optimum((20 * Q).log()), P.log(), rtol=0, atol=1e-6)


def test_negative_sampling_converges_to_log_p_over_k_q() -> None:
    torch.testing.assert_close(optimum(torch.zeros(6, dtype=torch.float64)), (P / (20 * Q)).log(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("proposal", ["unigram", "log_uniform"])
def test_log_p_is_an_optimum_of_nce_as_drawn(proposal: Any) -> None:
    """The mean gradient of drawn noise is 0 there within 4 standard errors, and is not where log p is off by 0.3."""
    head = build(NoiseContrastive(samples=5, proposal=proposal), HeadSizes(1, np.array([9, 8, 4, 3, 2, 2]), None, Generator()))
    generator = Generator().manual_seed(0)
    hidden, weight = torch.zeros(4, 1, dtype=torch.float64), torch.zeros(6, 1, dtype=torch.float64)
    assert isinstance(head, NceHead)
    for offset, is_optimum in ((0.0, True), (0.3, False)):
        gradients = []
        for _ in range(1500):
            bias = (P.log() + offset).requires_grad_()
            targets = torch.multinomial(P, 4, replacement=True, generator=generator)
            loss = binary_loss(hidden, weight, bias, targets, head.draw(targets, generator)).mean()
            gradients.append(torch.autograd.grad(loss, bias)[0])
        stacked = torch.stack(gradients)
        standard_error = stacked.std(0) / math.sqrt(len(stacked))
        assert bool((stacked.mean(0).abs() < 4 * standard_error).all()) == is_optimum


@both
def test_gradient(member: Any, make_sizes: MakeSizes) -> None:
    head, (hidden, targets) = build(member(samples=9), make_sizes(D, V)), problem()
    inputs = [hidden.requires_grad_(), head.weight, head.bias]
    noise = Negatives(torch.tensor([0, 3, 0, 7]), head.proposal.log_q[[0, 3, 0, 7]], head.proposal.log_q[targets], distinct=False)
    assert torch.autograd.gradcheck(lambda h, w, b: binary_loss(h, w, b, targets, noise), inputs)


def test_first_biases(make_sizes: MakeSizes) -> None:
    """NCE starts with a normaliser near 1; negative sampling at its optimum for p = q."""
    sizes = make_sizes(D, V, tied=True)
    assert torch.equal(NoiseContrastive().build(sizes).bias, torch.full((V,), -math.log(V)))
    assert torch.equal(NegativeSampling(samples=9).build(sizes).bias, torch.full((V,), -math.log(9)))


def test_the_gap_of_nce_is_minus_log_z(make_sizes: MakeSizes) -> None:
    head, (hidden, targets) = build(NoiseContrastive(), make_sizes(D, V)), problem()
    approximate = head.approximate_nll(hidden, targets)
    assert approximate is not None
    log_z = (hidden @ head.weight.T + head.bias).logsumexp(1)
    torch.testing.assert_close(approximate - head.nll(hidden, targets), -log_z, rtol=1e-12, atol=1e-12)


def test_negative_sampling_draws_by_flattened_frequency(make_sizes: MakeSizes) -> None:
    counts = make_sizes(D, V).counts
    flattened = np.maximum(counts, 1) ** 0.75
    q = build(NegativeSampling(), make_sizes(D, V)).proposal.log_q.exp().numpy()
    np.testing.assert_allclose(q, flattened / flattened.sum(), rtol=2e-6)
    q = build(NoiseContrastive(), make_sizes(D, V)).proposal.log_q.exp().numpy()
    np.testing.assert_allclose(q, np.maximum(counts, 1) / np.maximum(counts, 1).sum(), rtol=1e-12)


@both
def test_never_scores_the_whole_vocabulary(member: Any, make_sizes: MakeSizes, shape_log: Any) -> None:
    head = build(member(samples=50), make_sizes(4, 5000))
    hidden, targets = torch.randn(200, 4).double(), torch.arange(200)
    with shape_log:
        head.loss(hidden, targets, Generator().manual_seed(0)).sum().backward()
    assert shape_log.largest <= 5000 * 4


@both
def test_noise_needs_a_generator(member: Any, make_sizes: MakeSizes) -> None:
    with pytest.raises(AssertionError, match="explicit generator"):
        build(member(), make_sizes(D, V)).loss(*problem())
