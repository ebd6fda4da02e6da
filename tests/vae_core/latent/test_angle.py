"""The angle's distribution against Bessel functions, SciPy's von Mises and its own derivative; float64 throughout."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ive
from scipy.stats import vonmises
from torch import Tensor

from vae_core.latent.angle import Angle
from vae_core.latent.vmf import log_area

SIZES = (2, 3, 4, 8, 32, 128)
CONCENTRATIONS = (0.01, 1.0, 3.0, 15.0, 100.0, 1e3, 1e5)
CASES = [(size, k) for size in SIZES for k in CONCENTRATIONS if ive(size / 2 - 1, k) > 1e-200]


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def log_normaliser(size: int, k: float) -> float:
    """log C_d(k) + k of the density C_d(k) exp(k mu.z) (Mardia & Jupp 2000, eq. 9.3.4)."""
    order = size / 2 - 1
    return float(order * math.log(k) - size / 2 * math.log(2 * math.pi) - math.log(ive(order, k)))


def mean_cosine(size: int, k: float) -> float:
    """A_d(k) = I_{d/2}(k) / I_{d/2-1}(k)."""
    return float(ive(size / 2, k) / ive(size / 2 - 1, k))


def cdf(size: int, k: float, angle: float) -> float:
    """By SciPy's adaptive quadrature."""

    def density(t: float) -> float:
        return math.exp(k * (math.cos(t) - 1.0) + (size - 2) * math.log(math.sin(t))) if math.sin(t) > 0.0 else float(size == 2)

    total = math.exp(log_area(size) - log_area(size - 1) - log_normaliser(size, k) - log_area(size)) if size > 2 else None
    if total is None:
        total = math.pi * float(ive(0, k))
    return quad(density, 0.0, angle, epsabs=0.0, epsrel=1e-11, limit=500)[0] / total


@pytest.mark.parametrize(("size", "k"), CASES)
def test_normaliser_and_mean_equal_the_bessel_functions(size: int, k: float):
    angle = Angle(size, tensor(k))
    found = -angle.log_ratio().item() - log_area(size)
    assert found == pytest.approx(log_normaliser(size, k), rel=1e-11, abs=1e-11)
    assert angle.cosine_gap().item() == pytest.approx(1.0 - mean_cosine(size, k), rel=1e-11, abs=1e-14)


@pytest.mark.parametrize(("size", "k"), CASES)
def test_the_kl_equals_its_closed_form(size: int, k: float):
    """k A_d(k) + log C_d(k) + log area (Davidson et al. 2018, eq. 14)."""
    closed = k * (mean_cosine(size, k) - 1.0) + log_normaliser(size, k) + log_area(size)
    assert Angle(size, tensor(k)).kl().item() == pytest.approx(closed, rel=1e-10, abs=1e-11)


@pytest.mark.parametrize("size", SIZES)
def test_a_large_concentration_keeps_its_digits(size: int):
    """1 - E w is about (d - 1) / (2 k), and the KL that of a Gaussian of variance 1/k in d - 1 dimensions."""
    k = 1e9
    angle, n = Angle(size, tensor(k)), size - 1
    assert angle.cosine_gap().item() == pytest.approx(n / (2 * k), rel=1e-6)
    assert angle.kl().item() == pytest.approx(log_area(size) - n / 2 * math.log(2 * math.pi * math.e / k), rel=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_the_kl_s_slope_and_curvature_are_right(size: int):
    concentration = tensor(1.0, 3.0, 40.0, 300.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda k: Angle(size, k).kl(), concentration, eps=1e-5, rtol=1e-6)
    (slope,) = torch.autograd.grad(Angle(size, concentration).kl().sum(), concentration)
    step = 1e-4
    with torch.no_grad():
        difference = (Angle(size, concentration + step).kl() - Angle(size, concentration - step).kl()) / (2 * step)
    torch.testing.assert_close(slope, difference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("size", "k"), CASES)
def test_the_quantile_inverts_the_distribution_function(size: int, k: float):
    """Against SciPy's quadrature, out to five standard deviations: relative to the tail on either side."""
    noise = torch.linspace(-5.0, 5.0, 11, dtype=torch.float64)
    shares = torch.special.ndtr(noise).unsqueeze(1)
    angles = Angle(size, tensor(k)).quantile(shares).squeeze(1)
    assert (angles.diff() > 0.0).all()
    for share, angle in zip(shares.squeeze(1).tolist(), angles.tolist(), strict=True):
        assert cdf(size, k, angle) == pytest.approx(share, rel=1e-6 if share < 0.5 else 1e-9)


def test_on_the_circle_the_quantile_is_the_von_mises_one():
    shares = np.linspace(0.01, 0.99, 9)
    for k in (0.5, 4.0, 40.0):  # from 50 on SciPy has an approximation
        found = Angle(2, tensor(k)).quantile(torch.from_numpy(shares).unsqueeze(1)).squeeze(1)
        np.testing.assert_allclose(found.numpy(), vonmises(k).ppf(0.5 + 0.5 * shares), rtol=1e-10)


@pytest.mark.parametrize("extreme", [0.0, 1e-300, 1.0 - 1e-16, 1.0])
@pytest.mark.parametrize(("size", "k"), CASES)
def test_no_share_is_too_extreme(size: int, k: float, extreme: float):
    concentration = tensor(k).requires_grad_()
    angle = Angle(size, concentration).quantile(torch.full((1, 1), extreme, dtype=torch.float64))
    (slope,) = torch.autograd.grad(angle.sum(), concentration)
    assert 0.0 <= angle.item() <= math.pi
    assert slope.isfinite().all()


@pytest.mark.parametrize("size", SIZES)
def test_the_quantile_s_derivative_is_the_implicit_one(size: int):
    shares = torch.special.ndtr(torch.linspace(-3.0, 3.0, 7, dtype=torch.float64)).unsqueeze(1).expand(7, 3)
    concentration = tensor(1.0, 5.0, 200.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda k: Angle(size, k).quantile(shares), concentration, eps=1e-5, rtol=1e-5, atol=1e-9)


def test_one_row_serves_all_examples():
    shares = torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one, many = Angle(6, tensor(9.0)), Angle(6, tensor(*[9.0] * 5))
    assert torch.equal(one.quantile(shares), many.quantile(shares))


def test_samples_have_the_mean_of_the_distribution():
    shares = torch.rand(200_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for size, k in ((2, 1.0), (5, 10.0), (32, 20.0)):
        cosine = Angle(size, tensor(k)).quantile(shares).cos()
        assert cosine.mean().item() == pytest.approx(mean_cosine(size, k), abs=5 * cosine.std().item() / 200_000**0.5)
