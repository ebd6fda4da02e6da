"""The posterior against torch.distributions, and the KL against its known values (definitions.md 1)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from vae_core.latent.gaussian import DiagonalGaussian, GaussianPosterior, standard_normal_log_prob

REAL = st.floats(-8.0, 8.0, allow_nan=False)


def random_posterior(examples: int = 5, size: int = 3) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(0)
    return DiagonalGaussian(*torch.randn(2, examples, size, generator=generator, dtype=torch.float64))


def as_distribution(posterior: DiagonalGaussian) -> Independent:
    return Independent(Normal(posterior.mean, (0.5 * posterior.log_variance).exp()), 1)


def test_kl_of_the_prior_to_itself_is_exactly_zero():
    zeros = torch.zeros(2, 7)
    assert DiagonalGaussian(zeros, zeros).kl().tolist() == [0.0, 0.0]


def test_kl_of_a_unit_shift_is_half_a_nat_a_dimension():
    assert DiagonalGaussian(torch.ones(1, 7), torch.zeros(1, 7)).kl().item() == pytest.approx(3.5, rel=1e-7)


@given(st.lists(st.tuples(REAL, REAL), min_size=1, max_size=6))
def test_kl_is_never_negative(parameters: list[tuple[float, float]]):
    mean, log_variance = torch.tensor(parameters, dtype=torch.float64).T.unsqueeze(1)
    assert DiagonalGaussian(mean, log_variance).kl().item() >= 0.0


def test_kl_keeps_its_digits_close_to_the_prior():
    """With variance 1 + e, KL = e^2/4 to first order; 1 + log var - var would be all rounding in float32."""
    tiny = torch.full((1, 1), 1e-4)
    assert DiagonalGaussian(torch.zeros(1, 1), tiny).kl().item() == pytest.approx(2.5e-9, rel=0.02)


def test_kl_and_densities_equal_torch_distributions():
    posterior = random_posterior()
    truth = as_distribution(posterior)
    prior = Independent(Normal(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)), 1)
    z = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(posterior.kl(), kl_divergence(truth, prior), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(posterior.log_prob(z), truth.log_prob(z), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(standard_normal_log_prob(z), prior.log_prob(z), rtol=1e-12, atol=1e-12)


def test_samples_have_the_posterior_s_mean_and_variance():
    posterior = random_posterior(examples=2)
    z = posterior.draw(200_000, torch.Generator().manual_seed(2))
    standard_error = (0.5 * posterior.log_variance).exp() / 200_000**0.5
    assert ((z.mean(0) - posterior.mean).abs() < 5 * standard_error).all()
    torch.testing.assert_close(z.var(0).log(), posterior.log_variance, atol=0.02, rtol=0.0)


def test_the_layer_splits_mean_and_log_variance():
    layer = GaussianPosterior(6, 4, torch.Generator().manual_seed(0))
    posterior = layer(torch.zeros(3, 6))
    bias = layer.layer.bias
    torch.testing.assert_close(posterior.mean, bias[:4].expand(3, 4))
    torch.testing.assert_close(posterior.log_variance, bias[4:].expand(3, 4))
