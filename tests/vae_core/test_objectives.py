"""The ELBO as a loss: its normalisation, its weight, its parts, its floors (definitions.md 2-4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.vae_core.conftest import MakeConfig
from vae_core.data.batching import TextBatch
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.networks.mlp import ImageDecoder
from vae_core.objectives.config import BetaTcVae, Elbo, FactorVae, ImportanceWeighted, ObjectiveConfig, WaeAdversary, WaeMmd
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.objectives.options import (
    BatchFreeBits,
    Capacity,
    Critic,
    ExampleFreeBits,
    MinimumRate,
    Pid,
    Score,
    TotalFreeBits,
    WassersteinCritic,
)
from vae_core.schedules import Constant, Linear
from vae_core.seeding import Streams, make_generator

FAMILY: dict[str, ObjectiveConfig] = {
    "weighted": Elbo(beta=0.5),
    "annealed": Elbo(beta=3.0, annealing=Linear(warmup=1.0)),
    "example": Elbo(beta=0.5, free_bits=ExampleFreeBits(nats=0.1)),
    "batch": Elbo(beta=0.5, free_bits=BatchFreeBits(nats=0.1)),
    "total": Elbo(beta=0.5, free_bits=TotalFreeBits(nats=5.0)),
    "capacity": Elbo(feedback=Capacity(nats=5.0, schedule=Constant())),
    "pid": Elbo(feedback=Pid(nats=5.0, min_weight=0.1)),
    "minimum_rate": Elbo(feedback=MinimumRate(nats=5.0)),
    "score": Elbo(beta=0.5, gradient=Score()),
    "score and pid": Elbo(gradient=Score(), feedback=Pid(nats=5.0, min_weight=0.1)),
}
"""Every way for the KL to enter the loss, and for the encoder to learn: each example by itself."""
OTHERS: dict[str, ObjectiveConfig] = {
    "score of two": Elbo(samples=2, gradient=Score(baseline="leave_one_out")),
    "iwae": ImportanceWeighted(samples=3),
    "wae_mmd": WaeMmd(annealing=Linear(warmup=1.0)),
    "wae_mmd deterministic": WaeMmd(encoder="deterministic"),
    "wae_adversary": WaeAdversary(),
    "wae_adversary wasserstein": WaeAdversary(critic=WassersteinCritic(hidden=16, layers=2, steps=2)),
    "beta_tcvae": BetaTcVae(annealing=Linear(warmup=1.0)),
    "beta_tcvae weighted": BetaTcVae(estimator="weighted"),
    "factor_vae": FactorVae(discriminator=Critic(hidden=16, layers=2, lr=0.01), annealing=Linear(warmup=1.0)),
}
"""The objectives that compare the codes of a batch with each other or with the prior's, or draw several."""
SINGLE = FAMILY | {name: config for name, config in OTHERS.items() if name not in ("score of two", "iwae")}
"""Those of one code an example."""


def terms_of(config: ObjectiveConfig, model: VAE[Any], batch: Any, streams: Streams, step: int = 1, total: int = 4) -> Terms:
    objective = config.build(ObjectiveSizes(examples=300, latent=4))
    return objective.terms(model, batch, Moment(step, total, objective.initial(torch.Generator())), streams)


@pytest.fixture
def model(text_config: MakeConfig, sentences: TextData) -> VAE[TextBatch]:
    """Its posterior's variance is next to nothing, so that the drawn noise does not matter."""
    model = build_model(text_config(), sentences, make_generator(0, "init")).double()
    with torch.no_grad():
        model.posterior.layer.bias[4:] = -80.0
    return model


@pytest.fixture
def batch(sentences: TextData) -> TextBatch:
    lengths = sentences.splits["train"].lengths
    return sentences.batch("train", np.argsort(lengths)[:: len(lengths) // 5])


@pytest.mark.parametrize("config", FAMILY.values(), ids=FAMILY)
def test_duplicating_the_batch_leaves_the_loss_as_it_was(config: ObjectiveConfig, model: VAE[TextBatch], batch: TextBatch):
    twice = TextBatch(*(torch.cat((part, part)) for part in (batch.inputs, batch.targets, batch.mask, batch.lengths)))
    once, doubled = (terms_of(config, model, part, Streams.create(0)) for part in (batch, twice))
    for name in ("loss", "distortion", "rate"):
        torch.testing.assert_close(getattr(doubled, name), getattr(once, name), rtol=1e-12, atol=1e-10)


def test_adding_padding_leaves_the_loss_as_it_was(model: VAE[TextBatch], batch: TextBatch, sentences: TextData):
    padding = torch.full((batch.size, 7), sentences.vocabulary.pad)
    wide = TextBatch(
        torch.cat((batch.inputs, padding), 1),
        torch.cat((batch.targets, padding), 1),
        torch.cat((batch.mask, torch.zeros_like(padding, dtype=torch.bool)), 1),
        batch.lengths,
    )
    narrow, widened = (terms_of(Elbo(), model, part, Streams.create(0)).loss for part in (batch, wide))
    torch.testing.assert_close(widened, narrow, rtol=1e-12, atol=1e-10)


def test_a_sentence_twice_as_long_costs_about_twice_as_much(model: VAE[TextBatch], batch: TextBatch):
    """Tokens are summed, not averaged: an untrained model pays about the same for each."""
    one = slice(batch.size - 1, batch.size)
    length = int(batch.lengths[one])
    half = length // 2
    whole = TextBatch(batch.inputs[one, :length], batch.targets[one, :length], batch.mask[one, :length], batch.lengths[one])
    cut = replace(
        whole,
        inputs=whole.inputs[:, :half],
        targets=whole.targets[:, :half],
        mask=whole.mask[:, :half],
        lengths=torch.tensor([half]),
    )
    long, short = (terms_of(Elbo(), model, part, Streams.create(0)).distortion.item() for part in (whole, cut))
    assert long / short == pytest.approx(length / half, rel=0.05)


def test_the_loss_is_distortion_plus_weighted_rate(model: VAE[TextBatch], batch: TextBatch):
    terms = terms_of(FAMILY["annealed"], model, batch, Streams.create(0))
    assert terms.weight == 0.75
    torch.testing.assert_close(terms.loss, terms.distortion + 0.75 * terms.rate, rtol=1e-14, atol=0.0)
    torch.testing.assert_close(terms.rate, model.encode(batch).kl().mean(), rtol=1e-14, atol=0.0)


def test_an_image_loss_equals_the_formula_written_out(image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(), digits, make_generator(0, "init")).double()
    assert isinstance(model.decoder, ImageDecoder)
    batch = digits.batch("test", np.arange(9), None)
    batch = replace(batch, pixels=batch.pixels.double())
    terms = terms_of(Elbo(beta=0.5, samples=2), model, batch, Streams.create(7))
    mean, log_variance = model.posterior.layer(model.encoder(batch, None)).chunk(2, -1)
    noise = torch.randn(2, 9, 4, generator=Streams.create(7).noise, dtype=torch.float64)
    logits = model.decoder.parameters_of(mean + log_variance.exp().sqrt() * noise)
    target = batch.pixels.expand_as(logits)
    distortion = binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1).mean()
    rate = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(-1).mean()
    torch.testing.assert_close(terms.loss, distortion + 0.5 * rate, rtol=1e-12, atol=0.0)


def test_more_samples_change_the_variance_and_not_the_mean(image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(), digits, make_generator(0, "init"))
    batch = digits.batch("test", np.arange(4), None)

    def losses(samples: int, seed: int) -> torch.Tensor:
        streams = Streams.create(seed)
        with torch.no_grad():
            return torch.stack([terms_of(Elbo(samples=samples), model, batch, streams).loss for _ in range(400)])

    one, sixteen = losses(1, 0), losses(16, 1)
    error = (one.var() / 400 + sixteen.var() / 400).sqrt()
    assert abs(one.mean() - sixteen.mean()) < 4 * error
    assert 8 < one.var() / sixteen.var() < 32


def test_the_weight_is_beta_times_the_schedule(model: VAE[TextBatch], batch: TextBatch):
    config = Elbo(beta=0.4, annealing=Linear(warmup=0.5))
    weights = [terms_of(config, model, batch, Streams.create(0), step, 100).weight for step in (0, 25, 50, 99)]
    assert weights == pytest.approx([0.0, 0.2, 0.4, 0.4])
    assert config.build(ObjectiveSizes(examples=300, latent=4)).annealing_end(100) == 50


def test_a_weight_of_zero_gives_the_kl_no_gradient(model: VAE[TextBatch], batch: TextBatch):
    terms = terms_of(Elbo(beta=0.0), model, batch, Streams.create(0))
    weights = list(model.encoder.parameters())
    with_rate = torch.autograd.grad(terms.loss, weights, retain_graph=True)
    without = torch.autograd.grad(terms.distortion, weights)
    assert all(torch.equal(one, other) for one, other in zip(with_rate, without, strict=True))


@pytest.mark.parametrize("config", SINGLE.values(), ids=SINGLE)
def test_the_reported_rate_is_the_plain_one_whatever_the_loss_makes_of_it(
    config: ObjectiveConfig, model: VAE[TextBatch], batch: TextBatch
):
    terms = terms_of(config, model, batch, Streams.create(0))
    torch.testing.assert_close(terms.rate, model.encode(batch).kl().mean(), rtol=1e-14, atol=0.0)
    plain = terms_of(Elbo(), model, batch, Streams.create(0))
    torch.testing.assert_close(terms.distortion, plain.distortion, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("floor", [ExampleFreeBits, BatchFreeBits, TotalFreeBits])
def test_below_its_floor_the_kl_leaves_no_trace_in_the_gradient(floor: type[Any], model: VAE[TextBatch], batch: TextBatch):
    terms = terms_of(Elbo(free_bits=floor(nats=1e4)), model, batch, Streams.create(0))
    weights = list(model.encoder.parameters())
    held = torch.autograd.grad(terms.loss, weights, retain_graph=True)
    without = torch.autograd.grad(terms.distortion, weights)
    assert all(torch.equal(one, other) for one, other in zip(held, without, strict=True))
    dimensions = 1 if floor is TotalFreeBits else model.latent_size
    assert (terms.loss - terms.distortion).item() == pytest.approx(1e4 * dimensions, rel=1e-9)


@pytest.mark.parametrize("name", ["capacity", "pid", "minimum_rate"])
def test_the_effective_weight_is_what_the_gradient_of_the_rate_is_multiplied_by(
    name: str, model: VAE[TextBatch], batch: TextBatch
):
    terms = terms_of(FAMILY[name], model, batch, Streams.create(0))
    weights = list(model.posterior.parameters())
    loss, distortion, rate = (
        torch.autograd.grad(part, weights, retain_graph=True) for part in (terms.loss, terms.distortion, terms.rate)
    )
    for whole, one, other in zip(loss, distortion, rate, strict=True):
        torch.testing.assert_close(whole, one + float(terms.weight) * other, rtol=1e-9, atol=1e-12)
