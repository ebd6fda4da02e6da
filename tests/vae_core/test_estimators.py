"""Estimators on models whose answers are known in closed form (definitions.md 18-21); float64 throughout."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from vae_core.estimators import active_units, importance_weighted_nll, mutual_information, perplexity
from vae_core.latent.gaussian import DiagonalGaussian, standard_normal_log_prob

SIZE, PIXELS, EXAMPLES, NOISE_STD = 3, 6, 40, 0.7


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class LinearGaussian:
    """x = W z + b + e, z ~ N(0, I), e ~ N(0, s^2 I), the columns of W orthogonal: the true posterior is diagonal."""

    def __init__(self) -> None:
        basis, _ = torch.linalg.qr(randn(PIXELS, SIZE, seed=0))
        self.weight = basis * torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
        self.offset = randn(PIXELS, seed=1)
        self.x = randn(EXAMPLES, SIZE, seed=2) @ self.weight.T + self.offset + NOISE_STD * randn(EXAMPLES, PIXELS, seed=3)

    def log_joint(self, z: Tensor) -> Tensor:
        return standard_normal_log_prob(z) + Normal(z @ self.weight.T + self.offset, NOISE_STD).log_prob(self.x).sum(-1)

    def nll(self) -> Tensor:
        covariance = self.weight @ self.weight.T + NOISE_STD**2 * torch.eye(PIXELS, dtype=torch.float64)
        return -MultivariateNormal(self.offset, covariance).log_prob(self.x)

    def true_posterior(self) -> DiagonalGaussian:
        precision = 1.0 + self.weight.square().sum(0) / NOISE_STD**2
        mean = (self.x - self.offset) @ self.weight / NOISE_STD**2 / precision
        return DiagonalGaussian(mean, -precision.log().expand_as(mean))

    def wrong_posterior(self) -> DiagonalGaussian:
        """Shifted by half a standard deviation, and wider by a half."""
        true = self.true_posterior()
        return DiagonalGaussian(true.mean + 0.5 * (0.5 * true.log_variance).exp(), true.log_variance + 2.0 * math.log(1.5))


@pytest.fixture(scope="module")
def model() -> LinearGaussian:
    return LinearGaussian()


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_the_true_posterior_gives_the_likelihood_without_variance(model: LinearGaussian, samples: int):
    for seed in range(3):
        noise = randn(samples, EXAMPLES, SIZE, seed=seed)
        nll = importance_weighted_nll(model.true_posterior(), model.log_joint, noise.split(3))
        torch.testing.assert_close(nll, model.nll(), rtol=1e-10, atol=1e-10)


def test_one_sample_is_the_elbo_in_expectation(model: LinearGaussian):
    """-ELBO = -log p(x) + KL(q || true posterior), here the same for every example."""
    wrong, count = model.wrong_posterior(), 4000
    gap = SIZE * 0.5 * (1.5**2 + 0.5**2 - 1.0 - 2.0 * math.log(1.5))
    draws = torch.stack(
        [importance_weighted_nll(wrong, model.log_joint, [randn(1, EXAMPLES, SIZE, seed=seed)]) for seed in range(count)]
    )
    excess = (draws - model.nll()).mean(1)
    assert excess.mean().item() == pytest.approx(gap, abs=5 * excess.std().item() / count**0.5)


def test_the_bound_falls_with_k_and_converges_from_above(model: LinearGaussian):
    wrong = model.wrong_posterior()

    def excess(samples: int) -> tuple[float, float]:
        runs = [importance_weighted_nll(wrong, model.log_joint, [randn(samples, EXAMPLES, SIZE, seed=s)]) for s in range(60)]
        means = torch.stack([(run - model.nll()).mean() for run in runs])
        return means.mean().item(), means.std().item() / 60**0.5

    results = [excess(samples) for samples in (1, 5, 25, 400)]
    for (looser, error), (tighter, other_error) in pairwise(results):
        assert looser - tighter > 3 * math.hypot(error, other_error)
    last, error = results[-1]
    assert -3 * error < last < 0.02


@pytest.mark.parametrize("chunk", [1, 3, 4, 10, 11, 64])
def test_chunks_change_nothing_where_they_do_not_divide_k(model: LinearGaussian, chunk: int):
    noise = randn(11, EXAMPLES, SIZE, seed=5)
    whole = importance_weighted_nll(model.wrong_posterior(), model.log_joint, [noise])
    chunked = importance_weighted_nll(model.wrong_posterior(), model.log_joint, noise.split(chunk))
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=1e-12)


def test_perplexity_of_a_uniform_guess_is_the_vocabulary():
    assert perplexity(17 * math.log(33278), 17) == pytest.approx(33278, rel=1e-12)


def test_perplexity_overflows_to_infinity():
    assert perplexity(1e6, 10) == math.inf


def test_a_constant_encoder_has_no_active_unit():
    assert active_units(torch.full((100, 5), 3.7, dtype=torch.float64)) == 0


def test_active_units_are_those_above_the_threshold():
    scale = torch.tensor([0.2, 0.09, 0.11, 1.0], dtype=torch.float64)  # variances 0.04, 0.0081, 0.0121, 1
    means = torch.tensor([[-1.0], [1.0]], dtype=torch.float64).repeat(50, 1) * scale
    assert active_units(means) == 3


def test_active_units_see_a_small_variance_about_a_large_mean():
    """E[z^2] - E[z]^2 would cancel all digits here."""
    means = 1e9 + torch.tensor([[-0.2, -0.05], [0.2, 0.05]], dtype=torch.float64).repeat(50, 1)
    assert active_units(means) == 1


def test_well_separated_posteriors_give_log_n():
    mean = 100.0 * torch.arange(64, dtype=torch.float64).unsqueeze(1).expand(64, 2)
    posterior = DiagonalGaussian(mean, torch.full_like(mean, -4.0))
    z = posterior.sample(randn(1, 64, 2, seed=0))[0]
    assert mutual_information(posterior, z) == pytest.approx(math.log(64), abs=1e-9)


def test_a_collapsed_posterior_has_no_information():
    """To rounding: the shared posterior stands on both sides of the difference."""
    posterior = DiagonalGaussian(torch.zeros(64, 3, dtype=torch.float64), torch.full((64, 3), 0.3, dtype=torch.float64))
    z = posterior.sample(randn(1, 64, 3, seed=0))[0]
    assert mutual_information(posterior, z) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("rows", [1, 7, 50])
def test_mutual_information_equals_its_definition_in_chunks_of_any_size(rows: int):
    posterior = DiagonalGaussian(3.0 + randn(50, 3, seed=1), randn(50, 3, seed=2))
    z = posterior.sample(randn(1, 50, 3, seed=3))[0]
    densities = posterior.log_prob(z.unsqueeze(1))  # log q(z_i|x_j), by the definition
    expected = (densities.diagonal() - densities.logsumexp(1) + math.log(50)).mean().item()
    assert mutual_information(posterior, z, max_bytes=8 * 50 * rows) == pytest.approx(expected, rel=1e-10)
    assert expected <= math.log(50)
