"""The variance of an objective's gradient, where it is known, and that measuring it changes nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_iwae import LinearGaussianDecoder, Pixels
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.gradient_variance import gradient_draws, gradient_variance
from vae_core.latent.gaussian import GaussianPosterior
from vae_core.latent.standard import Reference
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.objectives.config import Elbo
from vae_core.objectives.interface import ObjectiveSizes
from vae_core.objectives.options import AnyGradient, Reparametrised, Score
from vae_core.seeding import make_generator
from vae_core.trainer import Trainer

SLOPE, NOISE_STD, PIXELS = 1.5, 0.7, 4
NAME = "train/gradient_variance"
Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> VAE[ImageBatch]:
    """One latent dimension and a decoder that is linear in it, so that the loss is quadratic."""
    generator = torch.Generator().manual_seed(0)
    posterior = GaussianPosterior(PIXELS, 1, generator).double()
    weight = torch.zeros(PIXELS, 1, dtype=torch.float64)
    weight[0] = SLOPE
    return VAE(Pixels(), posterior, Reference(posterior.reference), LinearGaussianDecoder(weight))


@pytest.fixture(scope="module")
def batch() -> ImageBatch:
    return ImageBatch(torch.randn(5, PIXELS, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


def known_variance(model: VAE[ImageBatch], batch: ImageBatch, kind: str) -> Array:
    """Of the gradients by mean and log variance, (B, 2): polynomials of the noise, which Gauss-Hermite integrates exactly."""
    noise, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / math.sqrt(2.0 * math.pi)
    posterior = model.encode(batch)
    mean, std = posterior.mean.detach().numpy(), (0.5 * posterior.log_variance).exp().detach().numpy()
    z = mean + std * noise
    pixels = batch.pixels.numpy()
    gap = pixels[:, :1] - SLOPE * z
    if kind == "reparametrised":
        by_mean = -SLOPE * gap / NOISE_STD**2
        by_log_variance = by_mean * 0.5 * std * noise
    else:
        rest = (pixels[:, 1:] ** 2).sum(1, keepdims=True)
        cost = (gap**2 + rest) / (2 * NOISE_STD**2) + PIXELS * math.log(NOISE_STD * math.sqrt(2 * math.pi))
        by_mean, by_log_variance = cost * noise / std, cost * 0.5 * (noise**2 - 1.0)
    return np.stack([(g**2) @ weights - (g @ weights) ** 2 for g in (by_mean, by_log_variance)], 1)


OBJECTIVES = {"reparametrised": Elbo(), "score": Elbo(gradient=Score(baseline="none"))}


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_on_a_quadratic_loss_it_is_the_known_one(kind: str, samples: int, model: VAE[ImageBatch], batch: ImageBatch):
    """Of each parameter of each example, within 4.5 standard errors over 4000 copies of it; K samples divide it by K."""
    expected = known_variance(model, batch, kind) / samples
    objective = OBJECTIVES[kind].model_copy(update={"samples": samples}).build(ObjectiveSizes(5, 1))
    copies = ImageBatch(batch.pixels.repeat(4000, 1))
    found = gradient_draws(model, objective, copies, Moment(0, 1), 50, seed=0)
    assert found.shape == (50, 20_000, 2)
    variance = found.var(0).view(4000, 5, 2)
    error = (variance.std(0) / 4000**0.5).numpy()
    assert (np.abs(variance.mean(0).numpy() - expected) < 4.5 * error).all()
    assert (error < 0.05 * expected).all()


@pytest.mark.parametrize("gradient", [Reparametrised(), Score(baseline="none")])
def test_on_the_sphere_no_part_of_a_gradient_is_along_the_direction(
    gradient: AnyGradient, image_config: MakeConfig, digits: ImageData
):
    """The layer normalises, so that no weight of the encoder hears of that part, and it is no noise of theirs."""
    config = image_config({"model.latent": {"kind": "vmf", "size": 4}})
    vmf = build_model(config, digits, make_generator(0, "init")).double()
    images = digits.batch("test", np.arange(6), None)
    images = ImageBatch(images.pixels.double())
    slopes = gradient_draws(vmf, Elbo(gradient=gradient).build(ObjectiveSizes(300, 4)), images, Moment(0, 1), 8, seed=0)
    direction = vmf.encode(images).mode().detach()
    radial = (slopes[..., :4] * direction).sum(-1)
    assert slopes.shape == (8, 6, 5)
    torch.testing.assert_close(radial, torch.zeros_like(radial), atol=1e-9, rtol=0.0)
    assert (slopes[..., :4].norm(dim=-1) > 1e-3).all()


def test_it_leaves_the_model_as_it_is(model: VAE[ImageBatch], batch: ImageBatch):
    before = [weight.clone() for weight in model.parameters()]
    gradient_draws(model, Elbo().build(ObjectiveSizes(5, 1)), batch, Moment(0, 1), 2, seed=0)
    assert all(torch.equal(weight, other) for weight, other in zip(model.parameters(), before, strict=True))
    assert all(weight.grad is None for weight in model.parameters())


@pytest.fixture(params=["text", "image", "batch_norm", "sphere", "adversary"])
def trial(
    request: pytest.FixtureRequest,
    text_config: MakeConfig,
    image_config: MakeConfig,
    sentences: TextData,
    digits: ImageData,
    every_dropout: dict[str, Any],
) -> tuple[Any, Any, dict[str, Any]]:
    """Config maker, data and changes, of trials whose model or objective has something that a measure might move."""
    changes: dict[str, dict[str, Any]] = {
        "text": every_dropout | {"model.softmax": {"kind": "sampled", "samples": 64}},
        "image": {"objective.gradient": {"kind": "score"}},
        "batch_norm": {"model.latent.batch_norm": {"gamma": 0.5}},
        "sphere": {"model.latent": {"kind": "vmf", "size": 4}},
        "adversary": {"objective": {"kind": "wae_adversary", "critic": {"kind": "wasserstein", "hidden": 8, "steps": 1}}},
    }
    if request.param == "text":
        return text_config, sentences, changes["text"]
    return image_config, digits, changes[request.param]


def test_training_is_bitwise_the_same_with_and_without_the_measure(trial: tuple[Any, Any, dict[str, Any]]):
    make, data, changes = trial
    plain, measured = (Trainer(make(changes | {"objective.gradient_variance": draws}), data) for draws in (None, 3))
    expected, found = timeless(list(plain.run())), timeless(list(measured.run()))
    values = [record["metrics"].pop(NAME) for record in found if not record["final"]]
    assert found == expected
    assert same_weights(plain, measured)
    assert all(math.isfinite(value) and value > 0.0 for value in values)


def test_it_is_the_same_at_every_call_and_changes_with_the_model(image_config: MakeConfig, digits: ImageData):
    trainer = Trainer(image_config({"objective.gradient_variance": 4}), digits)
    values = [record.metrics[NAME] for record in trainer.run() if not record.final]
    assert len(set(values)) == 3
    arguments = (trainer.model, trainer.config.objective.build(ObjectiveSizes(300, 4)), Moment(9, 9), digits, trainer.config)
    assert gradient_variance(*arguments) == gradient_variance(*arguments)


def test_the_score_function_is_seen_to_be_the_noisier(image_config: MakeConfig, digits: ImageData):
    """At the same first weights: by far without a baseline, less so with one that knows the example's other samples."""
    found = {}
    for name, gradient in {
        "none": {"kind": "score", "baseline": "none"},
        "leave_one_out": {"kind": "score", "baseline": "leave_one_out"},
        "reparametrised": {"kind": "reparametrised"},
    }.items():
        changes = {"objective.gradient": gradient, "objective.samples": 4, "objective.gradient_variance": 32}
        trainer = Trainer(image_config(changes | {"training.epochs": 1, "optimizer.lr": 1e-9}), digits)
        found[name] = next(trainer.run()).metrics[NAME]
    assert found["none"] > 10 * found["leave_one_out"] > 10 * 1.5 * found["reparametrised"]
