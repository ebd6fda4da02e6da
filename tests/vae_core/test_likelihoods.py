"""Image likelihoods: densities against torch.distributions and by hand."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from scipy.integrate import quad
from torch import Generator, Tensor

from vae_core.config import AnyLikelihood, Bernoulli, Categorical, ContinuousBernoulli, Gaussian, Multinomial
from vae_core.likelihoods import (
    BernoulliPixels,
    ContinuousBernoulliPixels,
    FixedGaussianPixels,
    ImageLikelihood,
    build_likelihood,
)

B, P = 5, 7
CONFIGS: dict[str, Bernoulli | ContinuousBernoulli | Gaussian] = {
    "bernoulli": Bernoulli(),
    "continuous Bernoulli": ContinuousBernoulli(),
    "gaussian": Gaussian(),
    "gaussian of fixed variance": Gaussian(variance=0.3),
}

every_likelihood = pytest.mark.parametrize("likelihood", [build_likelihood(config) for config in CONFIGS.values()], ids=CONFIGS)


def numbers(likelihood: ImageLikelihood, *leading: int) -> Tensor:
    """What a decoder might give, float64 (*leading, k P)."""
    return torch.randn(*leading, likelihood.parameters * P, dtype=torch.float64, generator=Generator().manual_seed(0))


def reference(likelihood: ImageLikelihood, parameters: Tensor) -> torch.distributions.Distribution:
    """The same distribution by torch."""
    if isinstance(likelihood, BernoulliPixels):
        return torch.distributions.Bernoulli(logits=parameters)
    if isinstance(likelihood, ContinuousBernoulliPixels):
        return torch.distributions.ContinuousBernoulli(logits=parameters)
    if isinstance(likelihood, FixedGaussianPixels):
        return torch.distributions.Normal(parameters, math.sqrt(0.3))
    mean, raw = parameters.chunk(2, -1)
    return torch.distributions.Normal(mean, torch.exp((-7 + torch.log1p(torch.exp(raw + 7))) / 2))


def pixels(*leading: int) -> Tensor:
    return torch.randint(0, 2, (*leading, P), generator=Generator().manual_seed(1)).double()


def test_every_image_likelihood_is_here() -> None:
    assert {type(config) for config in CONFIGS.values()} == {*get_args(get_args(AnyLikelihood)[0])} - {Categorical, Multinomial}


@every_likelihood
def test_nll_is_summed_over_pixels(likelihood: ImageLikelihood) -> None:
    parameters, x = numbers(likelihood, B), pixels(B)
    nll = likelihood.nll(parameters, x)
    assert nll.shape == (B,)
    torch.testing.assert_close(nll, -reference(likelihood, parameters).log_prob(x).sum(-1), rtol=1e-12, atol=1e-12)
    twice = likelihood.nll(parameters.repeat(2, 1), x.repeat(2, 1))
    torch.testing.assert_close(twice, nll.repeat(2), rtol=0, atol=0)


@every_likelihood
def test_several_posterior_samples_an_image(likelihood: ImageLikelihood) -> None:
    parameters, x = numbers(likelihood, 3, B), pixels(B)
    expected = torch.stack([likelihood.nll(parameters[k], x) for k in range(3)])
    torch.testing.assert_close(likelihood.nll(parameters, x), expected, rtol=1e-12, atol=0)


@every_likelihood
def test_gradient(likelihood: ImageLikelihood) -> None:
    x = pixels(B)
    parameters = numbers(likelihood, B).requires_grad_()
    assert torch.autograd.gradcheck(lambda numbers: likelihood.nll(numbers, x), parameters)


@every_likelihood
def test_the_mean_is_that_of_the_distribution(likelihood: ImageLikelihood) -> None:
    parameters = numbers(likelihood, B)
    mean = likelihood.mean(parameters)
    assert mean.shape == (B, P)
    torch.testing.assert_close(mean, reference(likelihood, parameters).mean, rtol=1e-12, atol=0)


def test_bernoulli_by_hand() -> None:
    likelihood = build_likelihood(Bernoulli())
    zero, one = torch.zeros(1, P), torch.ones(1, P)
    assert float(likelihood.nll(zero, one)) == pytest.approx(P * math.log(2))
    assert float(likelihood.nll(1000 * one, one)) == 0.0  # certain, and no overflow
    assert float(likelihood.nll(1000 * one, zero)) == pytest.approx(1000 * P)


def test_gaussian_by_hand() -> None:
    likelihood = build_likelihood(Gaussian(min_log_variance=-30.0))  # so low that the floor does not show
    parameters = torch.tensor([[0.0, 2.0, 0.0, math.log(4.0)]], dtype=torch.float64)  # means 0, 2; variances 1, 4
    expected = 0.5 * (1.0 + math.log(2 * math.pi)) + 0.5 * (4.0 / 4.0 + math.log(2 * math.pi * 4))
    assert float(likelihood.nll(parameters, torch.tensor([[1.0, 0.0]]).double())) == pytest.approx(expected, rel=1e-9)


def test_a_constant_pixel_has_a_bounded_density_and_still_a_gradient() -> None:
    likelihood = build_likelihood(Gaussian(min_log_variance=-7.0))
    raw = torch.full((1,), -15.0, dtype=torch.float64, requires_grad=True)
    nll = likelihood.nll(torch.cat([torch.zeros(1).double(), raw]), torch.zeros(1))
    bound = 0.5 * (-7.0 + math.log(2 * math.pi))
    assert bound < nll.item() < bound + 1e-3
    (gradient,) = torch.autograd.grad(nll, raw)
    assert float(gradient) > 0


LOGITS = (0.0, 1e-12, 1e-6, -1e-3, 0.1, 0.499999, 0.5, 0.500001, -2.0, 7.0, -40.0, 300.0)
"""Through 0, where the density is uniform, and around +-0.5, where the series ends."""


@pytest.mark.parametrize("logit", LOGITS)
def test_a_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit: float) -> None:
    likelihood, parameter = ContinuousBernoulliPixels(), torch.tensor([logit], dtype=torch.float64)

    def density(x: float) -> float:
        return math.exp(-likelihood.nll(parameter, torch.tensor([x], dtype=torch.float64)).item())

    breaks = [1.0 / max(1.0, abs(logit)), 1.0 - 1.0 / max(1.0, abs(logit))]  # where the mass lies for large logits
    assert quad(density, 0.0, 1.0, points=breaks)[0] == pytest.approx(1.0, rel=1e-10)
    mean = quad(lambda x: x * density(x), 0.0, 1.0, points=breaks)[0]
    assert likelihood.mean(parameter).item() == pytest.approx(mean, rel=1e-9)


def test_a_continuous_bernoulli_is_the_paper_s_formula_away_from_one_half() -> None:
    """C(p) p^x (1 - p)^(1 - x) with C(p) = 2 atanh(1 - 2 p) / (1 - 2 p) (eqs. 5-7), and C = 2 at one half."""
    x = torch.tensor([0.3], dtype=torch.float64)
    for p in (0.01, 0.2, 0.45, 0.6, 0.999):
        constant = 2.0 * math.atanh(1.0 - 2.0 * p) / (1.0 - 2.0 * p)
        expected = -math.log(constant) - 0.3 * math.log(p) - 0.7 * math.log(1.0 - p)
        logit = torch.tensor([math.log(p / (1.0 - p))], dtype=torch.float64)
        assert ContinuousBernoulliPixels().nll(logit, x).item() == pytest.approx(expected, rel=1e-12)
    assert ContinuousBernoulliPixels().nll(torch.zeros(1), x.float()).item() == 0.0  # the uniform density


@pytest.mark.parametrize("logit", LOGITS)
def test_a_continuous_bernoulli_s_gradient_is_its_mean_minus_the_pixel_in_float32_too(logit: float) -> None:
    """d(-log p)/dl = E x - x, as in every exponential family; near one half the closed form would lose all its digits."""
    exact = ContinuousBernoulliPixels().mean(torch.tensor([logit], dtype=torch.float64)).item()
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 5e-7)):
        parameter = torch.tensor([logit], dtype=dtype, requires_grad=True)
        nll = ContinuousBernoulliPixels().nll(parameter, torch.zeros(1, dtype=dtype))
        (gradient,) = torch.autograd.grad(nll, parameter)
        assert gradient.item() == pytest.approx(exact, abs=tolerance)
        assert ContinuousBernoulliPixels().mean(parameter).item() == pytest.approx(exact, abs=tolerance)


def test_a_fixed_variance_by_hand() -> None:
    likelihood = build_likelihood(Gaussian(variance=4.0))
    nll = likelihood.nll(torch.tensor([[0.0, 2.0]], dtype=torch.float64), torch.tensor([[1.0, 0.0]]).double())
    assert nll.item() == pytest.approx(0.5 * (1.0 / 4.0 + 4.0 / 4.0) + math.log(2 * math.pi * 4.0), rel=1e-12)
