"""Dropout: what is zeroed, what never is, and that p = 0 leaves the generator alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from vae_core.dropout import Noise, dropout, embedding_dropout, locked_mask, word_dropout

B, T, E = 40, 25, 20
UNK, BOS, PAD = 0, 8, 9
TOKENS = torch.cat([torch.full((B, 1), BOS), torch.arange(B * (T - 2)).view(B, T - 2) % 8, torch.full((B, 1), PAD)], 1)
VECTORS = torch.rand(B, T, E, dtype=torch.float64, generator=Generator().manual_seed(1)) + 1  # nowhere 0

REGULARISERS: dict[str, Callable[[float, Generator], Tensor]] = {
    "dropout": lambda p, generator: dropout(VECTORS, p, generator),
    "gaussian_dropout": lambda p, generator: dropout(VECTORS, p, generator, "gaussian"),
    "embedding_dropout": lambda p, generator: embedding_dropout(VECTORS, TOKENS, p, generator),
    "word_dropout": lambda p, generator: word_dropout(TOKENS, p, UNK, (BOS, PAD), generator),
    "locked_mask": lambda p, generator: locked_mask((B, 1, E), p, generator, VECTORS.dtype),
}
every_regulariser = pytest.mark.parametrize("name", REGULARISERS)


@every_regulariser
def test_a_rate_of_zero_draws_nothing_and_changes_nothing(name: str) -> None:
    generator = Generator().manual_seed(3)
    before = generator.get_state()
    result = REGULARISERS[name](0.0, generator)
    unchanged = {"word_dropout": TOKENS, "locked_mask": torch.ones(B, 1, E, dtype=VECTORS.dtype)}.get(name, VECTORS)
    assert torch.equal(result, unchanged)
    assert name == "locked_mask" or result is unchanged
    assert torch.equal(generator.get_state(), before)


@every_regulariser
def test_draws_come_from_the_generator_alone(name: str) -> None:
    before, tokens, vectors = torch.get_rng_state(), TOKENS.clone(), VECTORS.clone()
    first, again, other = (REGULARISERS[name](0.4, Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(TOKENS, tokens)  # the input is left as it was
    assert torch.equal(VECTORS, vectors)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_at_its_rate_and_scales_the_rest(p: float) -> None:
    x = VECTORS.clone().requires_grad_()
    dropped = dropout(x, p, Generator().manual_seed(3))
    zero = dropped == 0
    torch.testing.assert_close(dropped[~zero], (x / (1 - p))[~zero], rtol=1e-12, atol=0)
    assert float(zero.double().mean()) == pytest.approx(p, abs=4 * (p * (1 - p) / zero.numel()) ** 0.5)
    (gradient,) = torch.autograd.grad(dropped.sum(), x)
    torch.testing.assert_close(gradient, (~zero).double() / (1 - p), rtol=1e-12, atol=0)


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_both_noises_have_mean_one_and_the_same_variance(noise: Noise, p: float) -> None:
    drawn = dropout(torch.ones(400_000, dtype=torch.float64), p, Generator().manual_seed(3), noise)
    variance, n = p / (1 - p), drawn.numel()
    assert drawn.mean().item() == pytest.approx(1.0, abs=5 * (variance / n) ** 0.5)
    fourth = 3 * variance**2 if noise == "gaussian" else p + (1 - p) * variance**4  # the fourth central moment
    assert drawn.var().item() == pytest.approx(variance, abs=5 * ((fourth - variance**2) / n) ** 0.5 + 10 / n)


def test_gaussian_noise_is_normal_and_zeroes_nothing() -> None:
    drawn = dropout(torch.ones(100_000, dtype=torch.float64), 0.3, Generator().manual_seed(3), "gaussian")
    standard = (drawn - 1.0) / (0.3 / 0.7) ** 0.5
    assert (drawn != 0).all()
    for bound, below in ((-1.0, 0.158655), (0.0, 0.5), (1.0, 0.841345), (2.0, 0.977250)):
        assert (standard < bound).double().mean().item() == pytest.approx(below, abs=5 * (0.25 / 100_000) ** 0.5)


def test_a_locked_mask_is_the_same_at_every_step_and_differs_between_sequences() -> None:
    mask = locked_mask((B, 1, E), 0.4, Generator().manual_seed(3), VECTORS.dtype)
    zero = VECTORS * mask == 0
    assert (zero == zero[:, :1]).all()
    assert len(zero[:, 0].unique(dim=0)) == B
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert float(zero.double().mean()) == pytest.approx(0.4, abs=4 * (0.24 / (B * E)) ** 0.5)


def test_word_dropout_keeps_what_it_must() -> None:
    replaced = word_dropout(TOKENS, 0.3, UNK, (BOS, PAD), Generator().manual_seed(3))
    words = (TOKENS != BOS) & (TOKENS != PAD) & (TOKENS != UNK)
    changed = replaced != TOKENS
    assert (replaced[changed] == UNK).all()
    assert not changed[~words].any()
    assert float(changed[words].double().mean()) == pytest.approx(0.3, abs=4 * (0.21 / int(words.sum())) ** 0.5)
    assert replaced.dtype == torch.int64


def test_word_dropout_of_everything() -> None:
    replaced = word_dropout(TOKENS, 1.0, UNK, (BOS, PAD), Generator().manual_seed(3))
    assert (replaced[:, 1:-1] == UNK).all()
    assert (replaced[:, 0] == BOS).all()
    assert (replaced[:, -1] == PAD).all()


def test_embedding_dropout_zeroes_a_word_type_wherever_it_stands() -> None:
    tokens = torch.randint(0, 3000, (B, T), generator=Generator().manual_seed(2)) // 2 * 2 + 7  # ids with gaps
    dropped = embedding_dropout(VECTORS, tokens, 0.3, Generator().manual_seed(3))
    zero = dropped == 0
    assert (zero == zero[..., :1]).all()  # the whole vector
    types = tokens.unique()
    gone = torch.stack([zero[tokens == word].all() for word in types])
    kept = torch.stack([~zero[tokens == word].any() for word in types])
    assert (gone ^ kept).all()  # all places of a type, or none
    assert float(gone.double().mean()) == pytest.approx(0.3, abs=4 * (0.21 / len(types)) ** 0.5)
    torch.testing.assert_close(dropped[~zero], (VECTORS / 0.7)[~zero], rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["dropout", "gaussian_dropout", "embedding_dropout", "locked_mask"])
@pytest.mark.parametrize("p", [1.0, -0.1])
def test_a_rate_that_cannot_be_scaled_is_a_fault(name: str, p: float) -> None:
    with pytest.raises(AssertionError, match="dropout rate"):
        REGULARISERS[name](p, Generator())
