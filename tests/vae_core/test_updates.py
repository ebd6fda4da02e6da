"""Several batches a step: the gradient is that of one batch as large as all of them, and steps are counted rightly."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_trainer import LINEAR, same_weights, timeless
from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.model import Data, build_model
from vae_core.objectives.config import AnyObjective
from vae_core.objectives.interface import ObjectiveSizes, Terms
from vae_core.seeding import Streams, make_generator
from vae_core.trainer import Trainer
from vae_core.updates import Updates

PARTS = [slice(0, 32), slice(32, 48), slice(48, 56)]
"""Of 56 examples; with 4 latent dimensions each part draws a multiple of 16 numbers, for which torch draws the same in parts."""
EXACT = 1e-12
CRITICS = ("wae_adversary", "factor_vae")
"""What is refused with several batches a step."""
OBJECTIVES = [kind for member in get_args(get_args(AnyObjective)[0]) if (kind := member().kind) not in CRITICS]
SGD = {"optimizer": {"kind": "sgd", "lr": 1.0, "momentum": 0.0}, "training.clip_norm": None}


def updated(config: TrialConfig, data: Data, parts: list[slice]) -> tuple[Tensor, Terms, Updates]:
    """One step on the first 56 examples, in parts; what SGD at rate 1 adds to the weights is the gradient."""
    model = build_model(config, data, make_generator(0, "init")).double()
    n = len(data.splits["train"])
    objective = config.objective.build(ObjectiveSizes(n, model.latent_size))
    updates = Updates(config, model, objective, 10, Streams.create(0))
    order = np.concatenate(data.plan("train", 64, make_generator(0, "order")))[:56]
    batches: list[Any] = [data.batch("train", order[part], make_generator(0, "binarise")) for part in parts]
    if isinstance(data, ImageData):
        batches = [replace(batch, pixels=batch.pixels.double()) for batch in batches]
    before = flat(updates)
    terms = updates(*batches)
    return flat(updates) - before, terms, updates


def flat(updates: Updates) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in updates.model.parameters()])


@pytest.fixture(params=["text", "image"])
def plain(
    request: pytest.FixtureRequest, text_config: MakeConfig, image_config: MakeConfig, sentences: TextData, digits: ImageData
) -> tuple[MakeConfig, Data]:
    """Without dropout; pixels that are not drawn."""
    if request.param == "text":
        return text_config, sentences
    return image_config, replace(digits, pixels="static")


@pytest.mark.parametrize("objective", [{"kind": "elbo", "beta": 0.7}, {"kind": "iwae", "samples": 1}], ids=["elbo", "iwae"])
def test_the_gradient_is_that_of_the_joined_batch(objective: dict[str, Any], plain: tuple[MakeConfig, Data]):
    make, data = plain
    config = make(SGD | {"objective": objective})
    whole, terms, _ = updated(config, data, [slice(0, 56)])
    parts, found, updates = updated(config, data, PARTS)
    torch.testing.assert_close(parts, whole, rtol=0.0, atol=EXACT * whole.abs().max().item())
    for name in ("loss", "distortion", "rate"):
        assert getattr(found, name).item() == pytest.approx(getattr(terms, name).item(), rel=EXACT)
    assert (found.weight, updates.step) == (terms.weight, 1)


def test_parts_of_other_sizes_count_by_their_examples(plain: tuple[MakeConfig, Data]):
    """The test above has power: parts that count alike give another gradient."""
    make, data = plain
    config = make(SGD)
    whole, _, _ = updated(config, data, [slice(0, 56)])
    thirds = sum(updated(config, data, [part])[0] / 3 for part in PARTS)
    assert (thirds - whole).abs().max() > 1e-3 * whole.abs().max()


def test_the_norm_that_is_clipped_is_that_of_all_batches(plain: tuple[MakeConfig, Data]):
    make, data = plain
    config = make(SGD | {"training.clip_norm": 1e-3})
    whole, _, _ = updated(config, data, [slice(0, 56)])
    parts, _, _ = updated(config, data, PARTS)
    assert parts.norm().item() == pytest.approx(1e-3, rel=1e-4)
    torch.testing.assert_close(parts, whole, rtol=0.0, atol=1e-9 * whole.abs().max().item())


@pytest.mark.parametrize(
    "feedback", [{"kind": "minimum_rate", "nats": 3.0, "lr": 0.1}, {"kind": "pid", "nats": 3.0}], ids=["minimum_rate", "pid"]
)
def test_a_feedback_moves_once_a_step_by_the_rate_of_all(feedback: dict[str, Any], plain: tuple[MakeConfig, Data]):
    make, data = plain
    config = make(SGD | {"objective": {"kind": "elbo", "feedback": feedback}})
    _, _, whole = updated(config, data, [slice(0, 56)])
    _, _, parts = updated(config, data, PARTS)
    (expected,), (found,) = whole.moment.state.values(), parts.moment.state.values()
    assert expected.item() != 0.0
    assert found.item() == pytest.approx(expected.item(), rel=EXACT)


@pytest.mark.parametrize("together", [1, 2, 4, 1000])
def test_a_step_is_an_optimiser_s_step(together: int, text_config: MakeConfig, sentences: TextData):
    """In the count, the plan, the annealing and the learning rate; the end of an epoch has the batches that are left."""
    schedule = {"warmup": LINEAR}
    changes = {"training.accumulate": together, "training.epochs": 4, "training.batch_size": 16, "objective.annealing": LINEAR}
    trainer = Trainer(text_config(changes | {"training.lr_schedule": schedule}), sentences)
    batches = math.ceil(len(sentences.splits["train"]) / 16)
    steps = math.ceil(batches / together)
    assert batches % 4 != 0, "an epoch must end with fewer batches somewhere"
    assert (trainer.steps_per_epoch, trainer.total_steps, trainer.annealing_end) == (steps, 4 * steps, 2 * steps)
    records = list(trainer.run())[:-1]
    assert [record.step for record in records] == [steps, 2 * steps, 3 * steps, 4 * steps]
    assert [record.metrics["train/step"] for record in records] == [record.step for record in records]
    shares = [min(1.0, (record.step - 1) / (2 * steps)) for record in records]
    assert [record.metrics["train/beta"] for record in records] == pytest.approx(shares)
    rates = [0.005 * min(1.0, record.step / (2 * steps)) for record in records]
    assert [record.metrics["train/lr"] for record in records] == pytest.approx(rates)


def test_an_epoch_of_one_step_reports_the_mean_over_all_its_examples(image_config: MakeConfig, digits: ImageData):
    """With weights that stand still the epoch's loss does not depend on how its batches are gathered, but for the noise."""
    still = {"optimizer": {"kind": "sgd", "lr": 1e-30}, "training.epochs": 1}
    losses = [
        next(Trainer(image_config(still | {"training.accumulate": together}), digits).run()).metrics["train/loss"]
        for together in (1, 3, 1000)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_every_objective_trains_with_several_batches_a_step(kind: str, image_config: MakeConfig, digits: ImageData):
    """Its state keeps its parts, their kinds and sizes, and moves; an average over one batch is that batch's."""
    changes = {"objective": {"kind": kind}, "training.epochs": 1, "training.batch_size": 64}
    trainer = Trainer(image_config(changes | {"training.accumulate": 4}), digits)
    before = trainer._updates.moment.state
    record = next(trainer.run())
    after = trainer._updates.moment.state
    assert math.isfinite(record.metrics["train/loss"])
    assert {name: (value.dtype, value.shape) for name, value in after.items()} == {
        name: (value.dtype, value.shape) for name, value in before.items()
    }
    assert not before or any(not torch.equal(before[name], after[name]) for name in before)
    plain = next(Trainer(image_config(changes), digits).run())
    assert record.metrics.keys() == plain.metrics.keys()
    assert record.metrics["train/distortion"] > plain.metrics["train/distortion"], "fewer steps learn less"


@pytest.mark.parametrize("stop", [1, 2])
def test_training_with_several_batches_a_step_resumes_bitwise(
    stop: int, text_config: MakeConfig, sentences: TextData, every_dropout: dict[str, Any]
):
    changes: dict[str, Any] = {"training.accumulate": 3, "objective.feedback": {"kind": "pid", "nats": 3.0}}
    config = text_config(every_dropout | changes | {"model.softmax": {"kind": "sampled", "samples": 64}})
    unbroken, first, second = (Trainer(config, sentences) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), stop))
    second.load_state_dict(first.state_dict())
    assert timeless(records + list(second.run())) == expected
    assert same_weights(second, unbroken)


def test_no_batch_is_no_step(image_config: MakeConfig):
    with pytest.raises(ValidationError, match=r"training\.accumulate"):
        image_config({"training.accumulate": 0})
