"""The learning rate's schedule: closed forms, what makes no sense, and the rates that training reports."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.data.images import ImageData
from vae_core.learning_rate import LearningRateSchedule
from vae_core.schedules import AnySchedule, Constant, Cyclical, Linear
from vae_core.trainer import Trainer

LATE = [Linear(warmup=1.0), Cyclical(cycles=2, ratio=1.0)]
WARM: dict[str, Any] = {"kind": "linear", "warmup": 0.25}
DECAYS = ("linear", "cosine")


def test_without_options_it_is_one_throughout():
    assert {LearningRateSchedule()(step, 10) for step in range(12)} == {1.0}


@pytest.mark.parametrize("member", get_args(get_args(AnySchedule)[0]))
def test_a_warm_up_is_the_family_s_own_weight_a_step_ahead(member: type[Constant]):
    schedule = LearningRateSchedule(warmup=member())
    assert [schedule(step, 40) for step in range(40)] == [member()(step + 1, 40) for step in range(40)]
    assert schedule(0, 40) > 0.0


def test_decays_by_hand():
    """Warm-up over 4 of 12 steps, then 8 steps from 1 towards the floor of 0.2."""
    rising = [0.25, 0.5, 0.75, 1.0]
    linear = LearningRateSchedule(warmup=Linear(warmup=1 / 3), decay="linear", floor=0.2)
    assert [linear(step, 12) for step in range(12)] == pytest.approx([*rising, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], abs=1e-14)
    cosine = LearningRateSchedule(warmup=Linear(warmup=1 / 3), decay="cosine", floor=0.2)
    falling = [0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert [cosine(step, 12) for step in range(12)] == pytest.approx([*rising, *falling], abs=1e-14)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("warmup", [Constant(), Linear(warmup=0.3), Linear(warmup=0.0)], ids=repr)
@pytest.mark.parametrize("total", [1, 2, 7, 1000])
def test_a_decay_falls_from_one_and_stays_at_its_floor_past_the_plan(decay: Any, warmup: Any, total: int):
    schedule = LearningRateSchedule(warmup=warmup, decay=decay, floor=0.1)
    start = warmup.end(total)
    values = [schedule(step, total) for step in range(start, total)]
    assert values == sorted(values, reverse=True)
    assert not values or values[0] == 1.0
    assert all(0.1 < value <= 1.0 for value in values)
    assert schedule(total, total) == schedule(2 * total, total) == pytest.approx(0.1, abs=1e-15)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("warmup", LATE, ids=repr)
def test_a_decay_needs_steps_after_the_warm_up(decay: Any, warmup: Any):
    with pytest.raises(ValidationError, match=f"decay: {decay} has no steps left, for warmup: {warmup.kind} ends with the last"):
        LearningRateSchedule(warmup=warmup, decay=decay)


def test_a_floor_needs_a_decay():
    with pytest.raises(ValidationError, match=r"floor: 0\.1 is for a decay; with decay: constant leave it at 0"):
        LearningRateSchedule(floor=0.1)


def test_training_reports_the_rate_of_its_last_step(image_config: MakeConfig, digits: ImageData):
    options = {"warmup": WARM, "decay": "cosine", "floor": 0.1}
    trainer = Trainer(image_config({"training.epochs": 4, "training.lr_schedule": options}), digits)
    schedule, total = LearningRateSchedule.from_dict(options), trainer.total_steps
    records = list(trainer.run())[:-1]
    expected = [0.003 * schedule(record.step - 1, total) for record in records]
    assert [record.metrics["train/lr"] for record in records] == expected
    assert trainer.annealing_end == 0, "candidates wait for the objective's annealing, not for the learning rate's"


def test_the_first_step_of_a_warm_up_moves_the_weights(image_config: MakeConfig, digits: ImageData):
    """Two steps of warm-up: at half the rate, and at all of it."""
    changes = {"training.lr_schedule.warmup": WARM, "training.batch_size": 5000}
    trainer, still = (Trainer(image_config(changes | {"training.epochs": 8}), digits) for _ in range(2))
    run = trainer.run()
    assert next(run).metrics["train/lr"] == 0.0015
    assert not same_weights(trainer, still)
    assert next(run).metrics["train/lr"] == 0.003


def test_a_decay_to_one_is_none(image_config: MakeConfig, digits: ImageData):
    plain, flat, falling = (
        Trainer(image_config(changes), digits)
        for changes in ({}, *({"training.lr_schedule": {"decay": "linear", "floor": floor}} for floor in (1.0, 0.5)))
    )
    expected = timeless(list(plain.run()))
    assert timeless(list(flat.run())) == expected
    assert timeless(list(falling.run())) != expected


@pytest.mark.parametrize("stop", [1, 2])
def test_a_resumed_schedule_goes_on_bitwise(stop: int, image_config: MakeConfig, digits: ImageData):
    config = image_config({"training.lr_schedule": {"warmup": WARM, "decay": "linear"}})
    unbroken, first, second = (Trainer(config, digits) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), stop))
    second.load_state_dict(first.state_dict())
    assert timeless(records + list(second.run())) == expected
    assert same_weights(second, unbroken)
