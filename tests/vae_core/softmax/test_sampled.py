"""The sampled softmax: exact where every class is drawn, converging to the full one, and right at its optimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from vae_core.softmax.config import SampledSoftmax
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.proposals import PROPOSALS, draw_distinct
from vae_core.softmax.sampled import Negatives, SampledHead, sampled_nll

MakeSizes = Callable[..., HeadSizes]
D, V, N = 6, 40, 12

every_proposal = pytest.mark.parametrize("proposal", sorted(PROPOSALS))
every_treatment = pytest.mark.parametrize("treatment", ["include", "exclude", "proposal"])
with_and_without = pytest.mark.parametrize("replacement", [True, False], ids=["replacement", "distinct"])


def build(sizes: HeadSizes, **options: Any) -> SampledHead:
    head = SampledSoftmax(**options).build(sizes)
    assert isinstance(head, SampledHead)
    return head.double()


def problem() -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(1)
    hidden = 2 * torch.randn(N, D, dtype=torch.float64, generator=generator)
    return hidden, torch.cat([torch.zeros(3, dtype=torch.int64), torch.randint(0, V, (N - 3,), generator=generator)])


@every_proposal
@every_treatment
def test_every_class_drawn_is_exact_cross_entropy(treatment: str, proposal: str, make_sizes: MakeSizes) -> None:
    head, (hidden, targets) = build(make_sizes(D, V), samples=V, proposal=proposal, targets=treatment), problem()
    loss, exact = head.loss(hidden, targets, Generator().manual_seed(0)), head.nll(hidden, targets)
    torch.testing.assert_close(loss, exact, rtol=1e-12, atol=1e-12)
    for mine, reference in zip(
        torch.autograd.grad(loss.sum(), list(head.parameters())),
        torch.autograd.grad(exact.sum(), list(head.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-12)


def test_all_classes_but_one_of_a_uniform_proposal(make_sizes: MakeSizes) -> None:
    """Equal expected counts cancel: the loss is cross entropy over the classes drawn and the target."""
    head, (hidden, targets) = build(make_sizes(D, V), samples=V - 1, proposal="uniform"), problem()
    negatives = head.draw(targets, Generator().manual_seed(0))
    (left_out,) = set(range(V)) - set(negatives.ids.tolist())
    logits = hidden @ head.weight.T + head.bias
    for token, target in enumerate(targets.tolist()):
        present = [word for word in range(V) if word != left_out or word == target]
        expected = logits[token, present].logsumexp(0) - logits[token, target]
        found = sampled_nll(hidden, head.weight, head.bias, targets, negatives)[token]
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@with_and_without
@every_treatment
def test_the_formula_class_by_class(treatment: Any, replacement: bool, make_sizes: MakeSizes) -> None:
    sizes, (hidden, targets) = make_sizes(D, V), problem()
    head = build(sizes, samples=9, replacement=replacement, targets=treatment).requires_grad_(False)
    head.bias.normal_(generator=Generator().manual_seed(2))
    negatives = head.draw(targets, Generator().manual_seed(0))
    assert (targets.unsqueeze(1) == negatives.ids).any()  # accidental hits are among them
    found = head.loss(hidden, targets, Generator().manual_seed(0))
    keeps_hits = treatment == "proposal" or (treatment == "include" and replacement)
    for token, target in enumerate(targets.tolist()):
        logit = float(hidden[token] @ head.weight[target] + head.bias[target])
        if treatment == "include":
            logit -= float(negatives.target_log_expected[token])
        corrected = [] if treatment == "proposal" else [logit]
        for word, log_expected in zip(negatives.ids.tolist(), negatives.log_expected.tolist(), strict=True):
            if keeps_hits or word != target:
                corrected.append(float(hidden[token] @ head.weight[word] + head.bias[word]) - log_expected)
        expected = math.log(sum(map(math.exp, corrected))) - logit
        assert float(found[token]) == pytest.approx(expected, rel=1e-12)


@every_treatment
def test_the_mean_normaliser_over_every_draw(treatment: Any) -> None:
    """With replacement: the true one for exclude and proposal; include counts the target once more, at 1 / (S q)."""
    sizes = HeadSizes(1, np.array([5, 3, 2]), None, Generator())
    head = build(sizes, samples=2, proposal="unigram", replacement=True, targets=treatment)
    q, bias = head.proposal.log_q.exp(), torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    hidden, weight = torch.zeros(3, 1, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    targets, mean = torch.arange(3), torch.zeros(3, dtype=torch.float64)
    constant = (2 * q).log()
    for drawn in product(range(3), repeat=2):
        ids = torch.tensor(drawn)
        loss = sampled_nll(hidden, weight, bias, targets, Negatives(ids, constant[ids], constant, distinct=False), treatment)
        target_logits = bias - constant if treatment == "include" else bias
        mean += q[ids].prod() * torch.exp(loss + target_logits)
    more = torch.exp(bias) / (2 * q) if treatment == "include" else torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(mean, bias.exp().sum() + more, rtol=1e-12, atol=0)


@every_proposal
def test_expected_counts_with_replacement(proposal: str, make_sizes: MakeSizes) -> None:
    head, targets = build(make_sizes(D, V), samples=9, proposal=proposal, replacement=True), torch.arange(V)
    negatives = head.draw(targets, Generator().manual_seed(0))
    torch.testing.assert_close(negatives.target_log_expected.exp().sum(), torch.tensor(9.0).double(), rtol=1e-12, atol=0)
    torch.testing.assert_close(negatives.log_expected, negatives.target_log_expected[negatives.ids], rtol=0, atol=0)


@every_proposal
def test_expected_counts_without_replacement(proposal: str, make_sizes: MakeSizes) -> None:
    """1 - (1 - q)^T of every class, T the tries that the draw took, and not T q, which is above 1 for the most frequent."""
    head, targets = build(make_sizes(D, V), samples=12, proposal=proposal), torch.arange(V)
    negatives = head.draw(targets, Generator().manual_seed(0))
    ids, tries = draw_distinct(head.proposal, 12, Generator().manual_seed(0), head._tries)
    assert torch.equal(negatives.ids, ids)
    expected = 1.0 - (1.0 - head.proposal.log_q.exp()) ** tries
    torch.testing.assert_close(negatives.target_log_expected.exp(), expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(negatives.log_expected, negatives.target_log_expected[ids], rtol=0, atol=0)


@every_proposal
@with_and_without
def test_the_gradient_converges_as_samples_grow(proposal: str, replacement: bool, make_sizes: MakeSizes) -> None:
    converges(make_sizes(D, V), proposal=proposal, replacement=replacement)


@pytest.mark.parametrize("treatment", ["exclude", "proposal"])
def test_the_gradient_converges_however_targets_are_treated(treatment: str, make_sizes: MakeSizes) -> None:
    converges(make_sizes(D, V), proposal="log_uniform", replacement=True, targets=treatment)


def converges(sizes: HeadSizes, *, replacement: bool, **options: Any) -> None:
    hidden, targets = problem()
    generator = Generator().manual_seed(0)
    errors = []
    for samples in (4, 16, 64, 4096) if replacement else (4, 12, 24, V - 1):
        flat = replace(sizes, counts=np.arange(2 * V, V, -1))
        head = build(flat, samples=samples, replacement=replacement, **options)
        (full,) = torch.autograd.grad(head.nll(hidden, targets).mean(), head.weight)
        draws = [torch.autograd.grad(head.loss(hidden, targets, generator).mean(), head.weight)[0] - full for _ in range(30)]
        errors.append(float(torch.stack(draws).norm(dim=(1, 2)).mean() / full.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


@pytest.mark.parametrize(
    ("proposal", "replacement"),
    [("unigram", True), ("log_uniform", True), ("uniform", True), ("uniform", False)],  # distinct and uneven: nearly, not exactly
)
def test_the_optimum_is_the_true_distribution(proposal: str, replacement: bool) -> None:
    """With logits log p and targets from p the expected gradient is 0 for any S: within 4 standard errors."""
    p = torch.tensor([0.5, 0.2, 0.12, 0.1, 0.05, 0.03], dtype=torch.float64)
    sizes = HeadSizes(1, np.array([9, 8, 4, 3, 2, 2]), None, Generator())
    head = build(sizes, samples=2, proposal=proposal, replacement=replacement)
    generator = Generator().manual_seed(0)
    gradients = []
    for _ in range(2000):
        bias = p.log().requires_grad_()
        targets = torch.multinomial(p, 4, replacement=True, generator=generator)
        hidden, weight = torch.zeros(4, 1, dtype=torch.float64), torch.zeros(len(p), 1, dtype=torch.float64)
        loss = sampled_nll(hidden, weight, bias, targets, head.draw(targets, generator)).mean()
        gradients.append(torch.autograd.grad(loss, bias)[0])
    stacked = torch.stack(gradients)
    standard_error = stacked.std(0) / math.sqrt(len(stacked))
    assert (stacked.mean(0).abs() < 4 * standard_error).all()
    assert (standard_error < 0.015).all()


def test_negatives_that_are_all_hits_leave_the_target_alone() -> None:
    hidden, weight, bias = (torch.ones(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3), (V, 3), (V,)))
    targets = torch.tensor([7, 7])
    negatives = Negatives(torch.tensor([7]), torch.zeros(1), torch.zeros(2), distinct=True)
    loss = sampled_nll(hidden, weight, bias, targets, negatives)
    assert torch.equal(loss, torch.zeros(2, dtype=torch.float64))
    for gradient in torch.autograd.grad(loss.sum(), [hidden, weight, bias]):
        assert torch.equal(gradient, torch.zeros_like(gradient))


@with_and_without
@every_treatment
def test_gradient(treatment: Any, replacement: bool, make_sizes: MakeSizes) -> None:
    head, (hidden, targets) = build(make_sizes(D, V), samples=9, replacement=replacement), problem()
    negatives = head.draw(targets, Generator().manual_seed(0))
    inputs = [hidden.requires_grad_(), head.weight, head.bias]
    assert torch.autograd.gradcheck(lambda h, w, b: sampled_nll(h, w, b, targets, negatives, treatment), inputs)


def test_never_scores_the_whole_vocabulary(make_sizes: MakeSizes, shape_log: Any) -> None:
    head = build(make_sizes(4, 5000), samples=50)
    hidden, targets = torch.randn(200, 4).double(), torch.arange(200)
    with shape_log:
        head.loss(hidden, targets, Generator().manual_seed(0)).sum().backward()
    assert shape_log.largest <= 5000 * 4


def test_samples_cannot_exceed_the_vocabulary_without_replacement(make_sizes: MakeSizes) -> None:
    with pytest.raises(
        ValueError, match=r"^model\.softmax\.samples: 41 is too large for a vocabulary of 40 words; .* 40 at most$"
    ):
        build(make_sizes(D, V), samples=V + 1)
    assert build(make_sizes(D, V), samples=V + 1, replacement=True).samples == V + 1


def test_negatives_need_a_generator(make_sizes: MakeSizes) -> None:
    with pytest.raises(AssertionError, match="explicit generator"):
        build(make_sizes(D, V), samples=4).loss(*problem())
