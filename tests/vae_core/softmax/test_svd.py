"""The SVD softmax: exact at either end, best in between, and never silently old."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

import vae_core.softmax.svd
from vae_core.softmax.config import AnySoftmax, FullSoftmax, SampledSoftmax, SoftmaxConfig
from vae_core.softmax.full import FullHead
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.svd import StaleError, SvdHead, require_full

MakeSizes = Callable[..., HeadSizes]
D, V, N = 8, 200, 5


def trained(sizes: HeadSizes) -> FullHead:
    """A head whose weight has singular values of many sizes, and a bias."""
    head = FullSoftmax().build(sizes)
    assert isinstance(head, FullHead)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        directions = torch.linalg.qr(torch.randn(D, D, generator=generator)).Q
        spectrum = 2.0 ** -torch.arange(D)
        head.weight.copy_(torch.randn(V, D, generator=generator) * spectrum @ directions)
        head.bias.normal_(generator=generator)
    return head.double()


@pytest.fixture
def hidden() -> Tensor:
    return 3 * torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=[False, True], ids=["own", "tied"])
def head(request: pytest.FixtureRequest, make_sizes: MakeSizes) -> FullHead:
    return trained(make_sizes(D, V, tied=request.param))


@pytest.mark.parametrize(("width", "top"), [(D, 1), (D, 7), (1, V), (3, V), (D, V)])
def test_exact_at_full_width_or_with_every_word(width: int, top: int, head: FullHead, hidden: Tensor) -> None:
    found = SvdHead(head, width, top).log_probs(hidden)
    torch.testing.assert_close(found, head.log_probs(hidden), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_the_preview_is_the_best_of_its_rank(width: int, head: FullHead) -> None:
    """Eckart & Young: the squared error over all states on a sphere is the sum of the squared singular values left out."""
    svd = SvdHead(head, width, 1)
    left_out = torch.linalg.svdvals(head.weight)[width:]
    error = head.weight - svd._preview @ svd._basis.T
    torch.testing.assert_close(error.square().sum(), left_out.square().sum(), rtol=1e-10, atol=0)


def test_the_formula_word_by_word(head: FullHead, hidden: Tensor) -> None:
    width, top = 3, 10
    u, s, xt = torch.linalg.svd(head.weight.detach(), full_matrices=False)
    for h, found in zip(hidden, SvdHead(head, width, top).log_probs(hidden), strict=True):
        logits = (u * s)[:, :width] @ (xt @ h)[:width] + head.bias.detach()
        best = logits.argsort(descending=True)[:top]
        logits[best] = (head.weight @ h + head.bias).detach()[best]
        torch.testing.assert_close(found, logits.log_softmax(0), rtol=1e-9, atol=1e-9)


def test_wider_previews_and_more_words_come_nearer(head: FullHead, hidden: Tensor) -> None:
    exact = head.log_probs(hidden)

    def error(width: int, top: int) -> float:
        return (SvdHead(head, width, top).log_probs(hidden).exp() - exact.exp()).abs().sum().item()

    by_width, by_top = [error(width, 5) for width in (1, 3, 5, 7)], [error(2, top) for top in (1, 5, 50, 199)]
    assert by_width == sorted(by_width, reverse=True)
    assert by_top == sorted(by_top, reverse=True)
    assert by_width[-1] < 0.02 < by_width[0]


def test_it_stays_a_distribution(head: FullHead, hidden: Tensor) -> None:
    log_probs = SvdHead(head, 2, 5).log_probs(hidden)
    torch.testing.assert_close(log_probs.logsumexp(1), torch.zeros(N, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_a_training_step_makes_it_stale(
    optimizer: type[torch.optim.Optimizer], fused: bool, head: FullHead, hidden: Tensor
) -> None:
    svd = SvdHead(head, 3, 10)
    assert not svd.stale
    head.loss(hidden, torch.tensor([0, 4, 9, 40, 150])).sum().backward()
    optimizer(head.parameters(), lr=0.1, fused=fused).step()  # type: ignore[call-arg]  # every optimiser has them
    assert svd.stale
    with pytest.raises(StaleError, match="refresh"):
        svd.log_probs(hidden)
    svd.refresh()
    fresh = SvdHead(head, 3, 10).log_probs(hidden)
    assert torch.equal(svd.log_probs(hidden), fresh)


def test_a_rare_word_s_update_makes_it_stale(head: FullHead) -> None:
    svd = SvdHead(head, 3, 10)
    with torch.no_grad():
        head.weight[V - 1] += 1
    assert svd.stale


def test_loaded_moved_and_replaced_weights_make_it_stale(head: FullHead) -> None:
    svd = SvdHead(head, 3, 10)
    head.load_state_dict(head.state_dict())
    assert svd.stale
    svd.refresh()
    head.weight.data = head.weight.data.clone()
    assert svd.stale
    svd.refresh()
    head.weight = nn.Parameter(head.weight.detach())
    assert svd.stale
    svd.refresh()
    assert not svd.stale


def test_a_new_bias_is_seen_at_once(head: FullHead, hidden: Tensor) -> None:
    svd = SvdHead(head, D, 1)
    with torch.no_grad():
        head.bias.add_(torch.linspace(-1, 1, V, dtype=torch.float64))
    torch.testing.assert_close(svd.log_probs(hidden), head.log_probs(hidden), rtol=1e-10, atol=1e-10)


def test_it_leaves_the_head_as_it_was(head: FullHead, hidden: Tensor) -> None:
    before = head.weight.detach().clone(), head.bias.detach().clone()
    log_probs = SvdHead(head, 3, 10).log_probs(hidden)
    assert not log_probs.requires_grad
    assert torch.equal(head.weight, before[0])
    assert torch.equal(head.bias, before[1])


def test_a_head_trained_by_samples_has_a_full_softmax_too(hidden: Tensor, make_sizes: MakeSizes) -> None:
    head = SampledSoftmax(samples=10).build(make_sizes(D, V)).double()
    assert isinstance(head, FullHead)
    torch.testing.assert_close(SvdHead(head, D, 1).log_probs(hidden), head.log_probs(hidden), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("entries", [1, 3 * (V + 10 * D), 2**24])
def test_words_are_scored_some_at_a_time(entries: int, head: FullHead, hidden: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vae_core.softmax.svd, "ENTRIES", entries)
    svd, targets = SvdHead(head, 3, 10), torch.tensor([0, 4, 9, 40, 150])
    expected = -svd.log_probs(hidden).gather(1, targets.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(svd.nll(hidden, targets), expected, rtol=1e-12, atol=1e-12)
    assert svd.nll(hidden[:0], targets[:0]).shape == (0,)


@pytest.mark.parametrize("member", get_args(get_args(AnySoftmax)[0]), ids=lambda member: member.model_fields["kind"].default)
def test_the_config_knows_which_heads_are_scored_by_a_full_softmax(member: type[SoftmaxConfig], make_sizes: MakeSizes) -> None:
    head = member().build(make_sizes(D, 10_500))
    if member.full:
        assert require_full(head, D, 1) is head
    else:
        with pytest.raises(ValueError, match="stands in for a full softmax"):
            SvdHead(head, D, 1)


def test_a_head_with_log_probabilities_of_its_own_is_refused(make_sizes: MakeSizes) -> None:
    class Squared(FullHead):
        def log_probs(self, hidden: Tensor) -> Tensor:
            return super().log_probs(hidden.square())

    with pytest.raises(ValueError, match="scored by another"):
        SvdHead(Squared(make_sizes(D, V)), D, 1)


@pytest.mark.parametrize(("width", "top"), [(0, 1), (D + 1, 1), (1, 0), (1, V + 1)])
def test_sizes_out_of_range_are_refused(width: int, top: int, head: FullHead) -> None:
    with pytest.raises(ValueError, match=r"must lie between 1 and the (8 features|200 words)"):
        SvdHead(head, width, top)
