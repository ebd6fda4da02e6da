"""Critics in an objective's state, against torch's Adam and against known density ratios and distances."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tests.vae_core.conftest import MakeConfig
from vae_core.data.images import ImageData
from vae_core.model import build_model
from vae_core.moment import Moment, State
from vae_core.objectives.adversary import AdversarialAutoencoder
from vae_core.objectives.config import FactorVae, WaeAdversary
from vae_core.objectives.critic import CriticNetwork
from vae_core.objectives.factor import FactorObjective, permuted
from vae_core.objectives.interface import ObjectiveSizes
from vae_core.objectives.options import Critic, JensenShannonCritic, WassersteinCritic
from vae_core.seeding import Streams, make_generator

SMALL = {"hidden": 32, "layers": 2}
COUNT = 512


def normal(generator: torch.Generator, size: int = 1) -> Tensor:
    return torch.randn(COUNT, size, generator=generator)


def test_its_steps_are_those_of_torch_s_adam():
    """In float64, over 20 steps, on the same network built of torch's own layers."""
    network = CriticNetwork(Critic(hidden=8, layers=2, lr=0.01, betas=(0.5, 0.9)), 3)
    state = {name: value.double() for name, value in network.initial(torch.Generator().manual_seed(0)).items()}
    oracle = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)).double()
    oracle.load_state_dict({name: state[f"weight.{name}"] for name in oracle.state_dict()})
    adam = torch.optim.Adam(oracle.parameters(), lr=0.01, betas=(0.5, 0.9))
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        z = torch.randn(16, 3, generator=generator, dtype=torch.float64)
        state, loss = network.fit(state, lambda score, z=z: (score(z) - z.sum(1)).square().mean())
        expected = (oracle(z).squeeze(1) - z.sum(1)).square().mean()
        adam.zero_grad()
        expected.backward()
        adam.step()
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-11, atol=1e-13)
    for name, weight in oracle.state_dict().items():
        torch.testing.assert_close(state[f"weight.{name}"], weight, rtol=1e-10, atol=1e-12)


def test_a_step_replaces_the_state_and_writes_to_none_of_it():
    network = CriticNetwork(Critic(hidden=8, layers=2), 3)
    state = network.initial(torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in state.items()}
    z = torch.randn(16, 3)
    moved, _ = network.fit(state, lambda score: score(z).mean())
    assert moved.keys() == state.keys()
    assert all(torch.equal(state[name], before[name]) for name in state)
    assert not any(torch.equal(moved[name], before[name]) for name in state if name.startswith("weight") and "4.bias" not in name)
    assert not any(value.requires_grad for value in moved.values())


def test_first_weights_come_from_the_generator_alone():
    network = CriticNetwork(Critic(hidden=8, layers=1), 3)
    before = torch.get_rng_state()
    one, same, other = (network.initial(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["weight.0.weight"], other["weight.0.weight"])


def test_the_loss_moves_codes_and_no_critic():
    """Its scores have a gradient to the codes, and the weights that the state holds get none."""
    network = CriticNetwork(Critic(hidden=8, layers=1), 3)
    state = network.initial(torch.Generator().manual_seed(0))
    z = torch.randn(5, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(network.score(state, z).sum(), z)
    assert slope.abs().min() > 0.0
    assert not any(value.requires_grad for value in state.values())


def fitted(objective: AdversarialAutoencoder, draw: Callable[[torch.Generator], Tensor], steps: int) -> tuple[Tensor, State]:
    """The distance after so many batches of codes against those of the standard normal."""
    streams, generator = Streams.create(0), torch.Generator().manual_seed(2)
    state = objective.initial(torch.Generator().manual_seed(0))
    for _ in range(steps):
        z = draw(generator)
        found = objective.distance(z, lambda like=z: normal(streams.prior, like.shape[1]), Moment(0, 1, state), streams)
        state = found.state
    return found.value, state


def test_jensen_shannon_s_critic_comes_to_the_log_ratio_of_densities():
    """log N(y; 0, 1) / N(y; 1, 1) = 1/2 - y, where both have mass; D = E_q softplus(y - 1/2) is then 0.851."""
    config = WaeAdversary(critic=JensenShannonCritic(**SMALL, lr=0.005))
    objective = AdversarialAutoencoder(config, 1)
    value, state = fitted(objective, lambda generator: 1.0 + normal(generator), 500)
    y = torch.linspace(-1.0, 2.0, 13).unsqueeze(1)
    torch.testing.assert_close(objective.critic.score(state, y), 0.5 - y.squeeze(1), atol=0.3, rtol=0.0)
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = weights @ np.log1p(np.exp(points + 0.5)) / math.sqrt(2 * math.pi)
    assert value.item() == pytest.approx(expected, abs=0.12)


def test_wasserstein_s_critic_comes_to_the_distance():
    """Between N(0, I) and the same moved by a vector of length 1: 1."""
    config = WaeAdversary(critic=WassersteinCritic(**SMALL, lr=0.002, steps=2))
    value, _ = fitted(AdversarialAutoencoder(config, 2), lambda g: normal(g, 2) + torch.tensor([0.6, -0.8]), 300)
    assert value.item() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("critic", [JensenShannonCritic(**SMALL), WassersteinCritic(**SMALL, steps=2)], ids=lambda c: c.kind)
def test_a_batch_s_terms_are_the_formulas_written_out(
    critic: JensenShannonCritic | WassersteinCritic, image_config: MakeConfig, digits: ImageData
):
    model = build_model(image_config(), digits, make_generator(0, "init"))
    batch = digits.batch("test", np.arange(9), None)
    objective = WaeAdversary(critic=critic, weight=3.0).build(ObjectiveSizes(300, 4))
    moment = Moment(0, 4, objective.initial(torch.Generator().manual_seed(0)))
    terms = objective.terms(model, batch, moment, Streams.create(0))
    z = model.encode(batch).draw(1, Streams.create(0).noise)
    scores = CriticNetwork(critic, 4).score(terms.state, z[0])
    if isinstance(critic, WassersteinCritic):
        streams = Streams.create(0)
        real = [torch.randn(9, 4, generator=streams.prior) for _ in range(critic.steps)][-1]
        distance = CriticNetwork(critic, 4).score(terms.state, real).mean() - scores.mean()
    else:
        distance = -torch.sigmoid(scores).log().mean()
    torch.testing.assert_close(terms.loss, model.nll(batch, z).mean() + 3.0 * distance, rtol=1e-5, atol=1e-5)
    assert terms.state["adam.step"].item() == critic.steps
    assert terms.extra.keys() == {"critic_loss"}


def test_permuting_keeps_each_dimension_s_values_and_breaks_their_ties():
    z = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)).expand(-1, 3) * torch.tensor([1.0, 2.0, 3.0])
    mixed = permuted(z, torch.Generator().manual_seed(1))
    assert torch.equal(mixed.sort(0).values, z.sort(0).values)
    assert torch.corrcoef(mixed.T).fill_diagonal_(0.0).abs().max() < 4.5 / 2000**0.5


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_the_discriminator_comes_to_the_total_correlation(correlation: float):
    """Of two normal dimensions: -1/2 log(1 - r^2) nats, 0.511 at r = 0.8."""
    config = FactorVae(discriminator=Critic(**SMALL, lr=0.003))
    objective = FactorObjective(config, 2)
    generator, streams = torch.Generator().manual_seed(1), Streams.create(0)
    state, found = objective.initial(torch.Generator().manual_seed(0)), []
    factor = torch.tensor([[1.0, 0.0], [correlation, math.sqrt(1.0 - correlation**2)]])
    for step in range(600):
        z = normal(generator, 2) @ factor.T
        if step >= 500:
            found.append(objective.discriminator.score(state, z).mean().item())
        mixed = permuted(z, streams.noise)
        state, _ = objective.discriminator.fit(
            state, lambda score, z=z, mixed=mixed: 0.5 * (softplus(-score(z)).mean() + softplus(score(mixed)).mean())
        )
    assert np.mean(found) == pytest.approx(-0.5 * math.log(1.0 - correlation**2), abs=0.05)


def test_factor_vae_s_terms_are_the_formulas_written_out(image_config: MakeConfig, digits: ImageData):
    """The model learns by the discriminator as it stands before its own step."""
    model = build_model(image_config(), digits, make_generator(0, "init"))
    batch = digits.batch("test", np.arange(9), None)
    config = FactorVae(gamma=4.0, discriminator=Critic(**SMALL))
    objective = config.build(ObjectiveSizes(300, 4))
    state = objective.initial(torch.Generator().manual_seed(0))
    terms = objective.terms(model, batch, Moment(0, 4, state), Streams.create(0))
    noise = Streams.create(0).noise
    posterior = model.encode(batch)
    z = posterior.draw(1, noise)
    discriminator = CriticNetwork(config.discriminator, 4)
    scores = discriminator.score(state, z[0])
    probability = scores.sigmoid()
    correlation = (probability.log() - (1.0 - probability).log()).mean()
    loss = model.nll(batch, z).mean() + posterior.kl().mean() + 4.0 * correlation
    torch.testing.assert_close(terms.loss, loss, rtol=1e-5, atol=1e-5)
    apart = 1.0 - discriminator.score(state, permuted(z[0], noise)).sigmoid()
    torch.testing.assert_close(
        terms.extra["critic_loss"], -0.5 * (probability.log().mean() + apart.log().mean()), rtol=1e-5, atol=1e-6
    )
    assert (terms.weight, terms.state["adam.step"].item()) == (1.0, 1.0)
