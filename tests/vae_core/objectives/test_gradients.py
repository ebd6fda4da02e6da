"""The score function estimator against gradients that are known in closed form or by enumeration (definitions.md 8)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_iwae import EXAMPLES, PIXELS, SIZE, gradients, make_model, negative_elbo
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.latent.gaussian import StandardNormal
from vae_core.latent.interface import Posterior
from vae_core.latent.standard import Reference
from vae_core.model import VAE, build_model
from vae_core.moment import Moment, State
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.objectives.options import Pid, Score
from vae_core.seeding import Streams, make_generator

BASELINES = ("none", "running_mean", "leave_one_out")
ENCODER = 2 * SIZE * (PIXELS + 1)
"""Weights of the posterior, which come first."""


@pytest.fixture(scope="module")
def batch() -> ImageBatch:
    generator = torch.Generator().manual_seed(1)
    return ImageBatch(1.3 * torch.randn(EXAMPLES, PIXELS, generator=generator, dtype=torch.float64))


def score(baseline: str, samples: int = 4, **changes: Any) -> Elbo:
    return Elbo.from_dict({"samples": samples, "gradient": {"kind": "score", "baseline": baseline}, **changes})


def terms_of(config: Elbo, model: VAE[Any], batch: Any, streams: Streams, state: State | None = None) -> Terms:
    objective = config.build(ObjectiveSizes(EXAMPLES, SIZE))
    return objective.terms(model, batch, Moment(0, 1, objective.initial(torch.Generator()) if state is None else state), streams)


def table(config: Elbo, model: VAE[Any], batch: ImageBatch, draws: int, seed: int = 5) -> Tensor:
    """Gradients of all weights, a row a draw; the state goes from one to the next, as it does in training."""
    streams, state, rows = Streams.create(seed), None, []
    for _ in range(draws):
        terms = terms_of(config, model, batch, streams, state)
        rows.append(gradients(terms.loss, model.parameters()))
        state = terms.state
    return torch.stack(rows)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_mean_gradient_is_the_closed_form_s(baseline: str, batch: ImageBatch):
    """Of every weight of encoder and decoder, within 4.5 standard errors, which are small beside it."""
    model, draws = make_model(error=0.3), 400
    expected = gradients(negative_elbo(model, batch), model.parameters())
    found = table(score(baseline), model, ImageBatch(batch.pixels.repeat(50, 1)), draws)
    error = found.std(0) / draws**0.5
    assert ((found.mean(0) - expected).abs() < 4.5 * error).all()
    assert error.max() < 0.1 * expected.abs().max()


def test_it_is_noisier_than_the_reparametrised_one_and_baselines_help(batch: ImageBatch):
    model = make_model(error=0.3)
    variance = {name: table(score(name), model, batch, 600)[50:, :ENCODER].var(0).sum().item() for name in BASELINES}
    variance["reparametrised"] = table(Elbo(samples=4), model, batch, 600)[50:, :ENCODER].var(0).sum().item()
    assert variance["none"] > 2.0 * variance["running_mean"] > 2.0 * 1.2 * variance["leave_one_out"]
    assert variance["leave_one_out"] > 2.0 * variance["reparametrised"]


@pytest.mark.parametrize("baseline", BASELINES)
def test_loss_and_decoder_s_gradient_are_the_reparametrised_ones(baseline: str, batch: ImageBatch):
    model = make_model(error=0.3)
    one, other = (terms_of(config, model, batch, Streams.create(3)) for config in (score(baseline), Elbo(samples=4)))
    for name in ("loss", "distortion", "rate"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-13, atol=0.0)
    found, expected = (gradients(terms.loss, model.decoder.parameters()) for terms in (one, other))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_encoder_s_gradient_is_the_formula_written_out(baseline: str, batch: ImageBatch):
    model, samples, running = make_model(error=0.3), 3, 2.5
    posterior = model.encode(batch)
    z = posterior.draw(samples, Streams.create(3).noise).detach()
    cost = model.decoder.nll(batch, z).detach()
    others = (cost.sum(0) - cost) / (samples - 1)
    held = {"none": torch.zeros_like(cost), "running_mean": torch.full_like(cost, running), "leave_one_out": others}[baseline]
    surrogate = ((cost - held) * posterior.log_prob(z)).mean() + posterior.kl().mean()
    state = {"baseline.distortion.sum": torch.tensor(running / 2), "baseline.distortion.weight": torch.tensor(0.5)}
    loss = terms_of(score(baseline, samples), model, batch, Streams.create(3), state).loss
    found, expected = (gradients(value, model.posterior.parameters()) for value in (loss, surrogate))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


def test_the_running_mean_is_of_the_batches_before(batch: ImageBatch):
    """At first there is none; then it is the weighted mean of what was seen, whatever the first value was."""
    model, streams, state = make_model(error=0.3), Streams.create(0), None
    config, seen = Elbo(gradient=Score(decay=0.7)), []
    first = terms_of(config, model, batch, Streams.create(0))
    plain = terms_of(score("none", 1), model, batch, Streams.create(0))
    for one, other in zip(*(torch.autograd.grad(t.loss, list(model.parameters())) for t in (first, plain)), strict=True):
        assert torch.equal(one, other)
    for _ in range(4):
        terms = terms_of(config, model, batch, streams, state)
        state = terms.state
        seen.append(terms.distortion.item())
    weights = 0.7 ** np.arange(3, -1, -1)
    mean = state["baseline.distortion.sum"] / state["baseline.distortion.weight"]
    assert mean.item() == pytest.approx(np.average(seen, weights=weights), rel=1e-12)


def test_a_feedback_and_a_running_mean_both_move_on(batch: ImageBatch):
    config = Elbo(gradient=Score(), feedback=Pid(nats=3.0))
    terms = terms_of(config, make_model(error=0.3), batch, Streams.create(0))
    alone = terms_of(Elbo(feedback=Pid(nats=3.0)), make_model(error=0.3), batch, Streams.create(0))
    assert terms.state["integral"].item() == alone.state["integral"].item() != 0.0
    assert terms.state["baseline.distortion.weight"].item() == pytest.approx(0.1)


@dataclass(frozen=True)
class Opaque(StandardNormal):
    """The standard normal, its divergence unknown."""

    def kl(self, posterior: Posterior) -> None:  # type: ignore[override]  # it may be None, here it is
        return None


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_kl_without_closed_form_learns_by_the_same_rule(baseline: str, batch: ImageBatch):
    model, draws = make_model(error=0.3), 500
    expected = gradients(negative_elbo(model, batch), model.parameters())
    model.prior = Reference(Opaque(SIZE))
    found = table(score(baseline), model, ImageBatch(batch.pixels.repeat(50, 1)), draws)
    error = found.std(0) / draws**0.5
    assert ((found.mean(0) - expected).abs() < 4.5 * error).all()
    assert error.max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize("baseline", BASELINES)
def test_hard_codes_learn_by_it_too(baseline: str, image_config: MakeConfig, digits: ImageData):
    """Of two variables of three classes: the mean gradient is the enumerated one, within 4.5 standard errors."""
    latent = {"kind": "categorical", "variables": 2, "classes": 3, "estimator": {"kind": "marginal"}}
    model = build_model(image_config({"model.latent": latent}), digits, make_generator(0, "init")).double()
    with torch.no_grad():
        model.decoder.body.layers[0].weight *= 20.0  # codes matter from the start
    pixels = digits.batch("test", np.arange(2), None).pixels.double()
    weights = list(model.posterior.parameters())

    def slope(loss: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights)])

    exact = slope(terms_of(Elbo(), model, ImageBatch(pixels), Streams.create(0)).loss)
    many, streams, state, rows, draws = ImageBatch(pixels.repeat(100, 1)), Streams.create(1), None, [], 300
    for _ in range(draws):
        terms = terms_of(score(baseline), model, many, streams, state)
        state = terms.state
        rows.append(slope(terms.loss))
    found = torch.stack(rows)
    error = found.std(0) / math.sqrt(draws)
    assert ((found.mean(0) - exact).abs() <= 4.5 * error + 1e-12).all()
    assert error.max() < 0.1 * exact.abs().max()


def test_on_a_sphere_its_mean_is_the_reparametrised_one_too(image_config: MakeConfig, digits: ImageData):
    """Directions and concentrations, within 4.5 standard errors of the difference."""
    model = build_model(image_config({"model.latent": {"kind": "vmf", "size": 4}}), digits, make_generator(0, "init")).double()
    with torch.no_grad():
        model.decoder.body.layers[0].weight *= 20.0  # codes matter from the start
    many = ImageBatch(digits.batch("test", np.arange(2), None).pixels.double().repeat(100, 1))
    weights, draws, tables = list(model.posterior.parameters()), 100, {}
    for name, config in {"score": score("leave_one_out"), "reparametrised": Elbo(samples=4)}.items():
        streams = Streams.create(len(tables))
        losses = (terms_of(config, model, many, streams).loss for _ in range(draws))
        tables[name] = torch.stack([gradients(loss, weights) for loss in losses])
    difference = tables["score"].mean(0) - tables["reparametrised"].mean(0)
    error = ((tables["score"].var(0) + tables["reparametrised"].var(0)) / draws).sqrt()
    assert (difference.abs() <= 4.5 * error + 1e-12).all()
    assert error.max() < 0.1 * tables["reparametrised"].mean(0).abs().max()
