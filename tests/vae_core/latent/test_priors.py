"""Every prior is a density that its samples are of; mixtures and flows are what they are by definition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from tests.vae_core.latent.priors import FEATURES, LEARNED, PRIORS, UNLABELLED, make_prior
from vae_core.latent.config import AnyPrior, MixturePrior
from vae_core.latent.flow import Flow
from vae_core.latent.gaussian import DiagonalGaussian, GaussianPosterior, StandardNormal
from vae_core.latent.interface import Points, Posterior, PriorDensity, PriorSizes, divergence
from vae_core.latent.mixture import GaussianMixture, Mixture, Vamp
from vae_core.latent.pseudo_inputs import PseudoSummaries

DRAWS = 100_000


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def codes(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def lattice(size: int) -> tuple[Tensor, float]:
    """Points (1, N, Z) all over the space, and the volume that each stands for."""
    step = 0.01 if size == 1 else 0.05
    axis = torch.arange(-10.0, 10.0, step, dtype=torch.float64)
    points = axis.unsqueeze(1) if size == 1 else torch.cartesian_prod(axis, axis)
    return points.unsqueeze(0), step**size


def near(values: Tensor, truth: float) -> bool:
    """Whether the mean of independent values is within 4.5 of its standard errors."""
    return abs(values.mean().item() - truth) < 4.5 * values.std().item() / len(values) ** 0.5


def random_posterior(examples: int = 3, size: int = 2) -> DiagonalGaussian:
    return DiagonalGaussian(*(0.8 * codes(2, examples, size, seed=8)))


def test_every_prior_is_here():
    assert {type(config) for config in PRIORS.values()} == {*get_args(get_args(AnyPrior)[0])}


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", UNLABELLED)
@torch.no_grad()
def test_the_density_integrates_to_one(name: str, size: int):
    points, volume = lattice(size)
    density = make_prior(PRIORS[name], size).given(None).log_prob(points).exp()
    assert density.shape == (1, points.shape[1])
    assert density.sum().item() * volume == pytest.approx(1.0, abs=1e-3)  # a spline has kinks


@pytest.mark.parametrize("name", UNLABELLED)
@torch.no_grad()
def test_samples_are_of_the_density(name: str):
    """Entropy, means, second moments and the share of a quarter of the plane, against sums over the plane."""
    density: PriorDensity = make_prior(PRIORS[name]).given(None)
    z = density.sample(DRAWS, generator()).double()
    assert z.shape == (DRAWS, 2)
    (points,), volume = lattice(2)
    mass = density.log_prob(points.unsqueeze(0))[0].exp() * volume

    def quarter(z: Tensor) -> Tensor:
        return ((z[:, 0] > 0.4) & (z[:, 1] < 0.2)).double()

    assert z.abs().max() < 9.5  # the sums leave nothing out
    log_prob = density.log_prob(points.unsqueeze(0))[0]
    assert near(-density.log_prob(z.unsqueeze(0))[0], -(mass * log_prob).sum().item())
    assert near(quarter(z), (mass * quarter(points)).sum().item())
    for first, second in ((0, 0), (0, 1), (1, 1)):
        assert near(z[:, first], (mass * points[:, first]).sum().item())
        assert near(z[:, first] * z[:, second], (mass * points[:, first] * points[:, second]).sum().item())


@pytest.mark.parametrize("name", UNLABELLED)
@torch.no_grad()
def test_the_divergence_is_that_of_the_densities(name: str):
    """Closed form or not: its mean over samples is the sum of q log q / p over the plane."""
    prior, posterior = make_prior(PRIORS[name]), random_posterior()
    points, volume = lattice(2)
    density: PriorDensity = prior.given(None)
    log_q = posterior.pairwise_log_prob(points[0]).T  # (3, N)
    truth = ((log_q - density.log_prob(points)) * log_q.exp()).sum(1) * volume
    drawn = [divergence(posterior, density, Points(posterior.draw(1, generator(seed)))).sum(-1) for seed in range(2000)]
    table = torch.stack(drawn)
    if density.kl(posterior) is not None:
        torch.testing.assert_close(table, truth.expand_as(table), rtol=1e-6, atol=1e-6)
    else:
        assert drawn[0].shape == (3,)
        assert all(near(column, kl.item()) for column, kl in zip(table.T, truth, strict=True))


@dataclass(frozen=True)
class Unclosed(StandardNormal):
    """N(0, I) as if its KL had no closed form."""

    def kl(self, posterior: Posterior) -> Tensor | None:
        return None


def test_the_estimate_of_the_kl_has_the_closed_form_as_mean_and_its_gradient():
    """With the standard prior, where both are there; weighted points too."""
    posterior = random_posterior(examples=1)
    mean, log_variance = (part.clone().requires_grad_() for part in (posterior.mean, posterior.log_variance))
    leaf = DiagonalGaussian(mean, log_variance)
    exact = leaf.kl().sum()
    expected = torch.cat(
        (exact.detach().view(1), *(slope.flatten() for slope in torch.autograd.grad(exact, (mean, log_variance))))
    )
    weight = torch.tensor([[0.7], [0.1], [0.2]], dtype=torch.float64)
    rows = []
    for seed in range(4000):
        estimate = divergence(leaf, Unclosed(2), Points(leaf.draw(3, generator(seed)), weight))
        assert estimate.shape == (1, 1)
        slopes = torch.autograd.grad(estimate.sum(), (mean, log_variance))
        rows.append(torch.cat((estimate.detach().flatten(), *(slope.flatten() for slope in slopes))))
    table = torch.stack(rows)
    assert all(near(column, truth.item()) for column, truth in zip(table.T, expected, strict=True))


@pytest.mark.parametrize("name", UNLABELLED)
def test_samples_repeat_and_come_from_the_given_generator_alone(name: str):
    density: PriorDensity = make_prior(PRIORS[name]).given(None)
    torch.manual_seed(1)
    first, other = density.sample(6, generator(5)), density.sample(6, generator(6))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(density.sample(6, generator(5)), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_of_the_density_reach_every_parameter(name: str):
    prior = make_prior(PRIORS[name])
    loss = -prior.given(None).log_prob(codes(2, 40, 2)).mean()
    slopes = torch.autograd.grad(loss, list(prior.parameters()))
    assert all(slope.any() for slope in slopes)


@pytest.mark.parametrize("name", ["mixture", "nsf", "maf"])
@torch.no_grad()
def test_single_precision_keeps_the_digits(name: str):
    """Of components as narrow as e^-5 far from the middle, too, where squares multiplied out would lose them."""
    prior = make_prior(PRIORS[name])
    if isinstance(prior, GaussianMixture):
        prior.log_variance.fill_(-10.0)
        prior.mean.mul_(5.0)
    z = prior.given(None).sample(200, generator()).double()
    exact = prior.given(None).log_prob(z.unsqueeze(0))
    found = prior.float().given(None).log_prob(z.float().unsqueeze(0))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-3)


# -- mixtures ---------------------------------------------------------------------------------------------------------------


def test_a_mixture_equals_torch_s_own():
    prior = make_prior(PRIORS["mixture"], size=4)
    assert isinstance(prior, GaussianMixture)
    parts = Independent(Normal(prior.mean, (0.5 * prior.log_variance).exp()), 1)
    truth = MixtureSameFamily(Categorical(logits=prior.logits), parts)
    z = 2.0 * codes(3, 7, 4)
    torch.testing.assert_close(prior.given(None).log_prob(z), truth.log_prob(z), rtol=1e-12, atol=1e-12)


def test_one_standard_component_is_the_standard_prior():
    prior = make_prior(MixturePrior(components=1), size=4)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.zero_()
    z = codes(3, 7, 4)
    torch.testing.assert_close(prior.given(None).log_prob(z), StandardNormal(4).log_prob(z), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_mixture_starts_with_mean_0_and_variance_1_and_with_components_apart():
    layer = GaussianPosterior(FEATURES, 8, generator())
    prior = MixturePrior(components=500).build(PriorSizes(layer, PseudoSummaries(FEATURES, layer), generator(1)))
    assert isinstance(prior, GaussianMixture)
    z = prior.given(None).sample(DRAWS, generator(2))
    assert z.mean(0).abs().max() < 0.15  # 500 means of standard deviation 0.7: a standard error of 0.03
    assert (z.var(0) - 1.0).abs().max() < 0.15
    assert torch.cdist(prior.mean, prior.mean).fill_diagonal_(torch.inf).min() > 0.1


def test_far_from_all_components_the_density_is_that_of_the_nearest():
    """Where every density underflows, its logarithm is still right."""
    mean = torch.tensor([[0.0], [3.0]], dtype=torch.float64)
    density = Mixture(DiagonalGaussian(mean, torch.zeros_like(mean)), torch.zeros(2, dtype=torch.float64))
    expected = math.log(0.5) - 0.5 * math.log(2.0 * math.pi) - 0.5 * 97.0**2
    assert density.log_prob(torch.full((1, 1, 1), 100.0, dtype=torch.float64)).item() == pytest.approx(expected, rel=1e-12)


def test_a_vamp_prior_is_the_mean_of_the_posteriors_of_its_inputs():
    prior = make_prior(PRIORS["vamp"], size=3)
    assert isinstance(prior, Vamp)
    density = prior.given(None)
    posterior = density.components
    assert isinstance(posterior, DiagonalGaussian)
    assert posterior.mean.shape == (4, 3)
    z = codes(2, 7, 3)
    each = torch.stack(
        [
            Independent(Normal(m, (0.5 * v).exp()), 1).log_prob(z).exp()
            for m, v in zip(posterior.mean, posterior.log_variance, strict=True)
        ]
    )
    torch.testing.assert_close(density.log_prob(z).exp(), each.mean(0), rtol=1e-10, atol=0.0)


# -- flows ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nsf", "maf"])
def test_a_flow_s_density_is_the_change_of_variables(name: str):
    """log N(f(z); 0, I) + log |det df/dz|, with the Jacobian by automatic differentiation."""
    prior = make_prior(PRIORS[name], size=3)
    assert isinstance(prior, Flow)
    density = prior.given(None)
    for z in codes(5, 3):
        noise = density.flow.transform(z)
        jacobian = torch.autograd.functional.jacobian(density.flow.transform, z)
        expected = StandardNormal(3).log_prob(noise) + torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(density.log_prob(z.view(1, 1, 3))[0, 0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["nsf", "maf"])
@torch.no_grad()
def test_a_flow_s_samples_are_noise_sent_back(name: str):
    density = make_prior(PRIORS[name], size=3).given(None)
    z = density.sample(50, generator(4))
    noise = torch.randn(50, 3, generator=generator(4)).double()
    torch.testing.assert_close(density.flow.transform(z), noise, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LEARNED)
def test_first_weights_depend_on_the_generator_alone(name: str):
    def built(seed: int) -> list[Tensor]:
        layer = GaussianPosterior(FEATURES, 3, generator())
        prior = PRIORS[name].build(PriorSizes(layer, PseudoSummaries(FEATURES, layer), generator(seed)))
        return [weight.detach() for weight in prior.parameters()]

    torch.manual_seed(1)
    first, other = built(7), built(8)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = built(7)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert any(not torch.equal(one, two) for one, two in zip(first, other, strict=True))
