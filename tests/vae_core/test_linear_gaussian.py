"""A whole trial with known answers: every score of a linear-Gaussian model against its closed form, and training to the optimum.

What is scored goes through ``evaluate`` and ``importance_weighted``, what is trained through the ``Trainer``. Estimates are held
to 4.5 of their standard errors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from tests.vae_core.linear_gaussian import (
    EXAMPLES,
    PIXELS,
    SIZE,
    STD,
    Truth,
    config,
    make_data,
    make_model,
    make_truth,
    pixels,
)
from vae_core.data.images import ImageData
from vae_core.evaluate import MUTUAL_INFORMATION_EXAMPLES, evaluate, importance_weighted
from vae_core.latent.mixture import GaussianMixture
from vae_core.model import VAE
from vae_core.networks.mlp import MlpImageDecoder
from vae_core.trainer import Trainer


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth()


@pytest.fixture(scope="module")
def data(truth: Truth) -> ImageData:
    return make_data(truth, train=1, test=EXAMPLES)


@pytest.fixture
def model(truth: Truth, data: ImageData) -> VAE[Any]:
    return make_model(truth, data)


def spoil(model: VAE[Any], kind: str) -> None:
    """Makes the posterior wrong: its mean by 0.5 in each dimension, its variance by a factor of e, or all of it."""
    layer = model.posterior.layer
    assert isinstance(layer, nn.Linear)
    size = model.latent_size
    with torch.no_grad():
        if kind == "shifted":
            layer.bias[:size] += 0.5
        elif kind == "wide":
            layer.bias[size:] += 1.0
        elif kind == "narrow":
            layer.bias[size:] -= 1.0
        else:
            assert kind == "collapsed"
            layer.weight.zero_()
            layer.bias.zero_()


WRONG = ("shifted", "wide", "narrow", "collapsed")


def encoded(model: VAE[Any], x: Tensor) -> Independent:
    """The model's own posterior of pixels (n, P), without going through the code that is tested."""
    layer = model.posterior.layer
    assert isinstance(layer, nn.Linear)
    mean, log_variance = (x @ layer.weight.T + layer.bias).detach().chunk(2, 1)
    return Independent(Normal(mean, (0.5 * log_variance).exp()), 1)


def standard(n: int) -> Independent:
    return Independent(Normal(torch.zeros(n, SIZE).double(), torch.ones(n, SIZE).double()), 1)


# -- the model's own closed forms, and its scores by them --------------------------------------------------------------------


def test_at_the_true_posterior_the_closed_form_of_the_elbo_is_the_evidence(truth: Truth, data: ImageData):
    """A test of this file's own formulas."""
    x = pixels(data, "test")
    posterior = truth.posterior(x)
    elbo = -truth.distortion(x, posterior)[0] - kl_divergence(posterior, standard(len(x)))
    torch.testing.assert_close(elbo, truth.evidence(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["true", *WRONG])
def test_distortion_and_rate_are_the_closed_forms(kind: str, truth: Truth, data: ImageData, model: VAE[Any]):
    if kind != "true":
        spoil(model, kind)
    scores = evaluate(model, data, "test", 512, seed=3)
    x = pixels(data, "test")
    posterior = encoded(model, x)
    distortion, variance = truth.distortion(x, posterior)
    rate = kl_divergence(posterior, standard(len(x))).mean().item()
    assert scores["rate"] == pytest.approx(rate, rel=1e-9, abs=1e-12)
    standard_error = variance.sum().sqrt().item() / len(x)
    assert abs(scores["distortion"] - distortion.mean().item()) < 4.5 * standard_error
    assert standard_error < 0.2
    # log p(x) = ELBO + KL(q(z|x) || p(z|x))
    gap = kl_divergence(posterior, truth.posterior(x)).mean().item()
    assert abs(scores["neg_elbo"] + truth.evidence(x).mean().item() - gap) < 4.5 * standard_error


def test_a_wrong_posterior_scores_worse_by_its_divergence_from_the_true_one(truth: Truth, data: ImageData):
    scores = {}
    for kind in ("true", *WRONG):
        model = make_model(truth, data)
        if kind != "true":
            spoil(model, kind)
        scores[kind] = evaluate(model, data, "test", 512, seed=3)["neg_elbo"]
        if kind != "true":
            divergence = kl_divergence(encoded(model, pixels(data, "test")), truth.posterior(pixels(data, "test"))).mean().item()
            assert scores[kind] > scores["true"] + 0.5 * divergence
            assert divergence > 0.1


def test_the_rate_of_the_true_model_is_its_mutual_information(truth: Truth, data: ImageData, model: VAE[Any]):
    """E KL(q(z|x) || p(z)) = I(x; z) = sum_d log(precision_d) / 2 where the aggregate posterior is the prior."""
    scores = evaluate(model, data, "test", 512, seed=0)
    rate = kl_divergence(truth.posterior(pixels(data, "test")), standard(EXAMPLES))
    information = 0.5 * truth.precision().log().sum().item()
    assert abs(scores["rate"] - information) < 4.5 * rate.std().item() / EXAMPLES**0.5
    assert scores["mutual_information_n"] == MUTUAL_INFORMATION_EXAMPLES
    # a code's own information, log q(z|x) - log p(z), has a variance of sum_d (1 - 1 / precision_d)
    spread = (1.0 - 1.0 / truth.precision()).sum().item() ** 0.5 / MUTUAL_INFORMATION_EXAMPLES**0.5
    assert abs(scores["mutual_information"] - information) < 4.5 * spread


def test_the_mutual_information_is_at_most_log_n():
    """Eight columns of 20 s carry 24 nats; 100 examples tell of log 100 at most, and of nearly that."""
    truth = make_truth((10.0,) * 8)
    data = make_data(truth, train=1, test=100)
    scores = evaluate(make_model(truth, data), data, "valid", 50, seed=0)
    assert 0.5 * truth.precision().log().sum().item() > 20.0
    assert math.log(100) - 0.02 < scores["mutual_information"] <= math.log(100) + 1e-9
    assert scores["mutual_information_n"] == 100.0


def test_active_units_are_the_columns_above_the_threshold(truth: Truth, data: ImageData, model: VAE[Any]):
    variance = 1.0 - 1.0 / truth.precision()
    expected = int((variance > 0.01).sum())
    assert expected == 3
    assert evaluate(model, data, "test", 512, seed=0)["active_units"] == expected
    spoil(model, "collapsed")
    assert evaluate(model, data, "test", 512, seed=0)["active_units"] == 0.0


def test_a_collapsed_posterior_has_no_rate_and_no_information(truth: Truth, data: ImageData, model: VAE[Any]):
    spoil(model, "collapsed")
    scores = evaluate(model, data, "test", 512, seed=0)
    assert scores["rate"] == 0.0
    assert scores["mutual_information"] == pytest.approx(0.0, abs=1e-9)


# -- the importance-weighted bound -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 3, 70])
def test_the_true_posterior_gives_the_evidence_at_any_k_without_noise(
    samples: int, truth: Truth, data: ImageData, model: VAE[Any]
):
    found = importance_weighted(model, data, "test", samples=samples, examples=300, seed=samples)
    place = (2 * np.arange(300) + 1) * EXAMPLES // 600
    evidence = truth.evidence(pixels(data, "test")[place])
    assert found.nll == pytest.approx(-evidence.mean().item(), rel=1e-10)
    assert found.se == pytest.approx(evidence.std().item() / 300**0.5, rel=1e-9)
    assert (found.n, found.k) == (300, samples)


@pytest.mark.parametrize("kind", ["shifted", "wide"])
def test_a_wrong_posterior_comes_to_the_evidence_from_above(kind: str, truth: Truth, data: ImageData, model: VAE[Any]):
    """Differences of the same examples: the tolerance is of what the weights' noise leaves at K = 2000."""
    spoil(model, kind)
    place = (2 * np.arange(200) + 1) * EXAMPLES // 400
    x = pixels(data, "test")[place]
    evidence = -truth.evidence(x).mean().item()
    one, few, many = (importance_weighted(model, data, "test", samples=k, examples=200).nll - evidence for k in (1, 10, 2000))
    assert one > few + 0.05
    assert few > many + 0.01
    assert many == pytest.approx(0.0, abs=0.02)
    posterior, true = encoded(model, x), truth.posterior(x)
    gap = kl_divergence(posterior, true).mean().item()
    slope = truth.precision() * (posterior.mean - true.mean) * posterior.stddev
    curved = truth.precision() * posterior.variance - 1.0
    variance = (slope.square() + 0.5 * curved.square()).sum(1)  # of log q(z|x) - log p(z|x), a quadratic form in the noise
    assert abs(one - gap) < 4.5 * variance.sum().sqrt().item() / 200


def test_a_mixture_prior_comes_to_its_evidence_from_above(truth: Truth, data: ImageData):
    """p(x) of a linear decoder is the mixture of its components' p(x); the rate is an estimate here, and the bound uses it."""
    model = make_model(truth, data, {"prior": {"kind": "mixture", "components": 3}})
    prior = model.prior
    assert isinstance(prior, GaussianMixture)
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.0, 0.7, -0.4]))
        x = pixels(data, "test")[(2 * np.arange(200) + 1) * EXAMPLES // 400]
        parts = [truth.evidence(x, mean, variance) for mean, variance in zip(prior.mean, prior.log_variance.exp(), strict=True)]
        evidence = (torch.stack(parts, 1) + prior.logits.log_softmax(0)).logsumexp(1)
    assert model.kl_kind == "monte carlo"
    one, many = (importance_weighted(model, data, "test", samples=k, examples=200).nll for k in (1, 3000))
    assert many == pytest.approx(-evidence.mean().item(), abs=0.02)
    assert one > many + 0.1
    assert (evidence - truth.evidence(x)).abs().mean() > 0.1


# -- training ----------------------------------------------------------------------------------------------------------------

PRINCIPAL = 2
TRAINED: dict[str, dict[str, Any]] = {
    "elbo": {},
    "iwae": {"objective": {"kind": "iwae", "samples": 3}},
    "mixture": {"more": {"prior": {"kind": "mixture", "components": 1}}},
}
"""All have the same optimum: the posterior is right there, and a Gaussian prior can be taken into W and b."""


def best_likelihood(x: Tensor) -> tuple[float, Tensor, Tensor]:
    """The greatest mean log likelihood under the given s (Tipping & Bishop 1999, sec. 3.2), and the principal axes.

    With the eigenvalues l of the covariance, W W^T has l_d - s^2 along the first Z axes, and b is the mean.
    """
    deviation = x - x.mean(0)
    values, axes = torch.linalg.eigh(deviation.T @ deviation / len(x))
    values, axes = values.flip(0), axes.flip(1)
    first, rest = values[:PRINCIPAL], values[PRINCIPAL:]
    assert (first > STD**2).all()
    quadratic = PRINCIPAL + rest.sum().item() / STD**2
    logarithms = first.log().sum().item() + len(rest) * math.log(STD**2)
    return -0.5 * (PIXELS * math.log(2.0 * math.pi) + logarithms + quadratic), values, axes


@pytest.mark.parametrize("name", TRAINED)
def test_training_comes_to_the_optimum_of_probabilistic_pca(name: str):
    """Within 0.005 nats of the greatest likelihood that there is, in the plane of the principal axes.

    ELBO and IWAE also tell how much of the variance lies along each: to 10 per cent.
    """
    changes = {
        "more": {"latent": {"kind": "gaussian", "size": PRINCIPAL}} | TRAINED[name].get("more", {}),
        "objective": TRAINED[name].get("objective", {"kind": "elbo"}),
        "optimizer": {"kind": "adam", "lr": 0.02},
        "training": {"epochs": 60, "batch_size": 100, "clip_norm": None, "lr_schedule": {"decay": "cosine"}},
    }
    data = make_data(make_truth(), train=2000, test=1000, dtype=torch.float32)
    trainer = Trainer(config(changes), data)
    list(trainer.run())
    best, values, axes = best_likelihood(pixels(data, "train"))
    found = importance_weighted(trainer.model, data, "train", samples=100, seed=1)
    assert -0.003 < found.nll + best < 0.005
    elbo = evaluate(trainer.model, data, "train", 500, seed=1)["neg_elbo"]
    assert found.nll - 0.01 < elbo < found.nll + 0.1
    decoder = trainer.model.decoder
    assert isinstance(decoder, MlpImageDecoder)
    weight = decoder.output.weight.detach().double()
    outside = weight - axes[:, :PRINCIPAL] @ (axes[:, :PRINCIPAL].T @ weight)
    assert outside.norm() < 0.04 * weight.norm()
    if name != "mixture":  # whose prior may have taken scale from W
        lengths = weight.square().sum(0).sort(descending=True).values
        torch.testing.assert_close(lengths, values[:PRINCIPAL] - STD**2, rtol=0.1, atol=0.0)
