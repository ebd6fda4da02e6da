"""MMD and the Wasserstein autoencoder by it (definitions.md 10)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.model import build_model
from vae_core.moment import Moment
from vae_core.objectives.config import WaeMmd
from vae_core.objectives.interface import ObjectiveSizes
from vae_core.objectives.mmd import inverse_multiquadratic, squared_mmd
from vae_core.schedules import Linear
from vae_core.seeding import Streams, make_generator
from vae_core.trainer import Trainer

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
CONSTANTS = [2.0 * 3 * scale for scale in SCALES]
"""For codes of 3 dimensions."""


def codes(count: int, generator: torch.Generator, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return shift + scale * torch.randn(count, 3, generator=generator, dtype=torch.float64)


def test_it_is_the_u_statistic_written_out():
    generator = torch.Generator().manual_seed(0)
    x, y = codes(4, generator), codes(5, generator, shift=1.0)

    def kernel(a: Tensor, b: Tensor) -> float:
        return sum(6.0 * s / (6.0 * s + float(((a - b) ** 2).sum())) for s in SCALES)

    within = [np.mean([kernel(a, b) for i, a in enumerate(c) for j, b in enumerate(c) if i != j]) for c in (x, y)]
    across = np.mean([kernel(a, b) for a in x for b in y])
    assert squared_mmd(x, y, CONSTANTS).item() == pytest.approx(sum(within) - 2 * across, rel=1e-12)
    assert inverse_multiquadratic(x[:1], x[:1], CONSTANTS).item() == pytest.approx(7.0)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.3, 1.0), (0.0, 0.7), (0.0, 1.4)])
def test_its_mean_is_zero_where_both_are_of_one_distribution_and_positive_elsewhere(shift: float, scale: float):
    """Within 4.5 standard errors; with the diagonal it would be some 0.2 above."""
    generator, draws = torch.Generator().manual_seed(1), 500
    x = [codes(32, generator, shift, scale) for _ in range(draws)]
    found = torch.stack([squared_mmd(z, codes(32, generator), CONSTANTS) for z in x])
    mean, error = found.mean().item(), found.std().item() / draws**0.5
    assert error < 0.006
    if (shift, scale) == (0.0, 1.0):
        assert abs(mean) < 4.5 * error
        assert found.min() < 0.0
    else:
        assert mean > 8 * error


@pytest.mark.parametrize("encoder", ["stochastic", "deterministic"])
def test_the_loss_is_distortion_plus_the_annealed_weight_of_the_distance(
    encoder: str, image_config: MakeConfig, digits: ImageData
):
    model = build_model(image_config(), digits, make_generator(0, "init")).double()
    batch = digits.batch("test", np.arange(9), None)
    batch = replace(batch, pixels=batch.pixels.double())
    config = WaeMmd.from_dict({"weight": 8.0, "encoder": encoder}).model_copy(update={"annealing": Linear(warmup=1.0)})
    terms = config.build(ObjectiveSizes(300, 4)).terms(model, batch, Moment(1, 4), Streams.create(2))
    posterior = model.encode(batch)
    z = posterior.draw(1, Streams.create(2).noise) if encoder == "stochastic" else posterior.mean.unsqueeze(0)
    prior = torch.randn(9, 4, generator=Streams.create(2).prior).double()
    mmd = squared_mmd(z[0], prior, [8.0 * scale for scale in SCALES])
    distortion = model.nll(batch, z).mean()
    torch.testing.assert_close(terms.loss, distortion + 2.0 * mmd, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(terms.extra["mmd"], mmd, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(terms.rate, posterior.kl().mean(), rtol=1e-12, atol=0.0)
    assert terms.weight == 2.0
    assert config.build(ObjectiveSizes(300, 4)).annealing_end(100) == 100


def test_a_batch_of_one_has_no_distance(image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(), digits, make_generator(0, "init"))
    batch: ImageBatch = digits.batch("test", np.arange(1), None)
    terms = WaeMmd().build(ObjectiveSizes(300, 4)).terms(model, batch, Moment(1, 4), Streams.create(2))
    assert terms.extra["mmd"].item() == 0.0
    assert torch.equal(terms.loss, terms.distortion)


def test_with_means_for_codes_and_a_fixed_variance_validation_follows_training(image_config: MakeConfig, digits: ImageData):
    """With variances that nothing trains the first epoch would be selected, and val/distortion rise as train/distortion falls."""
    changes = {"objective": {"kind": "wae_mmd", "encoder": "deterministic"}, "model.latent.variance": 0.01, "training.epochs": 8}
    *epochs, _final = Trainer(image_config(changes), digits).run()
    assert epochs[-1].improved
    for name in ("train/distortion", "val/distortion"):
        assert epochs[-1].metrics[name] < 0.7 * epochs[0].metrics[name]


def test_on_the_sphere_the_kernel_is_as_wide_as_the_prior(image_config: MakeConfig, digits: ImageData):
    """A coordinate's standard deviation there is 1 / sqrt(d): C_s = 2 d s / d = 2 s, whatever d."""
    config = WaeMmd()
    for size in (4, 64):
        trial = image_config({"model.latent": {"kind": "vmf", "size": size}, "objective": {"kind": "wae_mmd"}})
        model = build_model(trial, digits, make_generator(0, "init")).double()
        batch = digits.batch("test", np.arange(9), None)
        batch = replace(batch, pixels=batch.pixels.double())
        terms = config.build(ObjectiveSizes(300, size)).terms(model, batch, Moment(1, 4), Streams.create(2))
        z = model.encode(batch).draw(1, Streams.create(2).noise)[0]
        prior = model.prior.given(None).sample(9, Streams.create(2).prior).double()
        expected = squared_mmd(z, prior, [2.0 * scale for scale in SCALES])
        torch.testing.assert_close(terms.extra["mmd"], expected, rtol=1e-11, atol=1e-13)


def test_its_weight_draws_the_codes_together_to_the_prior(image_config: MakeConfig, digits: ImageData):
    """Not each code to it: the distance falls far below that of free codes, and the rate stays far above the ELBO's."""
    found = {}
    for weight in (1e-6, 300.0):
        objective = {"kind": "wae_mmd", "weight": weight, "encoder": "deterministic"}
        changes = {"objective": objective, "model.latent.variance": 0.01, "training.epochs": 12, "training.batch_size": 128}
        changes["optimizer.lr"] = 0.01
        *_, last, _final = Trainer(image_config(changes), digits).run()
        found[weight] = last.metrics
    assert abs(found[300.0]["train/mmd"]) < 0.05 < 0.3 < found[1e-6]["train/mmd"]
    assert found[300.0]["train/rate"] > 2.0
