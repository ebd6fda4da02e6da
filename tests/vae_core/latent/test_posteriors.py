"""What holds of every posterior, whatever its family: the contract of the interface, and the scores that are read off it."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Generator

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.latent.posteriors import LATENTS, draws, make_layer, make_posterior, summaries
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.estimators import active_units, mutual_information
from vae_core.latent.config import AnyLatent, LatentConfig
from vae_core.latent.gaussian import DiagonalGaussian
from vae_core.latent.interface import Points, Posterior, divergence
from vae_core.moment import Moment

MANY = 50_000
TRAINED: dict[str, dict[str, Any]] = {
    "vmf": {"kind": "vmf", "size": 5},
    "vmf of one concentration": {"kind": "vmf", "size": 5, "concentration": 20.0},
    "gumbel": {"kind": "categorical", "variables": 3, "classes": 4},
    "straight-through": {"kind": "categorical", "variables": 3, "classes": 4, "estimator": {"kind": "straight_through"}},
    "marginal": {"kind": "categorical", "variables": 2, "classes": 4, "estimator": {"kind": "marginal"}},
}


def test_a_fixed_variance_is_everybody_s_and_bounds_the_rate():
    """KL_d = (v - 1 - log v + mean^2) / 2: at least 0.5 (0.3 - 1 - log 0.3) = 0.2519864 a dimension."""
    posterior = make_posterior(LATENTS["gaussian of one variance"])
    assert isinstance(posterior, DiagonalGaussian)
    torch.testing.assert_close(posterior.log_variance.exp(), torch.full((5, 3), 0.3).double())
    floor = 0.5 * (0.3 - 1.0 - math.log(0.3))
    torch.testing.assert_close(posterior.kl_per_dimension() - 0.5 * posterior.mean.square(), torch.full((5, 3), floor).double())


@pytest.fixture(params=LATENTS)
def config(request: pytest.FixtureRequest) -> LatentConfig:
    return LATENTS[request.param]


@pytest.fixture
def posterior(config: LatentConfig) -> Posterior:
    return make_posterior(config)


def test_every_family_is_here():
    assert {type(config) for config in LATENTS.values()} == set(get_args(get_args(AnyLatent)[0]))


def test_an_example_s_samples_are_its_own_function_of_its_own_noise(config: LatentConfig, posterior: Posterior):
    noise = draws(3, 5, posterior.noise_size)
    z = posterior.sample(noise)
    assert z.shape == (3, 5, make_layer(config).size)
    assert posterior.noise_size == make_layer(config).noise_size
    assert torch.equal(posterior.sample(noise[1:2])[0], z[1])
    part = posterior.map(lambda parameter: parameter[[3, 1]])
    torch.testing.assert_close(part.sample(noise[:, [3, 1]]), z[:, [3, 1]], rtol=1e-12, atol=1e-14)
    joined = Posterior.cat([part, posterior])
    torch.testing.assert_close(joined.log_prob(z[:, [3, 1, 0, 1, 2, 3, 4]])[:, 2:], posterior.log_prob(z), rtol=1e-12, atol=1e-12)


def test_draws_come_from_their_generator(posterior: Posterior):
    before = torch.get_rng_state()
    first, again, other = (posterior.draw(4, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_expectation_is_the_mean_of_samples(posterior: Posterior):
    with torch.no_grad():
        z = posterior.draw(MANY, Generator().manual_seed(3))
        error = (z.mean(0) - posterior.expectation()).abs()
        assert (error < 5 * z.std(0) / MANY**0.5 + 1e-12).all()


def test_the_mode_is_as_likely_as_any_sample(posterior: Posterior):
    with torch.no_grad():
        best = posterior.log_prob(posterior.mode().unsqueeze(0))
        assert (posterior.log_prob(posterior.draw(1000, Generator().manual_seed(3))) <= best + 1e-12).all()


def test_all_pairs_have_the_density_of_each_pair(posterior: Posterior):
    z = posterior.draw(1, Generator().manual_seed(4))[0].detach()
    pairs = posterior.log_prob(z.unsqueeze(1).expand(-1, 5, -1))
    torch.testing.assert_close(posterior.pairwise_log_prob(z), pairs, rtol=1e-10, atol=1e-10)


def test_the_kl_is_the_mean_log_ratio_of_samples(config: LatentConfig, posterior: Posterior):
    """Hence both densities are of one measure. One number a part that is independent of the others, none below 0."""
    prior = make_layer(config).reference
    with torch.no_grad():
        parts = prior.kl(posterior)
        assert parts is not None
        torch.testing.assert_close(parts.sum(-1), posterior.kl())
        assert (parts >= 0.0).all()
        z = posterior.draw(MANY, Generator().manual_seed(5))
        ratio = posterior.log_prob(z) - prior.log_prob(z)
        assert ((ratio.mean(0) - posterior.kl()).abs() < 5 * ratio.std(0) / MANY**0.5 + 1e-9).all()
        torch.testing.assert_close(divergence(posterior, prior, Points(z[:1])), parts)


def test_the_reference_s_samples_have_the_mean_and_the_spread_that_units_are_counted_in(config: LatentConfig):
    layer = make_layer(config)
    z = layer.reference.sample(MANY, Generator().manual_seed(6)).double()
    unit = make_posterior(config).unit
    assert (z.std(0) / unit - 1.0).abs().max() < 0.02
    assert ((z.mean(0) - z.mean()).abs() < 5 * unit / MANY**0.5 * 1.5).all()


def test_the_gradient_of_an_expectation_is_right(config: LatentConfig, posterior: Posterior):
    """Of E w.z through samples, for which the expectation is known; relaxed samples are let off, being other numbers."""
    if config.kind == "categorical":
        return
    layer, summary, weight = make_layer(config), summaries(3), draws(3, make_layer(config).size, seed=7)
    parameters = list(layer.parameters())
    exact = torch.autograd.grad((layer(summary, training=False).expectation() * weight).sum(), parameters)
    repeats, rows = 200, []
    for seed in range(repeats):
        z = layer(summary, training=False).draw(400, Generator().manual_seed(seed))
        rows.append(torch.cat([slope.flatten() for slope in torch.autograd.grad((z.mean(0) * weight).sum(), parameters)]))
    table, truth = torch.stack(rows), torch.cat([slope.flatten() for slope in exact])
    assert truth.abs().max() > 0.1
    assert ((table.mean(0) - truth).abs() < 5 * table.std(0) / repeats**0.5 + 1e-9).all()


def test_held_fixed_it_has_no_gradient(posterior: Posterior):
    fixed = posterior.detach()
    z = fixed.draw(2, Generator().manual_seed(8))
    assert not z.requires_grad
    assert not fixed.log_prob(z).requires_grad
    assert not fixed.kl().requires_grad


def test_a_sample_without_a_gradient_leaves_the_density_s(posterior: Posterior):
    with torch.no_grad():
        z = posterior.draw(2, Generator().manual_seed(8))
    score = posterior.log_prob(z).sum()
    learned = {name: tensor for name, tensor in posterior.tensors().items() if tensor.requires_grad}  # no fixed variance is
    assert learned
    for name, tensor in learned.items():
        (slope,) = torch.autograd.grad(score, tensor, retain_graph=True)
        assert slope.abs().max() > 1e-6, name


def test_points_count_one_in_all(posterior: Posterior):
    points = posterior.points(3, Generator().manual_seed(9), Moment(0, 10))
    ones = torch.ones(points.z.shape[:2], dtype=torch.float64)
    torch.testing.assert_close(points.expect(ones), torch.ones(5, dtype=torch.float64), rtol=1e-12, atol=0.0)


def test_the_same_posterior_for_all_has_no_information_and_no_active_unit(config: LatentConfig):
    with torch.no_grad():
        posterior = make_layer(config)(summaries(1).expand(64, -1), training=False)
        z = posterior.sample(draws(1, 64, posterior.noise_size))[0]
        assert mutual_information(posterior, z) == pytest.approx(0.0, abs=1e-9)
        assert active_units(posterior.expectation() / posterior.unit) == 0


def test_information_is_that_of_the_definition_and_below_log_n(config: LatentConfig):
    with torch.no_grad():
        posterior = make_posterior(config, examples=40)
        z = posterior.sample(draws(1, 40, posterior.noise_size))[0]
        densities = posterior.log_prob(z.unsqueeze(1).expand(-1, 40, -1))
        expected = (densities.diagonal() - densities.logsumexp(1) + math.log(40)).mean().item()
        assert mutual_information(posterior, z) == pytest.approx(expected, rel=1e-9)
        assert 0.1 < expected < math.log(40)
        assert active_units(posterior.expectation() / posterior.unit) > 0


def test_the_density_sums_to_one(config: LatentConfig):
    """E_p q / p = 1 over codes of the prior, so that both are densities, or probabilities, of one kind."""
    with torch.no_grad():
        prior, posterior = make_layer(config).reference, make_layer(config)(summaries(4, scale=0.5), training=False)
        z = prior.sample(MANY, Generator().manual_seed(10)).double().unsqueeze(1).expand(-1, 4, -1)
        ratio = (posterior.log_prob(z) - prior.log_prob(z)).exp()
        error = ratio.std(0) / MANY**0.5
        assert ((ratio.mean(0) - 1.0).abs() < 5 * error).all()
        assert error.max() < 0.05


@pytest.mark.parametrize("name", TRAINED)
def test_text_is_learned_and_gone_on_with(name: str, text_config: MakeConfig, sentences: TextData):
    assert_learns_and_goes_on(text_config({"model.latent": TRAINED[name]}), sentences)


@pytest.mark.parametrize("name", TRAINED)
def test_images_are_learned_and_gone_on_with(name: str, image_config: MakeConfig, digits: ImageData):
    assert_learns_and_goes_on(image_config({"model.latent": TRAINED[name]}), digits)


@pytest.mark.parametrize("name", ["vmf", "vmf of one concentration", "gumbel"])
def test_the_score_function_trains_any_family(name: str, image_config: MakeConfig, digits: ImageData):
    changes = {"model.latent": TRAINED[name], "objective.gradient": {"kind": "score"}, "training.epochs": 4}
    assert_learns_and_goes_on(image_config(changes), digits)
