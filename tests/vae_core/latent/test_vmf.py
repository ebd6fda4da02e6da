"""The von Mises-Fisher posterior against SciPy, and on a model whose true posterior is of its family; float64 throughout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.special import ive
from scipy.stats import vonmises_fisher
from torch import Generator, Tensor
from torch.nn.functional import normalize

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.latent.posteriors import draws
from tests.vae_core.test_iwae import NOISE_STD, PIXELS, LinearGaussianDecoder, Pixels, gradients, terms_of
from vae_core.data.batching import ImageBatch
from vae_core.estimators import importance_weighted_nll
from vae_core.latent.angle import Angle
from vae_core.latent.standard import Reference
from vae_core.latent.vmf import UniformSphere, VonMisesFisher, VonMisesFisherPosterior, log_area
from vae_core.model import VAE
from vae_core.seeding import Streams

SIZES = (2, 3, 5, 16)


def directions(examples: int, size: int, seed: int = 0) -> Tensor:
    return normalize(draws(examples, size, seed=seed), dim=-1)


def alike(direction: Tensor, concentration: float) -> VonMisesFisher:
    """Of one concentration."""
    return VonMisesFisher(direction, Angle(direction.shape[1], torch.tensor([concentration], dtype=torch.float64)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("concentration", [0.1, 2.0, 30.0, 300.0])
def test_densities_equal_scipy_s(size: int, concentration: float):
    mean, z = directions(3, size), directions(4, size, seed=1)
    found = alike(mean, concentration).log_prob(z.unsqueeze(1).expand(-1, 3, -1))
    expected = np.stack([vonmises_fisher(mu.numpy(), concentration).logpdf(z.numpy()) for mu in mean], 1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("concentration", [0.5, 5.0, 50.0])
def test_on_the_circle_the_density_integrates_to_one(concentration: float):
    turn = torch.arange(1000, dtype=torch.float64) * (2.0 * math.pi / 1000)
    circle = torch.stack((turn.cos(), turn.sin()), 1).unsqueeze(1)
    density = alike(directions(1, 2), concentration).log_prob(circle).exp()
    assert density.mean().item() * 2.0 * math.pi == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_samples_have_the_family_s_moments(size: int):
    """E z = A mu, E w^2 = 1 - (d - 1) A / k, and what is perpendicular to mu has no direction of its own."""
    count, k = 100_000, 4.0
    mean = directions(1, size)
    z = alike(mean, k).sample(draws(count, 1, 1 + size))[:, 0]
    a = float(ive(size / 2, k) / ive(size / 2 - 1, k))
    error = 5 * z.std(0) / count**0.5
    assert ((z.mean(0) - a * mean[0]).abs() < error).all()
    squared = (z @ mean[0]).square()
    assert squared.mean().item() == pytest.approx(1.0 - (size - 1) * a / k, abs=5 * squared.std().item() / count**0.5)
    rest = z - (z @ mean[0]).unsqueeze(1) * mean
    covariance = rest.T @ rest / count
    expected = (1.0 - squared.mean()) / (size - 1) * (torch.eye(size, dtype=torch.float64) - mean.T @ mean)
    torch.testing.assert_close(covariance, expected, atol=0.01, rtol=0.0)


@pytest.mark.parametrize("concentration", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("size", SIZES)
def test_samples_have_unit_length_in_single_precision(size: int, concentration: float):
    z = alike(directions(7, size).float(), concentration).sample(draws(1000, 7, 1 + size).float())
    assert z.dtype == torch.float32
    assert (z.norm(dim=-1) - 1.0).abs().max() < 1e-6


@pytest.mark.parametrize("concentration", [1.0, 100.0, 1e4])
def test_single_precision_keeps_the_density(concentration: float):
    """Up to what the rounding of the code itself does, some 1e-7 of its distance from the mean times the concentration."""
    posterior = alike(directions(7, 8), concentration)
    z = posterior.sample(draws(50, 7, 9))
    single = posterior.map(Tensor.float).log_prob(z.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), posterior.log_prob(z), rtol=1e-6, atol=1e-6 * concentration**0.5 + 1e-5)


def test_with_one_concentration_the_kl_is_a_constant_that_nothing_can_lower():
    layer = VonMisesFisherPosterior(5, 6, 12.0, Generator().manual_seed(0)).double()
    posterior = layer(draws(9, 5))
    assert not posterior.kl().requires_grad
    assert posterior.kl().unique().numel() == 1
    assert posterior.kl()[0].item() == pytest.approx(Angle(6, torch.tensor([12.0])).kl().item(), rel=1e-12)
    assert posterior.expectation().norm(dim=1).unique(dim=0)[0].item() == pytest.approx(float(ive(3, 12.0) / ive(2, 12.0)))


def test_learned_concentrations_stay_above_one():
    layer = VonMisesFisherPosterior(5, 6, None, Generator().manual_seed(0)).double()
    concentration = layer(100.0 * draws(200, 5)).concentration
    assert isinstance(concentration, Tensor)
    assert concentration.shape == (200,)
    assert concentration.min().item() >= 1.0
    assert concentration.max().item() > 20.0


@pytest.mark.parametrize("size", SIZES)
def test_the_direction_s_gradient_is_that_of_a_rotation(size: int):
    """Which moves no code further than the direction itself; the projection's gradient would have no such bound."""
    mean = directions(1, size).expand(2000, -1).clone().requires_grad_()
    z = alike(normalize(mean, dim=-1), 3.0).sample(draws(1, 2000, 1 + size))[0]
    weight = directions(1, size, seed=5)
    (slope,) = torch.autograd.grad((z * weight).sum(), mean)
    assert slope.norm(dim=1).max() <= 1.0 + 1e-9
    assert slope.norm(dim=1).max() > 0.5


def test_the_prior_is_uniform():
    z = UniformSphere(3).sample(50_000, Generator().manual_seed(0)).double()
    torch.testing.assert_close(z.norm(dim=1), torch.ones(50_000, dtype=torch.float64), rtol=1e-6, atol=0.0)
    for place in range(3):  # Archimedes: each coordinate of the sphere in three dimensions is uniform on [-1, 1]
        share = (z[:, place] < 0.5).double().mean().item()
        assert share == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / 50_000) ** 0.5)
    assert UniformSphere(3).log_prob(z[:2]).tolist() == pytest.approx([-math.log(4.0 * math.pi)] * 2, rel=1e-12)


def make_model(size: int, concentration: float | None = None) -> VAE[ImageBatch]:
    """p(x|z) = N(W z, s^2 I), the columns of W orthogonal and of one length: the true posterior has the direction W'x and the
    concentration |W'x| / s^2. The layer's direction is off by a little.
    """
    generator = Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(PIXELS, size, generator=generator, dtype=torch.float64))
    posterior = VonMisesFisherPosterior(PIXELS, size, concentration, generator).double()
    with torch.no_grad():
        posterior.layer.weight[:size] = basis.T + 0.1 * torch.randn(size, PIXELS, generator=generator, dtype=torch.float64)
    return VAE(Pixels(), posterior, Reference(posterior.reference), LinearGaussianDecoder(1.2 * basis))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_true_posterior_gives_the_likelihood_without_variance(size: int):
    model = make_model(size)
    batch = ImageBatch(1.3 * draws(6, PIXELS, seed=1))
    decoder = model.decoder
    assert isinstance(decoder, LinearGaussianDecoder)
    with torch.no_grad():
        natural = batch.pixels @ decoder.weight / NOISE_STD**2
        concentration = natural.norm(dim=1)
        true = VonMisesFisher(normalize(natural, dim=1), concentration)
        nll = importance_weighted_nll(true, lambda z: model.log_joint(batch, z), [draws(3, 6, 1 + size)])
        constant = PIXELS * math.log(NOISE_STD * math.sqrt(2.0 * math.pi))
        squares = (batch.pixels.square().sum(1) + 1.2**2) / (2.0 * NOISE_STD**2)
        bessel = torch.tensor([math.log(ive(size / 2 - 1, k)) + k for k in concentration.tolist()], dtype=torch.float64)
        mixed = bessel - (size / 2 - 1) * concentration.log() + size / 2 * math.log(2.0 * math.pi) - log_area(size)
        torch.testing.assert_close(nll, constant + squares - mixed, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("concentration", [None, 4.0])
def test_dreg_has_the_plain_gradient_s_mean_and_a_lower_variance(concentration: float | None):
    """Codes move within the sphere alone, and log q is a function of all space: its slope outwards must not count."""
    model, repeats = make_model(3, concentration), 400
    batch = ImageBatch(1.2 * draws(6, PIXELS, seed=1).repeat(20, 1))
    table = {}
    for gradient in ("plain", "dreg"):
        streams = Streams.create(5)
        losses = (terms_of(model, batch, 4, gradient, streams).loss for _ in range(repeats))
        table[gradient] = torch.stack([gradients(loss, model.posterior.parameters()) for loss in losses])
    difference = table["dreg"] - table["plain"]
    assert (difference.mean(0).abs() < 4.5 * difference.std(0) / repeats**0.5).all()
    assert table["plain"].mean(0).abs().max() > 10 * difference.mean(0).abs().max()
    assert table["dreg"].var(0).sum() < 0.5 * table["plain"].var(0).sum()


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"objective.beta": 0.5}, "objective.beta"),
        ({"objective.annealing": {"kind": "linear"}}, "objective.annealing"),
        ({"objective.free_bits": {"kind": "total", "nats": 2.0}}, "objective.free_bits"),
        ({"objective.feedback": {"kind": "minimum_rate", "nats": 2.0}}, "objective.feedback"),
    ],
)
def test_what_weighs_a_constant_is_refused(changes: dict[str, Any], place: str, image_config: MakeConfig):
    image_config({**changes, "model.latent": {"kind": "vmf", "size": 4}})
    with pytest.raises(
        ValidationError, match=rf"{place} weighs or holds a KL that model.latent.concentration: 9.0 makes a constant"
    ):
        image_config({**changes, "model.latent": {"kind": "vmf", "size": 4, "concentration": 9.0}})


def test_a_sphere_needs_two_numbers(image_config: MakeConfig):
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        image_config({"model.latent": {"kind": "vmf", "size": 1}})
