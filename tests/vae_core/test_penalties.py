"""Floors by hand, and feedbacks that hold the rate of a linear-Gaussian model where it is known (definitions.md 3, 6)."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.data.images import ImageData
from vae_core.latent.gaussian import DiagonalGaussian
from vae_core.moment import Moment, State
from vae_core.objectives.config import Elbo
from vae_core.objectives.elbo import NegativeElbo
from vae_core.objectives.interface import ObjectiveSizes
from vae_core.objectives.options import (
    AnyFeedback,
    BatchFreeBits,
    Capacity,
    ExampleFreeBits,
    FreeBits,
    MinimumRate,
    Pid,
    TotalFreeBits,
)
from vae_core.objectives.penalties import Penalised
from vae_core.schedules import Constant, Cosine
from vae_core.trainer import Trainer

KL = torch.tensor([[0.1, 2.0], [0.5, 0.2]], dtype=torch.float64)
FLOORS = (ExampleFreeBits, BatchFreeBits, TotalFreeBits)


def penalise(config: Elbo, kl: Tensor, state: State | None = None, step: int = 0, total: int = 10) -> Penalised:
    penalty = NegativeElbo(config).penalty
    return penalty(kl, Moment(step, total, penalty.initial() if state is None else state))


@pytest.mark.parametrize(
    ("floor", "value", "gradient"),
    [
        # (max(.1, .4) + max(2, .4) + max(.5, .4) + max(.2, .4)) / 2
        (ExampleFreeBits(nats=0.4), 1.65, [[0.0, 0.5], [0.5, 0.0]]),
        # the means over the batch are 0.3 and 1.1
        (BatchFreeBits(nats=0.4), 1.5, [[0.0, 0.5], [0.0, 0.5]]),
        # the rate is 1.4
        (TotalFreeBits(nats=0.4), 1.4, [[0.5, 0.5], [0.5, 0.5]]),
        (TotalFreeBits(nats=1.5), 1.5, [[0.0, 0.0], [0.0, 0.0]]),
    ],
)
def test_floors_by_hand(floor: FreeBits, value: float, gradient: list[list[float]]):
    kl = KL.clone().requires_grad_()
    penalised = penalise(Elbo(beta=3.0, free_bits=floor), kl)  # type: ignore[arg-type]  # each is a member of the union
    (found,) = torch.autograd.grad(penalised.value, kl)
    assert penalised.value.item() == pytest.approx(3.0 * value, rel=1e-14)
    assert found.tolist() == [pytest.approx([3.0 * entry for entry in row]) for row in gradient]
    assert penalised.weight == 3.0


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_below_every_kl_changes_nothing(floor: type[Any]):
    assert penalise(Elbo(free_bits=floor(nats=0.05)), KL).value.item() == pytest.approx(1.4, rel=1e-14)


class LinearGaussian:
    """x_d = w_d z_d + e_d, z ~ N(0, 1), e ~ N(0, 1): the best posterior under weight b of the KL, and its rate, are known."""

    weight = torch.tensor([1.5, 0.8], dtype=torch.float64)

    def __init__(self) -> None:
        noise = torch.randn(2, 16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.x = self.weight * noise[0] + noise[1]

    def distortion(self, posterior: DiagonalGaussian) -> Tensor:
        """-E_q log p(x|z) without its constant."""
        residual = (self.x - self.weight * posterior.mean).square() + self.weight.square() * posterior.log_variance.exp()
        return 0.5 * residual.sum(-1).mean()

    def best(self, b: float) -> DiagonalGaussian:
        """The minimum of distortion + b KL: precision 1 + w^2/b, mean (w x/b) / precision."""
        precision = 1.0 + self.weight.square() / b
        return DiagonalGaussian(self.weight * self.x / b / precision, -precision.log().expand_as(self.x))

    def rate(self, b: float) -> float:
        return self.best(b).kl().mean().item()

    def fit(self, feedback: AnyFeedback, steps: int, lr: float = 0.1) -> tuple[DiagonalGaussian, Penalised]:
        """Gradient descent on the posterior of each example under this feedback; the last step's penalty."""
        penalty = feedback.build()
        state = penalty.initial()
        mean, log_variance = (torch.zeros_like(self.x).requires_grad_() for _ in range(2))
        for step in range(steps):
            posterior = DiagonalGaussian(mean, log_variance)
            penalised = penalty(posterior.kl_per_dimension(), Moment(step, steps, state))
            state = penalised.state
            loss = self.distortion(posterior) + penalised.value
            slopes = torch.autograd.grad(loss, (mean, log_variance))
            with torch.no_grad():
                for parameter, slope in zip((mean, log_variance), slopes, strict=True):
                    parameter -= lr * len(self.x) * slope  # the loss is a mean over examples
        return posterior.detach(), penalised


@pytest.mark.parametrize(
    ("feedback", "share"),
    [
        (Pid(nats=1.0, integral_gain=0.04), 1.8),
        (Pid(nats=1.0, integral_gain=0.1, max_weight=5.0), 0.6),  # below the plain ELBO's rate: a weight above 1
        (MinimumRate(nats=1.0, lr=0.1), 1.8),
    ],
    ids=["pid", "pid-below", "minimum_rate"],
)
def test_a_feedback_brings_the_rate_to_its_target_at_the_one_weight_that_has_it(feedback: Pid | MinimumRate, share: float):
    model = LinearGaussian()
    target = share * model.rate(1.0)
    expected = brentq(lambda b: model.rate(b) - target, 1e-3, 10.0, xtol=1e-12)
    posterior, penalised = model.fit(feedback.model_copy(update={"nats": target}), steps=1500)
    assert posterior.kl().mean().item() == pytest.approx(target, rel=1e-6)
    assert float(penalised.weight) == pytest.approx(expected, rel=1e-5)
    best = model.best(expected)
    torch.testing.assert_close(posterior.mean, best.mean, rtol=0.0, atol=1e-5)
    torch.testing.assert_close(posterior.log_variance, best.log_variance, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("share", [0.5, 1.8])
def test_capacity_holds_the_rate_from_above_and_from_below(share: float):
    """The absolute value has a kink at its minimum, about which steps of fixed length go to and fro."""
    model = LinearGaussian()
    target = share * model.rate(1.0)
    posterior, penalised = model.fit(Capacity(nats=target, gamma=3.0, schedule=Constant()), steps=1200, lr=0.01)
    assert posterior.kl().mean().item() == pytest.approx(target, abs=0.05)
    assert abs(float(penalised.weight)) == 3.0


def test_a_minimum_rate_that_is_met_anyway_leaves_the_elbo_as_it_is():
    """u falls as 1 / (lr x excess x steps): it is 0 in the limit only."""
    model = LinearGaussian()
    posterior, penalised = model.fit(MinimumRate(nats=0.25 * model.rate(1.0), lr=2.0), steps=2500)
    assert float(penalised.weight) == pytest.approx(1.0, abs=2e-3)
    assert posterior.kl().mean().item() == pytest.approx(model.rate(1.0), rel=2e-3)


def test_capacity_by_hand():
    """C is 4 times the schedule, a half in the middle of its warm-up; the rate is 1.4."""
    config = Elbo(feedback=Capacity(nats=4.0, gamma=5.0, schedule=Cosine(warmup=0.4)))
    values = [penalise(config, KL, step=step) for step in (0, 2, 4, 9)]
    assert [part.value.item() for part in values] == pytest.approx([7.0, 3.0, 13.0, 13.0], rel=1e-12)
    assert [float(part.weight) for part in values] == [5.0, -5.0, -5.0, -5.0]
    assert config.build(ObjectiveSizes(examples=300, latent=4)).annealing_end(10) == 4


def test_pid_by_hand():
    """e = 1.4 - 1.4 = 0 gives K_p / 2; then e = 1.4 - 0.7, hence I = -0.01 x 0.7."""
    config = Elbo(feedback=Pid(nats=1.4, proportional_gain=0.4, integral_gain=0.01, min_weight=0.1))
    first = penalise(config, KL)
    assert (float(first.weight), first.state["integral"].item()) == (pytest.approx(0.3), 0.0)
    second = penalise(config, KL / 2, first.state)
    assert second.state["integral"].item() == pytest.approx(-0.007)
    assert float(second.weight) == pytest.approx(0.1 + 0.4 / (1 + 2.718281828459045**0.7) - 0.007)
    assert second.value.item() == pytest.approx(float(second.weight) * 0.7)


@pytest.mark.parametrize(("stuck", "back", "bound"), [(0.0, 3.0, 0.2), (3.0, 0.0, 0.8)])
def test_a_pid_weight_leaves_its_bound_as_soon_as_the_error_turns(stuck: float, back: float, bound: float):
    """An integral that went on summing would keep it there for another 5000 steps."""
    config = Elbo(feedback=Pid(nats=1.5, proportional_gain=0.01, integral_gain=0.001, min_weight=0.2, max_weight=0.8))
    state, weights = NegativeElbo(config).penalty.initial(), []
    for rate in [stuck] * 5000 + [back] * 20:
        penalised = penalise(config, torch.full((1, 1), rate, dtype=torch.float64), state)
        state = penalised.state
        weights.append(float(penalised.weight))
    assert all(0.2 <= weight <= 0.8 for weight in weights)
    assert weights[4999] == pytest.approx(bound, abs=0.01)  # K_p, which may keep it off the bound
    assert abs(weights[-1] - bound) > 0.02


def test_minimum_rate_by_hand():
    """v = 0: u = log 2, and v rises by 0.1 (2.4 - 1.4) / 2."""
    config = Elbo(feedback=MinimumRate(nats=2.4, lr=0.1))
    penalised = penalise(config, KL)
    assert float(penalised.weight) == pytest.approx(1 - 0.6931471805599453)
    assert penalised.value.item() == pytest.approx(1.4 + 0.6931471805599453)
    assert penalised.state["v"].item() == pytest.approx(0.05)


FEEDBACKS: dict[str, dict[str, Any]] = {
    "capacity": {"kind": "capacity", "nats": 6.0, "schedule": {"kind": "linear", "warmup": 0.5}},
    "pid": {"kind": "pid", "nats": 6.0, "integral_gain": 0.005},
    "minimum_rate": {"kind": "minimum_rate", "nats": 5.0, "lr": 0.01},
}


@pytest.mark.parametrize("kind", FEEDBACKS)
def test_a_penalty_writes_to_no_state(kind: str):
    config = Elbo.from_dict({"feedback": FEEDBACKS[kind]})
    state = NegativeElbo(config).penalty.initial()
    before = {name: value.clone() for name, value in state.items()}
    once, again = (penalise(config, KL, state) for _ in range(2))
    assert state == before
    assert (once.value, once.weight, once.state) == (again.value, again.weight, again.state)


@pytest.mark.parametrize("kind", FEEDBACKS)
def test_training_under_a_feedback_goes_on_bitwise(kind: str, image_config: MakeConfig, digits: ImageData):
    trial = (image_config({"training.epochs": 4, "objective.feedback": FEEDBACKS[kind]}), digits)
    unbroken, first, second = (Trainer(*trial) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), 2))
    second.load_state_dict(first.state_dict())
    assert timeless([*records, *second.run()]) == expected
    assert same_weights(second, unbroken)
    assert [record["metrics"]["train/beta"] for record in expected[:4]] != [1.0] * 4
    assert [record["annealed"] for record in expected[:4]] == [kind != "capacity", True, True, True]


@pytest.mark.parametrize("kind", ["pid", "minimum_rate"])
def test_a_feedback_s_state_cannot_be_left_out(kind: str, image_config: MakeConfig, digits: ImageData):
    trial = (image_config({"training.epochs": 3, "objective.feedback": FEEDBACKS[kind]}), digits)
    unbroken, first, second = (Trainer(*trial) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    list(islice(first.run(), 2))
    state = first.state_dict()
    state["updates"]["objective"] = second.state_dict()["updates"]["objective"]
    second.load_state_dict(state)
    assert timeless(list(second.run())) != expected[2:]


@pytest.mark.parametrize("kind", FEEDBACKS)
def test_a_trained_model_has_the_rate_that_was_asked_for(kind: str, image_config: MakeConfig, digits: ImageData):
    """The plain ELBO's is 2.6 after as many epochs; validation stays the ELBO at beta 1."""
    options = FEEDBACKS[kind]
    trainer = Trainer(image_config({"training.epochs": 20, "objective.feedback": options}), digits)
    records = list(trainer.run())
    metrics = records[-2].metrics
    assert metrics["train/rate"] == pytest.approx(options["nats"], rel=0.1)
    assert metrics["val/neg_elbo"] == metrics["val/distortion"] + metrics["val/rate"]
    best = min((record for record in trainer.history if record.annealed), key=lambda record: record.metrics["val/neg_elbo"])
    assert records[-1].metrics["best/epoch"] == best.epoch
