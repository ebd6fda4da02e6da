"""Models with every prior: built, trained, gone on with, kept, scored, and refused where they make no sense."""

from __future__ import annotations

import copy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.latent.priors import LEARNED, PRIORS, UNLABELLED
from tests.vae_core.test_iwae import EXAMPLES, GRADIENTS, PIXELS, SIZE, gradients, make_model, terms_of
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.checkpoint import load_model, save_model
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.evaluate import evaluate, importance_weighted
from vae_core.generate import prior_codes
from vae_core.latent.interface import PriorSizes
from vae_core.latent.mixture import GaussianMixture, Mixture, Vamp
from vae_core.latent.pseudo_inputs import PseudoImages
from vae_core.model import VAE, Data, build_model
from vae_core.moment import Moment
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import ObjectiveSizes
from vae_core.seeding import Streams, make_generator
from vae_core.trainer import Trainer

FEEDBACKS: dict[str, dict[str, Any]] = {
    "capacity": {"kind": "capacity", "nats": 6.0, "schedule": {"kind": "linear", "warmup": 0.5}},
    "pid": {"kind": "pid", "nats": 6.0, "integral_gain": 0.005},
    "minimum_rate": {"kind": "minimum_rate", "nats": 5.0, "lr": 0.01},
}


def prior_of(name: str) -> dict[str, Any]:
    return {"model.prior": PRIORS[name].to_dict()}


@pytest.fixture(params=["text", "image"])
def make(
    request: pytest.FixtureRequest, text_config: MakeConfig, image_config: MakeConfig, sentences: TextData, digits: ImageData
) -> tuple[MakeConfig, Data]:
    return (text_config, sentences) if request.param == "text" else (image_config, digits)


@pytest.mark.parametrize("name", UNLABELLED)
def test_the_model_says_which_kl_is_reported(name: str, make: tuple[MakeConfig, Data]):
    model = build_model(make[0](prior_of(name)), make[1], make_generator(0, "init"))
    assert model.kl_kind == ("closed form" if name == "standard" else "monte carlo")


@pytest.mark.parametrize("name", LEARNED)
def test_training_reaches_every_weight_and_none_twice(name: str, make: tuple[MakeConfig, Data]):
    config = make[0](prior_of(name))
    model = build_model(config, make[1], make_generator(0, "init"))
    batch: Any = make[1].batch("train", np.arange(20), make_generator(0, "binarise"))
    streams = Streams.create(0)
    z = model.encode(batch, streams.dropout).draw(2, streams.noise)
    (-model.log_joint(batch, z) + model.encode(batch).log_prob(z)).mean().backward()
    named = dict(model.named_parameters(remove_duplicate=False))
    assert [name for name, weight in named.items() if weight.grad is None or not weight.grad.any()] == []
    assert not any(part in name for name in named for part in ("prior.encoder", "prior.layer", "prior._reader"))
    own = [weight for name, weight in named.items() if name.startswith("prior.")]
    rest = [weight for name, weight in named.items() if not name.startswith("prior.")]
    assert own
    assert not {id(weight) for weight in own} & {id(weight) for weight in rest}


@pytest.mark.parametrize("name", LEARNED)
def test_training_learns_and_goes_on_bitwise(name: str, make: tuple[MakeConfig, Data]):
    config = make[0](prior_of(name) | {"training.epochs": 4})
    unbroken, first, second = (Trainer(config, make[1]) for _ in range(3))
    before = [weight.clone() for weight in unbroken.model.prior.parameters()]
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), 2))
    second.load_state_dict(first.state_dict())
    assert timeless([*records, *second.run()]) == expected
    assert same_weights(second, unbroken)
    assert all(not torch.equal(old, new) for old, new in zip(before, unbroken.model.prior.parameters(), strict=True))
    scores = [record["metrics"]["val/neg_elbo"] for record in expected[:4]]
    assert scores[3] < scores[0] - 1.0
    for record in expected[:4]:
        metrics = record["metrics"]
        assert metrics["train/loss"] == pytest.approx(metrics["train/distortion"] + metrics["train/rate"], rel=1e-6)


@pytest.mark.parametrize("name", UNLABELLED)
def test_a_model_is_the_same_after_loading(name: str, make: tuple[MakeConfig, Data], tmp_path: Path):
    config = make[0](prior_of(name) | {"model.latent.batch_norm": {"gamma": 0.5}})
    trainer = Trainer(config, make[1])
    next(trainer.run())
    save_model(trainer.model, config, make[1], tmp_path)
    loaded = load_model(tmp_path)
    assert evaluate(loaded.model, make[1], "test", 50, seed=0) == evaluate(trainer.model, make[1], "test", 50, seed=0)
    assert torch.equal(prior_codes(loaded.model, 9, seed=3), prior_codes(trainer.model, 9, seed=3))
    assert loaded.model.state_dict().keys() == trainer.model.state_dict().keys()


@pytest.mark.parametrize("name", UNLABELLED)
def test_codes_of_the_prior_repeat_and_are_the_prior_s(name: str, make: tuple[MakeConfig, Data]):
    model = build_model(make[0](prior_of(name)), make[1], make_generator(0, "init"))
    codes = prior_codes(model, 4000, seed=3)
    assert codes.shape == (4000, 4)
    assert torch.equal(prior_codes(model, 4000, seed=3), codes)
    assert not torch.equal(prior_codes(model, 4000, seed=4), codes)
    own, foreign = (model.prior.given(None).log_prob(z.unsqueeze(0)).mean().item() for z in (codes, codes + 3.0))
    assert own > foreign + 3.0


@pytest.mark.parametrize("name", LEARNED)
def test_scores_do_not_depend_on_the_batch_size_and_the_bound_is_tighter(name: str, make: tuple[MakeConfig, Data]):
    config, data = make[0](prior_of(name)), make[1]
    trainer = Trainer(config, data)
    next(trainer.run())
    few, many = (evaluate(trainer.model, data, "valid", size, seed=0) for size in (3, 1000))
    for key, value in many.items():
        assert few[key] == pytest.approx(value, rel=1e-5, abs=1e-5), key
    bound = importance_weighted(trainer.model, data, "valid", samples=100)
    assert bound.nll < many["neg_elbo"]


def test_pseudo_images_are_read_as_images_are_without_dropout(image_config: MakeConfig, digits: ImageData):
    config = image_config(prior_of("vamp") | {"model.encoder.dropout": 0.5, "model.latent.batch_norm": {"gamma": 0.5}})
    model = build_model(config, digits, make_generator(0, "init"))
    prior = model.prior
    assert isinstance(prior, Vamp)
    assert prior.inputs.shape == (4, 64)
    density = prior.given(None)
    posterior = model.encode(ImageBatch(prior.inputs.sigmoid()))
    for found, expected in zip(density.components.tensors().values(), posterior.tensors().values(), strict=True):
        assert torch.equal(found, expected)
    (slope,) = torch.autograd.grad(density.log_prob(torch.zeros(1, 1, 4)).sum(), next(model.encoder.parameters()))
    assert slope.any()


def test_pseudo_summaries_are_what_the_posterior_layer_reads(text_config: MakeConfig, sentences: TextData):
    model = build_model(text_config(prior_of("vamp")), sentences, make_generator(0, "init"))
    prior = model.prior
    assert isinstance(prior, Vamp)
    assert prior.inputs.shape == (4, 16)
    density = prior.given(None)
    for found, expected in zip(
        density.components.tensors().values(), model.posterior(prior.inputs, training=False).tensors().values(), strict=True
    ):
        assert torch.equal(found, expected)


@torch.no_grad()
def test_a_copied_model_has_a_prior_of_its_own(image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(prior_of("vamp")), digits, make_generator(0, "init"))
    copied = copy.deepcopy(model)
    z = torch.zeros(1, 1, 4)
    before = model.prior.given(None).log_prob(z)
    for weight in copied.encoder.parameters():
        weight.mul_(2.0)
    assert torch.equal(model.prior.given(None).log_prob(z), before)
    assert not torch.equal(copied.prior.given(None).log_prob(z), before)


# -- the importance-weighted bound ------------------------------------------------------------------------------------------


def with_prior(name: str) -> VAE[ImageBatch]:
    """test_iwae's linear-Gaussian model, its posterior somewhat wrong, under a learned prior."""
    model = make_model(error=0.3)
    sizes = PriorSizes(model.posterior, PseudoImages(PIXELS, model.encoder, model.posterior), torch.Generator().manual_seed(4))
    return VAE(model.encoder, model.posterior, PRIORS[name].build(sizes).double(), model.decoder)


@pytest.fixture(scope="module")
def batch() -> ImageBatch:
    generator = torch.Generator().manual_seed(1)
    return ImageBatch(1.3 * torch.randn(EXAMPLES, PIXELS, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", ["mixture", "nsf", "maf"])
def test_the_prior_learns_by_the_decoder_s_weights(name: str, gradient: str, batch: ImageBatch):
    """d/d lambda of the bound is sum_k w~_k d log p(z_k) / d lambda, under DReG as under the plain gradient."""
    model = with_prior(name)
    posterior = model.encode(batch)
    z = posterior.draw(5, Streams.create(3).noise).detach()
    density = model.prior_of(batch)
    log_prior = density.log_prob(z)
    share = (log_prior - model.nll(batch, z) - posterior.log_prob(z)).detach().softmax(0)
    expected = gradients(-(share * log_prior).sum() / EXAMPLES, model.prior.parameters())
    loss = terms_of(model, batch, 5, gradient, Streams.create(3)).loss
    found = gradients(loss, model.prior.parameters())
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LEARNED)
def test_dreg_has_the_plain_gradient_s_mean_under_every_prior(name: str, batch: ImageBatch):
    """The posterior of a vamp prior's inputs shares its weights with the proposal, and is no part of log q."""
    model, draws, many = with_prior(name), 300, ImageBatch(batch.pixels.repeat(20, 1))
    tables = {}
    for gradient in GRADIENTS:
        streams = Streams.create(5)
        losses = (terms_of(model, many, 4, gradient, streams).loss for _ in range(draws))
        tables[gradient] = torch.stack([gradients(loss, model.parameters()) for loss in losses])
    difference = tables["dreg"] - tables["plain"]
    assert (difference.mean(0).abs() <= 4.5 * difference.std(0) / draws**0.5 + 1e-12).all()
    moved = difference.std(0) > 1e-9  # the weights that DReG has another estimate for
    assert moved.sum() == 2 * SIZE * (PIXELS + 1)
    assert tables["dreg"][:, moved].var(0).sum() < 0.7 * tables["plain"][:, moved].var(0).sum()


@torch.no_grad()
def test_the_bound_uses_the_prior(batch: ImageBatch):
    """The likelihood of a linear decoder under a mixture of Gaussians is a mixture of Gaussians: many samples come to it."""
    model = with_prior("mixture")
    prior = model.prior
    assert isinstance(prior, GaussianMixture)
    loss = torch.stack([terms_of(model, batch, 20_000, "dreg", Streams.create(seed)).loss for seed in range(10)]).mean()
    parts = []
    weight = model.decoder.weight
    assert isinstance(weight, Tensor)
    for mean, log_variance in zip(prior.mean, prior.log_variance, strict=True):
        covariance = weight * log_variance.exp() @ weight.T + 0.7**2 * torch.eye(PIXELS, dtype=torch.float64)
        parts.append(torch.distributions.MultivariateNormal(weight @ mean, covariance).log_prob(batch.pixels))
    truth = -(torch.stack(parts) + prior.logits.log_softmax(0).unsqueeze(1)).logsumexp(0).mean()
    assert loss.item() == pytest.approx(truth.item(), abs=0.02)
    assert isinstance(model.prior_of(batch), Mixture)


@pytest.mark.parametrize("name", ["mixture", "maf"])
def test_the_score_function_teaches_the_prior_the_same(name: str, batch: ImageBatch):
    """Its gradient of prior and encoder has the mean of the reparametrised one, within 4.5 standard errors."""
    model, draws, tables = with_prior(name), 400, []
    many = ImageBatch(batch.pixels.repeat(20, 1))
    for plain in ({"samples": 4}, {"samples": 4, "gradient": {"kind": "score", "baseline": "leave_one_out"}}):
        objective, streams = Elbo.from_dict(plain).build(ObjectiveSizes(EXAMPLES, SIZE)), Streams.create(5)
        moment = Moment(0, 1, objective.initial(torch.Generator()))
        losses = (objective.terms(model, many, moment, streams).loss for _ in range(draws))
        tables.append(torch.stack([gradients(loss, model.parameters()) for loss in losses]))
    through, score = tables
    standard_error = ((through.var(0) + score.var(0)) / draws).sqrt()
    assert ((through.mean(0) - score.mean(0)).abs() <= 4.5 * standard_error + 1e-12).all()
    assert score.var(0).sum() > 2.0 * through.var(0).sum()


# -- floors, feedbacks, refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mixture", "nsf"])
def test_a_floor_under_the_whole_rate_holds_it(name: str, image_config: MakeConfig, digits: ImageData):
    """No gradient below; the reported rate is never the floor."""
    config = image_config(prior_of(name) | {"objective.free_bits": {"kind": "total", "nats": 1000.0}})
    model = build_model(config, digits, make_generator(0, "init"))
    objective = config.objective.build(ObjectiveSizes(examples=1000, latent=4))
    batch = digits.batch("train", np.arange(30), make_generator(0, "binarise"))
    terms = objective.terms(model, batch, Moment(0, 1), Streams.create(0))
    assert terms.loss.item() == pytest.approx(terms.distortion.item() + 1000.0)
    assert terms.rate.item() < 100.0
    slopes = torch.autograd.grad(terms.loss, list(model.prior.parameters()), allow_unused=True)
    assert all(slope is None or not slope.any() for slope in slopes)


@pytest.mark.parametrize("kind", FEEDBACKS)
def test_a_feedback_holds_an_estimated_rate_too(kind: str, image_config: MakeConfig, digits: ImageData):
    """It acts on the batch's rate, which is noisy either way; validation's is an estimate by other samples."""
    options = FEEDBACKS[kind]
    config = image_config(prior_of("mixture") | {"training.epochs": 20, "objective.feedback": options})
    trainer = Trainer(config, digits)
    *_, last, _final = trainer.run()
    assert last.metrics["train/rate"] == pytest.approx(options["nats"], rel=0.1)
    assert last.metrics["val/rate"] == pytest.approx(options["nats"], rel=0.2)


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("kind", ["example", "batch"])
def test_floors_for_each_dimension_need_the_closed_form(kind: str, name: str, image_config: MakeConfig):
    message = rf"objective\.free_bits\.kind: {kind} needs the KL of each dimension, .*model\.prior\.kind: {PRIORS[name].kind}"
    with pytest.raises(ValidationError, match=message):
        image_config(prior_of(name) | {"objective.free_bits": {"kind": kind, "nats": 0.1}})


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("latent", ["vmf", "categorical"])
def test_learned_priors_are_of_gaussian_codes(latent: str, name: str, image_config: MakeConfig):
    image_config({"model.latent": {"kind": latent}})
    message = rf"model\.prior\.kind: {PRIORS[name].kind} is for codes of model\.latent\.kind: gaussian, not {latent}"
    with pytest.raises(ValidationError, match=message):
        image_config(prior_of(name) | {"model.latent": {"kind": latent}})
