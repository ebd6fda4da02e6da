"""Categorical codes on models small enough that every code can be looked at (definitions.md 9); float64 throughout."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Generator, Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.latent.posteriors import draws
from tests.vae_core.test_iwae import PIXELS, LinearGaussianDecoder, Pixels, gradients
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.estimators import importance_weighted_nll
from vae_core.evaluate import importance_weighted
from vae_core.latent.categorical import CategoricalPosterior, OneHotCategorical, UniformOneHot, all_codes
from vae_core.latent.config import CategoricalLatent
from vae_core.latent.options import AnyEstimator, GumbelEstimator, MarginalEstimator, StraightThroughEstimator, Temperature
from vae_core.latent.standard import Reference
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.schedules import Constant, Linear
from vae_core.seeding import Streams, make_generator

VARIABLES, CLASSES, EXAMPLES = 2, 3, 4
COLD = Temperature(start=1e-3, end=1e-3)


def make_model(estimator: AnyEstimator) -> VAE[ImageBatch]:
    """Nine codes, each with pixels of its own."""
    posterior = CategoricalPosterior(PIXELS, VARIABLES, CLASSES, estimator, Generator().manual_seed(0)).double()
    decoder = LinearGaussianDecoder(draws(PIXELS, VARIABLES * CLASSES, seed=1))
    return VAE(Pixels(), posterior, Reference(posterior.reference), decoder)


@pytest.fixture(scope="module")
def batch() -> ImageBatch:
    return ImageBatch(draws(EXAMPLES, PIXELS, seed=2))


def every_code() -> Iterator[Tensor]:
    """Each (1, Z), written out."""
    for classes in itertools.product(range(CLASSES), repeat=VARIABLES):
        code = torch.zeros(VARIABLES, CLASSES, dtype=torch.float64)
        for variable, number in enumerate(classes):
            code[variable, number] = 1.0
        yield code.flatten().unsqueeze(0)


def exact_negative_elbo(model: VAE[ImageBatch], batch: ImageBatch) -> Tensor:
    """sum_z q(z|x) [log q(z|x) - log p(x, z)], code by code."""
    posterior = model.encode(batch)
    assert isinstance(posterior, OneHotCategorical)
    probabilities, total = posterior.logits.softmax(-1), torch.zeros(EXAMPLES, dtype=torch.float64)
    for code in every_code():
        q = (probabilities * code.view(VARIABLES, CLASSES)).sum(-1).prod(-1)
        joint = -model.decoder.nll(batch, code.expand(1, EXAMPLES, -1))[0] - VARIABLES * math.log(CLASSES)
        total = total + q * (q.log() - joint)
    return total.mean()


def exact_nll(model: VAE[ImageBatch], batch: ImageBatch) -> Tensor:
    """-log sum_z p(z) p(x|z), (B,)."""
    joint = [-model.decoder.nll(batch, code.expand(1, EXAMPLES, -1))[0] - VARIABLES * math.log(CLASSES) for code in every_code()]
    return -torch.stack(joint).logsumexp(0)


def terms_of(model: VAE[ImageBatch], batch: ImageBatch, config: Elbo, streams: Streams) -> Terms:
    objective = config.build(ObjectiveSizes(EXAMPLES, VARIABLES * CLASSES))
    return objective.terms(model, batch, Moment(5, 10, objective.initial(Generator())), streams)


def test_the_marginal_estimator_is_the_enumerated_elbo_and_its_gradient(batch: ImageBatch):
    model = make_model(MarginalEstimator())
    exact, streams = exact_negative_elbo(model, batch), Streams.create(0)
    loss = terms_of(model, batch, Elbo(), streams).loss
    torch.testing.assert_close(loss, exact, rtol=1e-12, atol=0.0)
    found, expected = (gradients(value, model.parameters()) for value in (loss, exact))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(streams.noise.get_state(), Streams.create(0).noise.get_state())  # nothing is drawn


@pytest.mark.parametrize("estimator", [GumbelEstimator(temperature=COLD), StraightThroughEstimator(temperature=COLD)])
def test_at_temperature_zero_the_loss_is_the_enumerated_elbo(estimator: AnyEstimator, batch: ImageBatch):
    model = make_model(estimator)
    with torch.no_grad():
        exact, streams = exact_negative_elbo(model, batch).item(), Streams.create(1)
        losses = torch.stack([terms_of(model, batch, Elbo(samples=200), streams).loss for _ in range(100)])
    assert losses.mean().item() == pytest.approx(exact, abs=4.5 * losses.std().item() / 10)
    assert losses.std().item() / 10 < 0.01 * exact


def test_on_warm_relaxed_samples_the_loss_is_no_bound():
    """For pixels between those of all codes it lies below -log p(x); with hard samples, straight-through too, it never does."""
    warm = Temperature(start=3.0, end=3.0)
    model, hard = make_model(GumbelEstimator(temperature=warm)), make_model(StraightThroughEstimator(temperature=warm))
    decoder = model.decoder
    assert isinstance(decoder, LinearGaussianDecoder)
    with torch.no_grad():
        batch = ImageBatch((decoder.weight.sum(1) / CLASSES).expand(EXAMPLES, -1))
        relaxed = terms_of(model, batch, Elbo(samples=20_000), Streams.create(1)).loss.item()
        straight = terms_of(hard, batch, Elbo(samples=20_000), Streams.create(1)).loss.item()
        assert straight == pytest.approx(exact_negative_elbo(model, batch).item(), rel=0.02)
        assert relaxed < exact_nll(model, batch).mean().item() < straight


def test_a_cooler_gumbel_gradient_is_closer_to_the_exact_one(batch: ImageBatch):
    errors = []
    for temperature in (3.0, 0.5, 0.1):
        model = make_model(GumbelEstimator(temperature=Temperature(start=temperature, end=temperature)))
        exact = gradients(exact_negative_elbo(model, batch), model.posterior.parameters())
        streams = Streams.create(2)
        losses = (terms_of(model, batch, Elbo(samples=2000), streams).loss for _ in range(60))
        found = torch.stack([gradients(loss, model.posterior.parameters()) for loss in losses]).mean(0)
        errors.append(((found - exact).norm() / exact.norm()).item())
    assert errors[0] > 2.0 * errors[1] > 4.0 * errors[2]
    assert errors[2] < 0.1


@pytest.mark.parametrize("baseline", ["none", "leave_one_out"])
def test_the_score_function_s_gradient_has_the_exact_mean(baseline: str, batch: ImageBatch):
    model, repeats = make_model(GumbelEstimator()), 400
    exact = gradients(exact_negative_elbo(model, batch), model.parameters())
    config = Elbo.from_dict({"samples": 50, "gradient": {"kind": "score", "baseline": baseline}})
    streams = Streams.create(3)
    losses = (terms_of(model, batch, config, streams).loss for _ in range(repeats))
    table = torch.stack([gradients(loss, model.parameters()) for loss in losses])
    assert ((table.mean(0) - exact).abs() < 4.5 * table.std(0) / repeats**0.5 + 1e-9).all()
    assert (table.mean(0) - exact).norm() < 0.1 * exact.norm()


def test_hard_samples_have_a_probability_with_a_gradient_to_the_logits():
    logits = draws(4, VARIABLES, CLASSES).requires_grad_()
    posterior = OneHotCategorical(logits)
    z = posterior.draw(6, Generator().manual_seed(0))
    assert not z.requires_grad
    assert sorted(z.unique().tolist()) == [0.0, 1.0]
    assert (z.view(6, 4, VARIABLES, CLASSES).sum(-1) == 1.0).all()
    truth = torch.distributions.Independent(torch.distributions.OneHotCategorical(logits=logits), 1)
    expected = truth.log_prob(z.view(6, 4, VARIABLES, CLASSES))
    torch.testing.assert_close(posterior.log_prob(z), expected, rtol=1e-12, atol=1e-12)
    slopes = [torch.autograd.grad(value.sum(), logits)[0] for value in (posterior.log_prob(z), expected)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=1e-12)


def test_the_kl_is_log_classes_less_the_entropy():
    logits = draws(4, VARIABLES, CLASSES)
    entropy = torch.distributions.OneHotCategorical(logits=logits).entropy()
    found = OneHotCategorical(logits).kl_per_dimension()
    torch.testing.assert_close(found, math.log(CLASSES) - entropy, rtol=1e-12, atol=1e-12)
    assert OneHotCategorical(torch.zeros(1, VARIABLES, CLASSES)).kl().item() == pytest.approx(0.0, abs=1e-6)


def test_straight_through_looks_hard_and_learns_soft():
    """y_hard - sg(y) + y, with y the relaxed sample of the same noise."""
    temperature = Temperature(start=0.7, end=0.7)
    logits, weight = draws(4, VARIABLES, CLASSES).requires_grad_(), draws(VARIABLES * CLASSES, seed=5)
    slopes = []
    for estimator in (StraightThroughEstimator(temperature=temperature), GumbelEstimator(temperature=temperature)):
        posterior = OneHotCategorical(logits, estimator)
        z = posterior.points(3, Generator().manual_seed(1), Moment(0, 10)).z
        slopes.append(torch.autograd.grad((z * weight).sum(), logits)[0])
        if isinstance(estimator, StraightThroughEstimator):
            assert torch.equal(z, posterior.draw(3, Generator().manual_seed(1)))
        else:
            torch.testing.assert_close(z.view(3, 4, VARIABLES, CLASSES).sum(-1), torch.ones(3, 4, VARIABLES).double())
            assert z.max() < 1.0
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=1e-14)


def test_noise_of_either_tail_stays_finite_and_right():
    """-log(-log Phi(n)) against mpmath, in single precision; with Phi(n) itself it would be infinite at either end."""
    noise = torch.tensor([-30.0, -9.0, -1.0, 0.0, 1.0, 5.0, 9.0])
    expected = [-6.118805, -3.775703, -0.610321, 0.366513, 1.755888, 15.064998, 43.628149]
    gumbel = OneHotCategorical(torch.zeros(1, 1, 7))._perturbed(noise.view(1, 1, 7)).flatten()
    assert gumbel.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("samples", [1, 7])
def test_the_true_posterior_gives_the_likelihood_without_variance(samples: int, batch: ImageBatch):
    """One variable, whose posterior is a table."""
    decoder, prior = LinearGaussianDecoder(draws(PIXELS, 5, seed=1)), UniformOneHot(1, 5)
    with torch.no_grad():
        nll = decoder.nll(batch, torch.eye(5).double().unsqueeze(1).expand(-1, EXAMPLES, -1))
        true = OneHotCategorical((-nll).T.unsqueeze(1))
        found = importance_weighted_nll(true, lambda z: prior.log_prob(z) - decoder.nll(batch, z), [draws(samples, EXAMPLES, 5)])
        torch.testing.assert_close(found, math.log(5) - (-nll).logsumexp(0), rtol=1e-12, atol=1e-12)


def test_the_importance_weighted_score_comes_to_the_exact_likelihood(batch: ImageBatch):
    model = make_model(GumbelEstimator())
    with torch.no_grad():
        posterior, exact = model.encode(batch), exact_nll(model, batch)
        few, many = (
            importance_weighted_nll(
                posterior, lambda z: model.log_joint(batch, z), [draws(samples, EXAMPLES, posterior.noise_size)]
            )
            for samples in (1, 100_000)
        )
    torch.testing.assert_close(many, exact, rtol=0.0, atol=0.02)
    assert (few - exact).abs().max() > 0.1


def test_evaluation_takes_hard_samples_whatever_the_estimator(image_config: MakeConfig):
    """On real digits: many samples against every code of the model."""
    latent = {"kind": "categorical", "variables": 2, "classes": 4}
    digits = image_config({"data.pixels": "static"}).data.load()
    assert isinstance(digits, ImageData)
    for estimator in ("gumbel", "straight_through", "marginal"):
        config = image_config({"model.latent": {**latent, "estimator": {"kind": estimator}}, "data.pixels": "static"})
        model = build_model(config, digits, make_generator(0, "init"))
        score = importance_weighted(model, digits, "test", samples=2000, examples=None, seed=1)
        if estimator == "gumbel":
            expected = score
        assert score == expected
    index = torch.arange(len(digits.splits["test"])).numpy()
    with torch.no_grad():
        codes = all_codes(2, 4)
        whole = digits.batch("test", index, make_generator(1, "binarise"))
        joint = torch.stack([model.log_joint(whole, code.expand(1, len(index), -1))[0] for code in codes])
    assert expected.nll == pytest.approx(-joint.logsumexp(0).mean().item(), abs=0.002)


def test_the_temperature_runs_from_start_to_end_with_its_schedule():
    temperature = Temperature(start=2.0, end=0.5, schedule=Linear(warmup=0.5))
    assert [temperature(step, 100) for step in (0, 25, 50, 99)] == pytest.approx([2.0, 1.0, 0.5, 0.5], rel=1e-12)
    posterior = OneHotCategorical(draws(4, VARIABLES, CLASSES), GumbelEstimator(temperature=temperature))
    noise = posterior.noise(3, Generator().manual_seed(0))
    for step, expected in ((0, 2.0), (25, 1.0), (80, 0.5)):
        z = posterior.points(3, Generator().manual_seed(0), Moment(step, 100)).z
        torch.testing.assert_close(z, posterior.relaxed(noise, expected), rtol=1e-10, atol=1e-12)


def test_a_start_that_is_never_had_is_refused():
    with pytest.raises(ValidationError, match=r"start: 1.0 is never had with schedule.kind: constant; set it to end: 0.5"):
        Temperature(schedule=Constant())
    assert Temperature(start=0.5, schedule=Constant())(0, 10) == 0.5


@pytest.mark.parametrize(("variables", "classes", "fits"), [(8, 2, True), (2, 16, True), (1, 256, True), (5, 3, True)])
def test_as_many_codes_as_256_are_enumerated(variables: int, classes: int, fits: bool):
    CategoricalLatent(variables=variables, classes=classes, estimator=MarginalEstimator())
    assert all_codes(variables, classes).unique(dim=0).shape == (classes**variables, variables * classes)
    with pytest.raises(ValidationError, match=rf"{classes + 1}\^{variables + 1} codes of each example; they must be 256 at most"):
        CategoricalLatent(variables=variables + 1, classes=classes + 1, estimator=MarginalEstimator())


MARGINAL = {"kind": "categorical", "variables": 2, "classes": 4, "estimator": {"kind": "marginal"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.latent": {"kind": "categorical"}, "objective": {"kind": "iwae"}}, "objective.kind: iwae needs the density"),
        ({"model.latent": {"kind": "categorical"}, "objective": {"kind": "iwae", "gradient": "plain"}}, "relaxed ones no probab"),
        ({"model.latent": MARGINAL, "objective.samples": 3}, "objective.samples: 3 has no effect beside model.latent.estimator"),
        (
            {"model.latent": MARGINAL, "objective.gradient": {"kind": "score"}},
            "model.latent.estimator.kind: marginal has no effect beside objective.gradient.kind: score",
        ),
        ({"model.latent": {"kind": "categorical"}, "model.prior": {"kind": "mixture"}}, "model.prior.kind: mixture is for codes"),
    ],
)
def test_what_makes_no_sense_together_is_refused(changes: dict[str, Any], message: str, image_config: MakeConfig):
    with pytest.raises(ValidationError, match=message):
        image_config(changes)


def test_iwae_is_refused_once(image_config: MakeConfig):
    with pytest.raises(ValidationError) as refused:
        image_config({"model.latent": {"kind": "categorical"}, "objective": {"kind": "iwae"}})
    assert str(refused.value).count("objective.kind: iwae") == 1
