"""The best weights, and the return to them (definitions.md 26)."""

from __future__ import annotations

import copy
from itertools import islice
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_trainer import LINEAR, STILL, same_weights, timeless
from vae_core.best import put_weights, weights_of
from vae_core.checkpoint import load_state, save_state
from vae_core.data.images import ImageData
from vae_core.trainer import Outcome, Trainer

STRATEGIES = ("restore", "reset", "keep")
# All far too fast, so that validation soon gets worse.
PLAIN_SGD = {"kind": "sgd", "lr": 0.5, "momentum": 0.0}
MOMENTUM = {"kind": "sgd", "lr": 0.2, "momentum": 0.9}
ADAM = {"kind": "adam", "lr": 0.2}
ADAMW = {"kind": "adamw", "lr": 0.2}


def trained(config: MakeConfig, data: ImageData, optimizer: dict[str, Any], strategy: str) -> Trainer:
    rollback = {"patience": 1, "decay": 0.5, "optimizer": strategy}
    trainer = Trainer(config({"training.epochs": 8, "optimizer": optimizer, "training.rollback": rollback}), data)
    list(trainer.run())
    return trainer


def rates(trainer: Trainer) -> list[float]:
    return [record.metrics["train/lr"] for record in trainer.history]


@pytest.mark.parametrize(("optimizer", "alike"), [(PLAIN_SGD, True), (MOMENTUM, False), (ADAM, False), (ADAMW, False)])
def test_the_strategies_are_one_under_plain_sgd_and_three_elsewhere(
    optimizer: dict[str, Any], alike: bool, image_config: MakeConfig, digits: ImageData
):
    trainers = [trained(image_config, digits, optimizer, strategy) for strategy in STRATEGIES]
    assert all(min(rates(trainer)) < optimizer["lr"] for trainer in trainers), "none has rolled back"
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert same_weights(trainers[one], trainers[other]) == alike
        assert (timeless(trainers[one].history) == timeless(trainers[other].history)) == alike


@pytest.mark.parametrize("most", [None, 2])
def test_the_rate_falls_at_each_return_and_no_oftener_than_allowed(most: int | None, image_config: MakeConfig, digits: ImageData):
    """Every epoch scores the same: the first candidate, at annealing's end, stays the best."""
    rollback = {"patience": 2, "decay": 0.25, "max": most}
    changes = {"objective.annealing": LINEAR, "training.epochs": 10, "optimizer": STILL, "training.rollback": rollback}
    trainer = Trainer(image_config(changes), digits)
    *_, final = trainer.run()
    assert final.metrics["best/epoch"] == 5.0
    cuts = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2]  # after 7 epochs, and 9
    assert rates(trainer) == pytest.approx([1e-30 * 0.25**cut for cut in cuts])
    longer = Trainer(image_config(changes | {"training.epochs": 20}), digits)
    list(longer.run())
    assert rates(longer)[-1] == pytest.approx(1e-30 * 0.25 ** (4 if most is None else 2))  # best at 10, after 12, 14, 16, 18


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_goes_on_from_the_best_weights(strategy: str, image_config: MakeConfig, digits: ImageData):
    """A decay that leaves no rate at all: every epoch after the return scores as the best one did."""
    rollback = {"patience": 2, "decay": 1e-35, "optimizer": strategy}
    trainer = Trainer(image_config({"training.epochs": 8, "optimizer": ADAM, "training.rollback": rollback}), digits)
    list(trainer.run())
    best = next(record for record in reversed(trainer.history) if record.improved)
    after = [record for record in trainer.history if record.metrics["train/lr"] < 1e-30]
    assert after[0].epoch == best.epoch + 3
    assert {record.metrics["val/neg_elbo"] for record in after} == {best.metrics["val/neg_elbo"]}
    given_up = trainer.history[best.epoch + 1]
    assert given_up.metrics["val/neg_elbo"] > best.metrics["val/neg_elbo"]


def test_what_becomes_of_the_optimiser_s_state(image_config: MakeConfig, digits: ImageData):
    """Step by step: Adam's moments at the best weights, none, or those of the moment."""
    for strategy in STRATEGIES:
        rollback = {"patience": 1, "optimizer": strategy}
        trainer = Trainer(image_config({"training.epochs": 8, "optimizer": ADAM, "training.rollback": rollback}), digits)
        run = trainer.run()
        best = None
        while (record := next(run)).improved:
            best = copy.deepcopy(trainer.state_dict())
        assert best is not None
        now = copy.deepcopy(trainer._updates.state_dict())
        trainer._kept.roll_back_if_due(record.epoch, record.epoch - 1)
        found = trainer._updates.state_dict()
        expected = {"restore": best["updates"]["optimizer"]["state"], "reset": {}, "keep": now["optimizer"]["state"]}[strategy]
        torch.testing.assert_close(found["optimizer"]["state"], expected, rtol=0.0, atol=0.0)
        assert found["step"] == now["step"], "steps are not taken back"
        torch.testing.assert_close(weights_of(trainer.model), best["model"], rtol=0.0, atol=0.0)
        trainer._kept.roll_back_if_due(record.epoch, record.epoch - 1)
        assert trainer._updates.state_dict()["cut"] == 0.5, "once after an epoch"


def test_an_objective_s_state_goes_back_with_the_weights(image_config: MakeConfig, digits: ImageData):
    feedback = {"kind": "minimum_rate", "nats": 4.0, "lr": 0.05}
    changes = {"objective.feedback": feedback, "optimizer": ADAM, "training.rollback": {"patience": 1}, "training.epochs": 8}
    trainer = Trainer(image_config(changes), digits)
    run = trainer.run()
    best = None
    while (record := next(run)).improved:
        best = trainer.state_dict()["updates"]["objective"]["v"]
    assert trainer._updates.moment.state["v"] != best
    trainer._kept.roll_back_if_due(record.epoch, record.epoch - 1)
    assert trainer._updates.moment.state["v"] == best


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("stop", [3, 4, 5, 6])
def test_a_resumed_trial_rolls_back_bitwise_as_an_unbroken_one(
    strategy: str, stop: int, image_config: MakeConfig, digits: ImageData, tmp_path: Any
):
    """Stopped before, right at and after a return; the snapshot comes back from the file."""
    rollback = {"patience": 1, "decay": 0.5, "optimizer": strategy}
    schedule = {"warmup": LINEAR, "decay": "cosine"}
    changes = {"training.epochs": 8, "optimizer": ADAM, "training.rollback": rollback, "training.lr_schedule": schedule}
    config = image_config(changes)
    unbroken, first, second = (Trainer(config, digits) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), stop))
    save_state(first, tmp_path)
    state = load_state(tmp_path)
    assert state is not None
    second.load_state_dict(state)
    assert timeless(records + list(second.run())) == expected
    assert same_weights(second, unbroken)
    assert unbroken.state_dict()["best"]["returns"]


@pytest.mark.parametrize("forgotten", ["returns", "updates"])
def test_nothing_in_the_snapshot_can_be_left_out(forgotten: str, image_config: MakeConfig, digits: ImageData):
    """The test above has power: without one part of the snapshot it would fail."""
    rollback = {"patience": 2, "decay": 0.5}
    config = image_config({"training.epochs": 6, "optimizer": {"kind": "adam", "lr": 1e-30}, "training.rollback": rollback})
    unbroken, first, broken = (Trainer(config, digits) for _ in range(3))
    list(unbroken.run())
    list(islice(first.run(), 4))  # the best epoch is the first, the return comes after the third
    state = first.state_dict()
    state["best"][forgotten] = {"returns": [], "updates": state["updates"]}[forgotten]
    broken.load_state_dict(state)
    list(broken.run())
    same_rates = rates(broken) == rates(unbroken)
    same_moments = broken.state_dict()["updates"]["optimizer"]["state"][0]["exp_avg"].equal(
        unbroken.state_dict()["updates"]["optimizer"]["state"][0]["exp_avg"]
    )
    assert (same_rates, same_moments) == {"returns": (False, False), "updates": (True, False)}[forgotten]


def test_patience_ends_what_rollbacks_could_not_help(image_config: MakeConfig, digits: ImageData):
    """Patience counts from the best epoch, whatever was rolled back since."""
    changes = {"training.epochs": 20, "optimizer": STILL, "training.patience": 5, "training.rollback": {"patience": 2}}
    trainer = Trainer(image_config(changes), digits)
    records = list(trainer.run())
    assert trainer.outcome == Outcome("COMPLETE", "patience")
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5, 6, 6]
    assert rates(trainer) == pytest.approx([1e-30] * 3 + [5e-31] * 2 + [2.5e-31])


@pytest.mark.parametrize("patience", [2, 3])
def test_a_rollback_must_come_before_the_end(patience: int, image_config: MakeConfig):
    with pytest.raises(ValidationError, match=f"rollback.patience: {patience} must be below patience: 2, which ends training"):
        image_config({"training.patience": 2, "training.rollback": {"patience": patience}})


@pytest.mark.parametrize("rollback", [{"decay": 0.0}, {"decay": 1.1}, {"patience": 0}, {"max": 0}, {"optimizer": "none"}])
def test_values_out_of_range_are_refused(rollback: dict[str, Any], image_config: MakeConfig):
    with pytest.raises(ValidationError):
        image_config({"training.rollback": rollback})


def test_weights_come_back_as_they_were(image_config: MakeConfig, digits: ImageData):
    one, other = (Trainer(image_config({"seed": seed}), digits) for seed in (0, 1))
    assert not same_weights(one, other)
    put_weights(other.model, weights_of(one.model))
    assert same_weights(one, other)
    with pytest.raises(AssertionError, match="weights of another model"):
        put_weights(other.model, {"one": torch.zeros(1)})
