"""The loss: its normalisation, its weight, its parts (definitions.md 2, 4)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.vae_core.conftest import MakeConfig
from vae_core.config import Elbo
from vae_core.data.batching import TextBatch
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.model import VAE, build_model
from vae_core.networks.mlp import ImageDecoder
from vae_core.objectives import build_objective
from vae_core.schedules import Linear
from vae_core.seeding import Streams, make_generator


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


def test_duplicating_the_batch_leaves_the_loss_as_it_was(model: VAE[TextBatch], batch: TextBatch):
    objective = build_objective(Elbo(beta=0.5))
    twice = TextBatch(*(torch.cat((part, part)) for part in (batch.inputs, batch.targets, batch.mask, batch.lengths)))
    once, doubled = (objective.terms(model, part, 0.5, Streams.create(0)) for part in (batch, twice))
    for name in ("loss", "distortion", "rate"):
        torch.testing.assert_close(getattr(doubled, name), getattr(once, name), rtol=1e-12, atol=1e-10)


def test_adding_padding_leaves_the_loss_as_it_was(model: VAE[TextBatch], batch: TextBatch, sentences: TextData):
    objective = build_objective(Elbo())
    padding = torch.full((batch.size, 7), sentences.vocabulary.pad)
    wide = TextBatch(
        torch.cat((batch.inputs, padding), 1),
        torch.cat((batch.targets, padding), 1),
        torch.cat((batch.mask, torch.zeros_like(padding, dtype=torch.bool)), 1),
        batch.lengths,
    )
    narrow, widened = (objective.terms(model, part, 1.0, Streams.create(0)).loss for part in (batch, wide))
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
    objective = build_objective(Elbo())
    long, short = (objective.terms(model, part, 1.0, Streams.create(0)).distortion.item() for part in (whole, cut))
    assert long / short == pytest.approx(length / half, rel=0.05)


def test_the_loss_is_distortion_plus_weighted_rate(model: VAE[TextBatch], batch: TextBatch):
    terms = build_objective(Elbo(beta=3.0)).terms(model, batch, 0.25, Streams.create(0))
    torch.testing.assert_close(terms.loss, terms.distortion + 0.25 * terms.rate, rtol=1e-14, atol=0.0)
    torch.testing.assert_close(terms.rate, model.encode(batch).kl().mean(), rtol=1e-14, atol=0.0)


def test_an_image_loss_equals_the_formula_written_out(image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(), digits, make_generator(0, "init")).double()
    assert isinstance(model.decoder, ImageDecoder)
    batch = digits.batch("test", np.arange(9), None)
    batch = replace(batch, pixels=batch.pixels.double())
    terms = build_objective(Elbo(samples=2)).terms(model, batch, 0.5, Streams.create(7))
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
        objective, streams = build_objective(Elbo(samples=samples)), Streams.create(seed)
        with torch.no_grad():
            return torch.stack([objective.terms(model, batch, 1.0, streams).loss for _ in range(400)])

    one, sixteen = losses(1, 0), losses(16, 1)
    error = (one.var() / 400 + sixteen.var() / 400).sqrt()
    assert abs(one.mean() - sixteen.mean()) < 4 * error
    assert 8 < one.var() / sixteen.var() < 32


def test_the_weight_is_beta_times_the_schedule():
    objective = build_objective(Elbo(beta=0.4, annealing=Linear(warmup=0.5)))
    assert [objective.weight(step, 100) for step in (0, 25, 50, 99)] == pytest.approx([0.0, 0.2, 0.4, 0.4])
    assert objective.annealing_end(100) == 50


def test_a_weight_of_zero_gives_the_kl_no_gradient(model: VAE[TextBatch], batch: TextBatch):
    terms = build_objective(Elbo()).terms(model, batch, 0.0, Streams.create(0))
    weights = list(model.encoder.parameters())
    with_rate = torch.autograd.grad(terms.loss, weights, retain_graph=True)
    without = torch.autograd.grad(terms.distortion, weights)
    assert all(torch.equal(one, other) for one, other in zip(with_rate, without, strict=True))
