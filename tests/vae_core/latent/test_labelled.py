"""The prior of a label: torch's own Gaussians, picked by label."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Independent, Normal, kl_divergence

from tests.vae_core.latent.priors import PRIORS, make_prior
from vae_core.latent.gaussian import DiagonalGaussian, GaussianPosterior, StandardNormal
from vae_core.latent.interface import PriorSizes
from vae_core.latent.labelled import LabelGaussians
from vae_core.latent.pseudo_inputs import PseudoSummaries

LABELS = torch.tensor([2, 0, 2, 1, 0])


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def codes(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def label_prior(size: int = 4) -> LabelGaussians:
    prior = make_prior(PRIORS["label"], size)
    assert isinstance(prior, LabelGaussians)
    with torch.no_grad():
        prior.mean.copy_(codes(3, size, seed=4))
        prior.log_variance.copy_(codes(3, size, seed=5))
    return prior


def truth(prior: LabelGaussians) -> Independent:
    """p(z|y) of each of LABELS."""
    return Independent(Normal(prior.mean[LABELS], (0.5 * prior.log_variance[LABELS]).exp()), 1)


def test_densities_are_those_of_each_label():
    prior, z = label_prior(), codes(3, 5, 4)
    torch.testing.assert_close(prior.given(LABELS).log_prob(z), truth(prior).log_prob(z), rtol=1e-12, atol=1e-12)


def test_the_kl_equals_torch_distributions_and_comes_by_dimension():
    prior = label_prior()
    posterior = DiagonalGaussian(*codes(2, 5, 4, seed=1))
    found = prior.given(LABELS).kl(posterior)
    assert found is not None
    assert found.shape == (5, 4)
    expected = kl_divergence(Independent(Normal(posterior.mean, (0.5 * posterior.log_variance).exp()), 1), truth(prior))
    torch.testing.assert_close(found.sum(-1), expected, rtol=1e-12, atol=1e-12)


def test_the_kl_of_the_prior_to_itself_is_0_and_keeps_its_digits_close_to_it():
    """With a variance 1 + e times the prior's, KL = e^2 / 4 to first order."""
    prior = label_prior().float()
    own = DiagonalGaussian(prior.mean[LABELS], prior.log_variance[LABELS])
    found = prior.given(LABELS).kl(own)
    assert found is not None
    assert found.abs().max() == 0.0
    near = prior.given(LABELS).kl(DiagonalGaussian(own.mean, own.log_variance.double() + 1e-4))
    assert near is not None
    torch.testing.assert_close(near, torch.full_like(near, 2.5e-9), rtol=1e-3, atol=0.0)


def test_at_first_every_label_has_the_standard_prior():
    layer = GaussianPosterior(5, 4, generator())
    prior = PRIORS["label"].build(PriorSizes(layer, PseudoSummaries(5, layer), generator(), labels=3))
    posterior, z = DiagonalGaussian(*codes(2, 5, 4, seed=1)), codes(3, 5, 4)
    density = prior.given(LABELS)
    torch.testing.assert_close(density.log_prob(z), StandardNormal(4).log_prob(z), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(density.kl(posterior), posterior.kl_per_dimension(), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_samples_are_of_the_label_s_own_gaussian():
    prior, count = label_prior(), 30_000
    labels = torch.arange(3).repeat(count)
    z = prior.given(labels).sample(3 * count, generator(7)).double()
    for label in range(3):
        own = z[labels == label]
        standard_error = (0.5 * prior.log_variance[label]).exp() / count**0.5
        assert ((own.mean(0) - prior.mean[label]).abs() < 5 * standard_error).all()
        torch.testing.assert_close(own.var(0).log(), prior.log_variance[label], rtol=0.0, atol=0.05)
    assert torch.equal(prior.given(labels).sample(3 * count, generator(7)).double(), z)


def test_gradients_reach_the_labels_that_are_there_and_no_others():
    prior = label_prior()
    prior.given(torch.tensor([2, 0])).log_prob(codes(1, 2, 4)).sum().backward()
    for parameter in prior.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum(1).bool().tolist() == [True, False, True]


def test_data_without_labels_are_our_own_bug():
    with pytest.raises(AssertionError):
        label_prior().given(None)
