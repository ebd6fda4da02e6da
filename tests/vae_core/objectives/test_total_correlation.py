"""The rate's three parts and two estimates of them from a batch (definitions.md 11)."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_iwae import make_model
from vae_core.data.batching import ImageBatch
from vae_core.data.images import ImageData
from vae_core.latent.gaussian import DiagonalGaussian, standard_normal_log_prob
from vae_core.moment import Moment
from vae_core.objectives.config import BetaTcVae
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.objectives.total_correlation import (
    BetaTotalCorrelation,
    pairwise_log_density,
    stratified_log_weights,
    weighted_log_weights,
)
from vae_core.schedules import Linear
from vae_core.seeding import Streams
from vae_core.trainer import Trainer

ESTIMATORS = ("weighted", "stratified")
LIKE = torch.zeros((), dtype=torch.float64)


def random_posterior(examples: int, size: int = 3, seed: int = 0) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    return DiagonalGaussian(*torch.randn(2, examples, size, generator=generator, dtype=torch.float64))


def parts(estimator: str, posterior: DiagonalGaussian, z: Tensor, examples: int) -> list[float]:
    """Mutual information, total correlation, dimension-wise KL."""
    objective = BetaTotalCorrelation(BetaTcVae.from_dict({"estimator": estimator}), examples)
    return [part.item() for part in objective._parts(posterior, z, standard_normal_log_prob(z))]


def correlated(correlation: float, examples: int) -> tuple[DiagonalGaussian, Tensor]:
    """Codes of two dimensions whose aggregate is N(0, [[1, r], [r, 1]]), each with a posterior of variance 1 - 0.9 of its own."""
    generator = torch.Generator().manual_seed(3)
    spread = torch.linalg.cholesky(torch.tensor([[0.9, correlation], [correlation, 0.9]], dtype=torch.float64))
    mean = torch.randn(examples, 2, generator=generator, dtype=torch.float64) @ spread.T
    posterior = DiagonalGaussian(mean, torch.full_like(mean, math.log(0.1)))
    return posterior, posterior.draw(1, generator)[0]


def test_densities_of_pairs_add_up_to_the_joint_ones():
    posterior = random_posterior(5)
    z = posterior.draw(1, torch.Generator().manual_seed(1))[0]
    pairs = pairwise_log_density(posterior, z)
    torch.testing.assert_close(pairs.sum(-1), posterior.pairwise_log_prob(z), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("batch", [2, 3, 4, 5])
def test_the_stratified_estimate_of_q_has_no_bias(batch: int):
    """Over every batch that the code's own example is in, drawn from 5, its mean is q(z) of all 5, exactly."""
    posterior, examples = random_posterior(5), 5
    z = posterior.draw(1, torch.Generator().manual_seed(1))[0, 0]
    density = posterior.log_prob(z.expand(1, 5, -1))[0].exp()
    weights = stratified_log_weights(batch, examples, LIKE).exp()
    for place in range(batch):
        found = []
        for others in itertools.permutations(range(1, 5), batch - 1):
            order = [*others[:place], 0, *others[place:]]
            found.append((weights[place] * density[order]).sum().item())
        assert np.mean(found) == pytest.approx(density.mean().item(), rel=1e-12)


@pytest.mark.parametrize(("batch", "examples"), [(1, 7), (2, 7), (5, 7), (7, 7)])
def test_weights_sum_to_what_they_estimate(batch: int, examples: int):
    stratified = stratified_log_weights(batch, examples, LIKE).exp()
    total = 1.0 if batch > 1 else 1.0 / examples
    torch.testing.assert_close(stratified.sum(1), torch.full((batch,), total, dtype=torch.float64))
    weighted = weighted_log_weights(batch, examples, LIKE).exp()
    torch.testing.assert_close(weighted, torch.full((batch, batch), 1.0 / (examples * batch), dtype=torch.float64))


def test_of_all_examples_the_weighted_estimate_is_the_aggregate_posterior_over_n():
    posterior = random_posterior(6)
    z = posterior.draw(1, torch.Generator().manual_seed(1))[0]
    aggregate = posterior.pairwise_log_prob(z).logsumexp(1) - math.log(6)
    information = (posterior.log_prob(z) - aggregate).mean().item()
    assert parts("weighted", posterior, z, 6)[0] == pytest.approx(information + math.log(6), rel=1e-10)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_three_add_up_to_the_rate_s_estimate(estimator: str):
    posterior = random_posterior(8)
    z = posterior.draw(1, torch.Generator().manual_seed(1))[0]
    rate = (posterior.log_prob(z) - standard_normal_log_prob(z)).mean().item()
    assert sum(parts(estimator, posterior, z, 100)) == pytest.approx(rate, rel=1e-11)


def test_codes_of_the_prior_have_none_of_the_three():
    """Exactly with the stratified estimate; the weighted one has its known bias, log N and Z - 1 times that."""
    zeros = torch.zeros(8, 3, dtype=torch.float64)
    posterior = DiagonalGaussian(zeros, zeros)
    z = posterior.draw(1, torch.Generator().manual_seed(1))[0]
    assert parts("stratified", posterior, z, 100) == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    bias = math.log(100)
    assert parts("weighted", posterior, z, 100) == pytest.approx([bias, 2 * bias, -3 * bias], rel=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.85])
def test_the_total_correlation_of_normal_codes_is_known(correlation: float):
    """-1/2 log(1 - r^2): 0 where the dimensions are independent. The weighted estimate has its bias, log N for two dimensions."""
    posterior, z = correlated(correlation, 2000)
    truth = -0.5 * math.log(1.0 - correlation**2)
    assert parts("stratified", posterior, z, 2000)[1] == pytest.approx(truth, abs=0.05)
    assert parts("weighted", posterior, z, 2000)[1] == pytest.approx(truth + math.log(2000), abs=0.05)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_at_weights_of_one_it_is_the_elbo_by_a_sample(estimator: str):
    model, batch = make_model(error=0.3), ImageBatch(torch.randn(6, 4, dtype=torch.float64))
    terms = terms_of(BetaTcVae.from_dict({"beta": 1.0, "estimator": estimator}), model, batch)
    posterior = model.encode(batch)
    z = posterior.draw(1, Streams.create(0).noise)
    free_energy = model.nll(batch, z) + posterior.log_prob(z) - standard_normal_log_prob(z)
    torch.testing.assert_close(terms.loss, free_energy.mean(), rtol=1e-11, atol=0.0)
    torch.testing.assert_close(terms.rate, posterior.kl().mean(), rtol=1e-12, atol=0.0)


def terms_of(config: BetaTcVae, model: object, batch: ImageBatch, step: int = 3) -> Terms:
    return config.build(ObjectiveSizes(300, 2)).terms(model, batch, Moment(step, 4), Streams.create(0))  # type: ignore[arg-type]


def test_each_part_has_its_weight_and_all_the_schedule():
    model, batch = make_model(error=0.3), ImageBatch(torch.randn(6, 4, dtype=torch.float64))
    config = BetaTcVae(alpha=0.5, beta=3.0, gamma=2.0, annealing=Linear(warmup=1.0))
    terms = terms_of(config, model, batch, step=1)
    information, correlation, dimensions = terms.extra.values()
    penalty = 0.25 * (0.5 * information + 3.0 * correlation + 2.0 * dimensions)
    torch.testing.assert_close(terms.loss, terms.distortion + penalty, rtol=1e-12, atol=0.0)
    assert terms.weight == 0.75
    assert config.build(ObjectiveSizes(300, 2)).annealing_end(100) == 100


def test_duplicating_the_batch_leaves_the_weighted_estimate_as_it_was():
    posterior = random_posterior(8)
    z = posterior.draw(1, torch.Generator().manual_seed(1))[0]
    twice = posterior.map(lambda parameter: torch.cat((parameter, parameter)))
    assert parts("weighted", twice, torch.cat((z, z)), 100) == pytest.approx(parts("weighted", posterior, z, 100), rel=1e-11)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_its_weight_takes_the_dimensions_apart(estimator: str, image_config: MakeConfig, digits: ImageData):
    """Digits are coded with less total correlation where it costs more, judged by the same estimator."""
    found = []
    for beta in (0.0, 8.0):
        objective = {"kind": "beta_tcvae", "beta": beta, "alpha": 0.2, "gamma": 0.2, "estimator": estimator}
        changes = {"objective": objective, "training.epochs": 12, "optimizer.lr": 0.01}
        *_, last, _final = Trainer(image_config(changes), digits).run()
        found.append(last.metrics["train/total_correlation"])
    assert found[1] < found[0] - 0.1
