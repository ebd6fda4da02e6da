"""What holds for every member of the likelihood layer: one body over the family's table, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from vae_core.softmax.config import (
    AdaptiveSoftmax,
    AnySoftmax,
    ChunkedSoftmax,
    HierarchicalSoftmax,
    NoiseContrastive,
    OneVsEach,
    SampledSoftmax,
    SoftmaxConfig,
)
from vae_core.softmax.head import HeadSizes, SoftmaxHead
from vae_core.softmax.nce import NceHead, NegativeSamplingHead
from vae_core.softmax.one_vs_each import OneVsEachHead

MakeSizes = Callable[..., HeadSizes]

D, V, N = 8, 10_500, 40  # V is above the default cutoffs, so that a new member is tested as it comes

MEMBERS: tuple[type[SoftmaxConfig], ...] = get_args(get_args(AnySoftmax)[0])
CONFIGS: list[SoftmaxConfig] = [
    *(member() for member in MEMBERS),
    AdaptiveSoftmax(cutoffs=(100, 1000, 5000), division=1.0),
    AdaptiveSoftmax(cutoffs=(V - 1,)),
    *(
        SampledSoftmax(samples=64, proposal=proposal, replacement=replacement)
        for proposal in ("unigram", "log_uniform", "uniform")
        for replacement in (True, False)
    ),
    *(SampledSoftmax(samples=64, targets=targets, replacement=True) for targets in ("exclude", "proposal")),
    SampledSoftmax(samples=64, targets="exclude", proposal="unigram", power=0.75),
    ChunkedSoftmax(chunk_mib=0.5),  # some six tokens a chunk
    HierarchicalSoftmax(grouping="frequency"),
    HierarchicalSoftmax(classes=7),
    NoiseContrastive(samples=64, proposal="uniform"),
    OneVsEach(samples=V - 1),
]

SMALL: dict[str, dict[str, Any]] = {
    "full": {},
    "chunked": {"chunk_mib": 0.02},
    "adaptive": {"cutoffs": (20, 60)},
    "hierarchical": {},
    "sampled": {"samples": 40},
    "nce": {"samples": 40},
    "negative_sampling": {"samples": 40},
    "one_vs_each": {"samples": 40},
}
"""Options for a vocabulary of 120, where the defaults are too large for it."""


@pytest.fixture(params=CONFIGS, ids=repr)
def config(request: pytest.FixtureRequest) -> SoftmaxConfig:
    return request.param


@pytest.fixture(params=[False, True], ids=["own", "tied"])
def head(config: SoftmaxConfig, request: pytest.FixtureRequest, make_sizes: MakeSizes) -> SoftmaxHead:
    head = config.build(make_sizes(D, V, tied=request.param)).double()
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if "bias" in name:  # biases start at 0, where a forgotten one would not show
                parameter.normal_(generator=torch.Generator().manual_seed(5))
    return head


@pytest.fixture
def hidden() -> Tensor:
    return torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()


@pytest.fixture
def targets() -> Tensor:
    """Of every cluster, both ends of the vocabulary, and one twice."""
    drawn = torch.randint(0, V, (N - 4,), generator=torch.Generator().manual_seed(2))
    return torch.cat([drawn, torch.tensor([0, 0, 1, V - 1])])


def test_log_probs_are_normalised(head: SoftmaxHead, hidden: Tensor) -> None:
    log_probs = head.log_probs(hidden)
    assert log_probs.shape == (N, V)
    torch.testing.assert_close(log_probs.logsumexp(1), torch.zeros(N, dtype=torch.float64), rtol=0, atol=1e-10)


def test_nll_is_the_exact_log_probability(head: SoftmaxHead, hidden: Tensor, targets: Tensor) -> None:
    expected = -head.log_probs(hidden).gather(1, targets.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(head.nll(hidden, targets), expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(head.nll(hidden, targets), expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_nll_are_those_of_log_probs(head: SoftmaxHead, hidden: Tensor, targets: Tensor) -> None:
    weights = torch.linspace(-1, 2, N, dtype=torch.float64)  # a gradient of its own for each token
    inputs = [hidden, *head.parameters()]
    found = torch.autograd.grad(weights @ head.nll(hidden, targets), inputs)
    expected = torch.autograd.grad(-weights @ head.log_probs(hidden).gather(1, targets.unsqueeze(1)).squeeze(1), inputs)
    for mine, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-12)


def test_loss_is_exact_where_it_says_so(head: SoftmaxHead, hidden: Tensor, targets: Tensor) -> None:
    loss = head.loss(hidden, targets, torch.Generator().manual_seed(3))
    exact = head.nll(hidden, targets)
    assert loss.shape == (N,)
    assert loss.isfinite().all()
    assert torch.equal(loss, exact) == head.normalised


def test_what_stands_for_the_likelihood(head: SoftmaxHead, hidden: Tensor, targets: Tensor) -> None:
    """Its own loss where that estimates one, and nothing where training knows none."""
    found = head.approximate_nll(hidden, targets, torch.Generator().manual_seed(3))
    if isinstance(head, NegativeSamplingHead):
        assert found is None
    else:
        assert found is not None
        same = torch.equal(found, head.loss(hidden, targets, torch.Generator().manual_seed(3)))
        assert same == (not isinstance(head, NceHead))
        assert torch.equal(found, head.nll(hidden, targets)) == head.normalised


def test_loss_depends_on_its_generator_alone(head: SoftmaxHead, hidden: Tensor, targets: Tensor) -> None:
    before = torch.get_rng_state()
    first, again, other = (head.loss(hidden, targets, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    samples_all = isinstance(head, OneVsEachHead) and head.samples == V - 1
    assert torch.equal(first, other) == (head.normalised or samples_all)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_tokens_give_no_loss_and_zero_gradients(head: SoftmaxHead) -> None:
    hidden, targets = torch.empty(0, D, dtype=torch.float64, requires_grad=True), torch.empty(0, dtype=torch.int64)
    for nll in (head.nll(hidden, targets), head.loss(hidden, targets, torch.Generator().manual_seed(3))):
        assert nll.shape == (0,)
        for gradient in torch.autograd.grad(nll.sum(), list(head.parameters()), allow_unused=True):
            assert gradient is not None
            assert not gradient.any()


def test_single_precision_is_nearly_exact(head: SoftmaxHead, hidden: Tensor, targets: Tensor) -> None:
    exact = head.nll(hidden, targets).detach()
    naive = -head.float().log_probs(hidden.float()).gather(1, targets.unsqueeze(1)).squeeze(1)
    budget = 4 * (naive.double() - exact).abs().max() + 2e-6  # a few times the error of the textbook way
    assert (head.nll(hidden.float(), targets).double() - exact).abs().max() <= budget


def test_training_reaches_a_tied_table(config: SoftmaxConfig, make_sizes: MakeSizes, targets: Tensor) -> None:
    sizes = make_sizes(D, V, tied=True)
    head = config.build(sizes)
    hidden = torch.randn(N, D, generator=torch.Generator().manual_seed(1))
    head.loss(hidden, targets, torch.Generator().manual_seed(3)).mean().backward()
    assert sizes.tied is not None
    assert any(parameter is sizes.tied for parameter in head.parameters())
    assert sizes.tied.grad is not None
    # Not the last targets: a word alone in its cluster or class is certain there, and its vector has no gradient.
    assert (sizes.tied.grad[targets[:-4]].norm(dim=1) > 0).all()
    own = sum(parameter.numel() for parameter in head.parameters() if parameter is not sizes.tied)
    assert own < 2 * V  # biases and clusters: no second table


def test_every_head_has_a_bias_a_word(config: SoftmaxConfig, make_sizes: MakeSizes) -> None:
    assert dict(config.build(make_sizes(D, V)).named_parameters())["bias"].shape == (V,)


def test_first_weights_depend_on_their_generator_alone(config: SoftmaxConfig, make_sizes: MakeSizes) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        torch.cat([p.flatten() for p in config.build(make_sizes(D, V, seed=s)).parameters()]) for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_head_scores_the_same(config: SoftmaxConfig, hidden: Tensor, targets: Tensor, make_sizes: MakeSizes) -> None:
    saved, fresh = (config.build(make_sizes(D, V, seed=seed)).double() for seed in (0, 1))
    assert not torch.equal(fresh.nll(hidden, targets), saved.nll(hidden, targets))
    fresh.load_state_dict(saved.state_dict())
    assert torch.equal(fresh.nll(hidden, targets), saved.nll(hidden, targets))


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.model_fields["kind"].default)
def test_training_ends_near_the_truth(member: type[SoftmaxConfig]) -> None:
    """Targets from a softmax of fixed states: the exact score ends within 15% of its entropy, but for negative sampling's."""
    generator = torch.Generator().manual_seed(0)
    tokens, features, vocabulary = 4096, 4, 120
    hidden, truth = (torch.randn(rows, features, generator=generator) for rows in (tokens, vocabulary))
    log_p = (hidden @ truth.T - torch.arange(1.0, vocabulary + 1).log()).log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1).mean().item()
    drawn = torch.multinomial(log_p.exp(), 1, generator=generator).squeeze(1)
    counts, words = torch.bincount(drawn, minlength=vocabulary).sort(descending=True, stable=True)
    targets = words.argsort()[drawn]  # ids by falling frequency
    kind = member.model_fields["kind"].default
    head = member.from_dict({"kind": kind, **SMALL.get(kind, {})}).build(HeadSizes(features, counts.numpy(), None, generator))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05, fused=True)
    start = head.nll(hidden, targets).mean().item()
    for _ in range(20):
        for batch in torch.randperm(tokens, generator=generator).split(256):
            optimizer.zero_grad()
            head.loss(hidden[batch], targets[batch], generator).mean().backward()
            optimizer.step()
    end = head.nll(hidden, targets).mean().item()
    assert end < start - 1
    assert (end < 1.15 * entropy) == (kind != "negative_sampling")
