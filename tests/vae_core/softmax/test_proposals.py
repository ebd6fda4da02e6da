"""Proposals: their probabilities, and draws that follow them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Generator

from vae_core.softmax.config import SampledSoftmax
from vae_core.softmax.proposals import PROPOSALS, Proposal, draw_distinct, expected_tries, log_expected_count, make_proposal

COUNTS = np.array([500, 200, 100, 50, 20, 10, 5, 2, 1, 0])


@pytest.fixture(params=sorted(PROPOSALS))
def proposal(request: pytest.FixtureRequest) -> Proposal:
    return PROPOSALS[request.param](COUNTS)


def test_the_table_has_what_the_config_allows() -> None:
    allowed = SampledSoftmax.model_fields["proposal"].annotation.__args__  # type: ignore[union-attr]  # a Literal
    assert sorted(PROPOSALS) == sorted(allowed)


def test_probabilities_sum_to_one(proposal: Proposal) -> None:
    assert float(proposal.log_q.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    assert proposal.log_q.isfinite().all()  # every class can be drawn, also one that was never seen


def test_probabilities_by_hand() -> None:
    q = {name: PROPOSALS[name](COUNTS).log_q.exp().tolist() for name in PROPOSALS}
    assert q["uniform"][3] == pytest.approx(1 / 10)
    assert q["unigram"][0] == pytest.approx(500 / 889)
    assert q["unigram"][9] == pytest.approx(1 / 889)
    assert q["log_uniform"][0] == pytest.approx(math.log(2) / math.log(11))
    assert q["log_uniform"][9] == pytest.approx(math.log(11 / 10) / math.log(11))


def test_frequency_to_a_power() -> None:
    """A root takes from the frequent and gives to the rare; draws follow what ``log_q`` says."""
    proposal = make_proposal(SampledSoftmax(proposal="unigram", power=0.5), COUNTS)
    roots = np.sqrt(np.maximum(COUNTS, 1))
    np.testing.assert_allclose(proposal.log_q.exp().numpy(), roots / roots.sum(), rtol=1e-6)
    draws, q = 200_000, proposal.log_q.exp()
    found = torch.bincount(proposal.draw(draws, Generator().manual_seed(0)), minlength=10) / draws
    assert ((found - q).abs() < 4.5 * torch.sqrt(q * (1 - q) / draws)).all()


@pytest.mark.parametrize("name", sorted(PROPOSALS))
def test_the_config_s_proposal_is_made(name: str) -> None:
    made = make_proposal(SampledSoftmax.from_dict({"proposal": name}), COUNTS)
    assert type(made) is PROPOSALS[name]
    assert torch.equal(made.log_q, PROPOSALS[name](COUNTS).log_q)


def test_draws_follow_the_probabilities(proposal: Proposal) -> None:
    draws = 400_000
    q = proposal.log_q.exp()
    found = torch.bincount(proposal.draw(draws, Generator().manual_seed(0)), minlength=10) / draws
    assert ((found - q).abs() < 4.5 * torch.sqrt(q * (1 - q) / draws)).all()


@pytest.mark.parametrize("name", sorted(PROPOSALS))
def test_distinct_draws_are_distinct_and_as_likely_as_said(name: str) -> None:
    """1 - (1 - q)^T at the T of each draw against how often classes are drawn: equal to O(1/S), here 2% (S = 100)."""
    proposal = PROPOSALS[name](10_000 // np.arange(1, 401))
    generator, draws = Generator().manual_seed(0), 2000
    drawn, expected = torch.zeros(400, dtype=torch.float64), torch.zeros(400, dtype=torch.float64)
    for _ in range(draws):
        ids, tries = draw_distinct(proposal, 100, generator, tries=200)
        assert len(ids.unique()) == 100 <= tries
        drawn[ids] += 1 / draws
        expected += log_expected_count(proposal.log_q, tries).exp() / draws
    for block in (slice(0, 20), slice(20, 100), slice(100, 400)):  # frequent, middling and rare words
        assert float(drawn[block].sum()) == pytest.approx(float(expected[block].sum()), rel=0.02)


def test_how_many_are_drawn_at_a_time_changes_nothing(proposal: Proposal) -> None:
    one, other = (draw_distinct(proposal, 6, Generator().manual_seed(0), tries=tries) for tries in (3, 4000))
    assert torch.equal(one[0], other[0])
    assert one[1] == other[1]


def test_tries_are_counted_to_the_last_new_class() -> None:
    class Scripted(PROPOSALS["uniform"]):  # type: ignore[misc]  # a class from a table
        def draw(self, count: int, generator: Generator) -> torch.Tensor:
            return torch.tensor([3, 3, 1, 3, 7, 1, 0, 2])[:count]

    ids, tries = draw_distinct(Scripted(COUNTS), 3, Generator(), tries=8)
    assert ids.tolist() == [3, 1, 7]
    assert tries == 5


def test_every_class_is_no_matter_of_chance(proposal: Proposal) -> None:
    ids, tries = draw_distinct(proposal, 10, Generator(), tries=1)
    assert ids.tolist() == list(range(10))
    assert tries == 0


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_expected_tries_is_the_least(proposal: Proposal, count: int) -> None:
    tries = expected_tries(proposal.log_q, count)

    def distinct(tries: int) -> float:
        return float((1 - (1 - proposal.log_q.exp()) ** tries).sum())

    assert distinct(tries) >= count - 1e-9
    assert tries == 1 or distinct(tries - 1) < count + 1e-9
