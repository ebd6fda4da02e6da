"""Means through batch normalisation: a rate that is bounded below in training, and scores that no batch changes."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Generator, Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_iwae import GRADIENTS, PIXELS, SIZE, Pixels, gradients, make_model, terms_of
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.checkpoint import load_model, load_state, save_model, save_state
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.evaluate import evaluate
from vae_core.latent.batch_norm import NormalisedMeans
from vae_core.latent.config import BatchNorm
from vae_core.latent.gaussian import GaussianPosterior
from vae_core.model import VAE, Data, build_model
from vae_core.seeding import Streams, derive_seed, make_generator
from vae_core.trainer import EVALUATION_BATCH, Trainer

GAMMA = 0.7
CHANGES: dict[str, Any] = {"model.latent.batch_norm": {"gamma": GAMMA}}
RUNNING = ("running_mean", "running_variance", "tracked")


def layer(size: int = 3, gamma: float = GAMMA, momentum: float = 0.1) -> GaussianPosterior:
    return GaussianPosterior(5, size, Generator().manual_seed(0), BatchNorm(gamma=gamma, momentum=momentum)).double()


def summaries(examples: int, seed: int = 1) -> Tensor:
    return 2.0 * torch.randn(examples, 5, generator=Generator().manual_seed(seed), dtype=torch.float64) + 1.0


def means_of(posterior: GaussianPosterior) -> NormalisedMeans:
    assert posterior.means is not None
    return posterior.means


@pytest.fixture(params=["text", "image"])
def make(
    request: pytest.FixtureRequest, text_config: MakeConfig, image_config: MakeConfig, sentences: TextData, digits: ImageData
) -> tuple[MakeConfig, Data]:
    return (text_config, sentences) if request.param == "text" else (image_config, digits)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("size", [1, 8])
@torch.no_grad()
def test_the_rate_of_a_training_batch_is_bounded_below_whatever_the_weights(size: int, scale: float):
    """mean_x KL >= Z gamma^2 / 2, with equality where all variances are 1 and the shift is 0.

    At the smallest scale the means' variance is 1e-6 or so, which the constant that is added to it shows by 1e-4.
    """
    posterior, bound = layer(size), size * GAMMA**2 / 2
    posterior.layer.weight.mul_(scale)
    assert posterior(summaries(50), training=True).kl().mean().item() > bound
    posterior.layer.weight[size:] = 0.0
    posterior.layer.bias[size:] = 0.0
    assert posterior(summaries(50), training=True).kl().mean().item() == pytest.approx(bound, rel=2e-4)
    means_of(posterior).shift.fill_(0.3)
    shifted = posterior(summaries(50), training=True).kl().mean().item()
    assert shifted == pytest.approx(bound + size * 0.3**2 / 2, rel=2e-4)


@torch.no_grad()
def test_a_training_batch_has_the_shift_as_mean_and_gamma_as_deviation():
    posterior = layer()
    means_of(posterior).shift.copy_(torch.tensor([1.0, -2.0, 0.5]))
    mean = posterior(summaries(50), training=True).mean
    torch.testing.assert_close(mean.mean(0), means_of(posterior).shift, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(mean.std(0, correction=0), torch.full((3,), GAMMA, dtype=torch.float64), rtol=1e-8, atol=0.0)


@torch.no_grad()
def test_running_averages_weigh_the_batches_alone_and_the_variance_is_of_all_examples():
    """A batch n steps back has weight 0.75^n; the weights' sum is 1 from the first batch on."""
    posterior = layer(momentum=0.25)
    batches = [posterior.layer(summaries(20, seed) + seed)[:, :3] for seed in range(5)]
    for count in range(1, 6):
        posterior(summaries(20, count - 1) + count - 1, training=True)
        weight = 0.75 ** torch.arange(count - 1, -1, -1, dtype=torch.float64)
        weight = (weight / weight.sum() / 20).repeat_interleave(20).unsqueeze(1)
        seen = torch.cat(batches[:count])
        mean = (weight * seen).sum(0)
        norm = means_of(posterior)
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(norm.running_variance, (weight * (seen - mean).square()).sum(0), rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_evaluation_goes_by_the_running_averages_and_leaves_them():
    posterior = layer()
    norm = means_of(posterior)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_variance.copy_(torch.tensor([4.0, 9.0, 0.25]))
    raw = posterior.layer(summaries(7))[:, :3]
    found = posterior(summaries(7), training=False).mean
    scale = torch.tensor([2.0, 3.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(found, GAMMA * (raw - norm.running_mean) / scale, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(posterior(summaries(7)[2:3], training=False).mean, found[2:3], rtol=1e-12, atol=1e-12)
    assert norm.running_mean.tolist() == [1.0, 2.0, 3.0]
    assert norm.running_variance.tolist() == [4.0, 9.0, 0.25]


@torch.no_grad()
def test_a_batch_of_one_is_normalised_as_in_evaluation_and_leaves_the_averages():
    posterior = layer()
    posterior(summaries(20), training=True)
    before = [getattr(means_of(posterior), name).clone() for name in RUNNING]
    alone = posterior(summaries(1), training=True).mean
    assert torch.equal(alone, posterior(summaries(1), training=False).mean)
    assert all(torch.equal(getattr(means_of(posterior), name), old) for name, old in zip(RUNNING, before, strict=True))


@torch.no_grad()
def test_a_dimension_without_variance_stays_finite():
    posterior = layer()
    posterior.layer.weight[0] = 0.0
    mean = posterior(summaries(20), training=True).mean
    assert mean.isfinite().all()
    assert mean[:, 0].abs().max() < 1e-3


def test_the_last_batch_of_an_epoch_may_be_of_one(make: tuple[MakeConfig, Data]):
    config, data = make
    n = len(data.splits["train"])
    batch_size = next(size for size in range(30, 400) if n % size == 1)
    trainer = Trainer(config(CHANGES | {"training.batch_size": batch_size, "training.epochs": 2}), data)
    plan = data.plan("train", batch_size, make_generator(0, "shuffle"))
    assert min(len(index) for index in plan) == 1
    *epochs, _final = trainer.run()
    assert [record.epoch for record in epochs] == [1, 2]


def test_a_batch_size_of_one_is_refused(image_config: MakeConfig):
    with pytest.raises(ValidationError, match=r"training\.batch_size: 1 has no variance for model\.latent\.batch_norm"):
        image_config(CHANGES | {"training.batch_size": 1})
    image_config({"training.batch_size": 1})


def test_the_batch_size_changes_no_score_and_scoring_no_average(make: tuple[MakeConfig, Data]):
    trainer = Trainer(make[0](CHANGES), make[1])
    next(trainer.run())
    before = [buffer.clone() for buffer in trainer.model.buffers()]
    one_by_one, all_at_once = (evaluate(trainer.model, make[1], "valid", size, seed=5) for size in (1, 1000))
    for name, value in all_at_once.items():
        assert one_by_one[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name
    assert all(torch.equal(old, new) for old, new in zip(before, trainer.model.buffers(), strict=True))


def test_training_goes_on_bitwise_and_the_averages_belong_to_it(make: tuple[MakeConfig, Data], tmp_path: Path):
    config = make[0](CHANGES | {"training.epochs": 4})
    unbroken, first, second = (Trainer(config, make[1]) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), 2))
    save_state(first, tmp_path)
    state = load_state(tmp_path)
    assert state is not None
    assert [name for name in state["model"] if name in dict(first.model.named_buffers())] == [
        f"posterior.means.{name}" for name in RUNNING
    ]
    second.load_state_dict(state)
    assert timeless([*records, *second.run()]) == expected
    assert same_weights(second, unbroken)
    assert all(torch.equal(one, two) for one, two in zip(second.model.buffers(), unbroken.model.buffers(), strict=True))
    fresh = dict(build_model(config, make[1], make_generator(0, "init")).named_buffers())
    broken = Trainer(config, make[1])
    broken.load_state_dict(state | {"model": state["model"] | {name: fresh[name] for name in state["model"] if name in fresh}})
    assert timeless(list(broken.run())) != expected[2:]


def test_the_selected_epoch_s_averages_are_kept_with_its_weights(image_config: MakeConfig, digits: ImageData, tmp_path: Path):
    """A learning rate far too high makes the last epoch worse than an earlier one."""
    config = image_config(CHANGES | {"training.epochs": 6, "optimizer.lr": 0.2})
    trainer = Trainer(config, digits)
    list(trainer.run())
    best = min(trainer.history, key=lambda record: record.metrics["val/neg_elbo"])
    assert best.epoch < 6
    save_model(trainer.model, config, digits, tmp_path)
    for model in (trainer.model, load_model(tmp_path).model):
        scores = evaluate(model, digits, "valid", EVALUATION_BATCH, derive_seed(config.seed, "validation"))
        assert scores == {name.removeprefix("val/"): value for name, value in best.metrics.items() if name.startswith("val/")}


def test_the_rate_outlives_a_weight_that_empties_the_plain_posterior(image_config: MakeConfig, digits: ImageData):
    """beta 20 leaves the plain model no rate; with gamma 0.7 four dimensions keep 0.98 nats, in validation nearly so."""
    heavy = {"objective.beta": 20.0, "training.epochs": 6}
    plain, normalised = (list(Trainer(image_config(heavy | changes), digits).run())[:-1] for changes in ({}, CHANGES))
    assert plain[-1].metrics["val/rate"] < 0.1
    assert plain[-1].metrics["val/active_units"] == 0.0
    for record in normalised:
        assert record.metrics["train/rate"] > 0.999 * 4 * GAMMA**2 / 2
    assert normalised[-1].metrics["val/rate"] == pytest.approx(4 * GAMMA**2 / 2, rel=0.2)
    assert normalised[-1].metrics["val/active_units"] == 4.0


def test_validation_sees_about_the_rate_that_training_had(make: tuple[MakeConfig, Data]):
    """So that the running averages are of the weights that are scored; in the mean, for so few sentences scatter by epoch."""
    *epochs, _final = Trainer(make[0](CHANGES | {"training.epochs": 15}), make[1]).run()
    validation, training = (np.mean([record.metrics[f"{split}/rate"] for record in epochs[5:]]) for split in ("val", "train"))
    assert validation == pytest.approx(training, rel=0.2)


def test_dreg_has_the_plain_gradient_s_mean_through_the_statistics_of_the_batch():
    """Each mean depends on every example of its batch; the encoder's weight of each sample is still its own."""
    base, draws = make_model(error=0.3), 400
    posterior = GaussianPosterior(PIXELS, SIZE, Generator().manual_seed(5), BatchNorm(gamma=0.9)).double()
    model: VAE[ImageBatch] = VAE(Pixels(), posterior, base.prior, base.decoder)
    pixels = 1.3 * torch.randn(60, PIXELS, generator=Generator().manual_seed(1), dtype=torch.float64)
    tables = {}
    for gradient in GRADIENTS:
        streams = Streams.create(5)
        losses = (terms_of(model, ImageBatch(pixels), 4, gradient, streams).loss for _ in range(draws))
        tables[gradient] = torch.stack([gradients(loss, model.parameters()) for loss in losses])
    difference = tables["dreg"] - tables["plain"]
    assert (difference.mean(0).abs() <= 4.5 * difference.std(0) / draws**0.5 + 1e-12).all()
    assert difference.std(0).max() > 1e-3


def test_without_the_option_nothing_is_normalised(image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(), digits, make_generator(0, "init"))
    batch = digits.batch("train", np.arange(9), make_generator(0, "binarise"))
    assert torch.equal(model.encode(batch, make_generator(0, "dropout")).expectation(), model.encode(batch).expectation())
    assert list(model.named_buffers()) == []
