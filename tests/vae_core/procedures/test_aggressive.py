"""Aggressive training: which weights move when, when the inner loop ends, and when all of it does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.evaluate import evaluate
from vae_core.procedures.aggressive import AggressiveEncoder, encoder_parameters
from vae_core.seeding import Streams
from vae_core.trainer import Trainer
from vae_core.updates import Updates

AGGRESSIVE = {"kind": "aggressive", "window": 2, "max_updates": 7}


def aggressive_of(trainer: Trainer) -> AggressiveEncoder:
    assert isinstance(trainer._procedure, AggressiveEncoder)
    return trainer._procedure


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


def moved(trainer: Trainer, before: dict[str, Tensor]) -> set[str]:
    return {name for name, weight in trainer.model.named_parameters() if not torch.equal(weight, before[name])}


@pytest.mark.parametrize("shared", [True, False])
def test_the_inner_loop_moves_the_encoder_alone_and_the_step_all_the_rest(
    shared: bool, text_config: MakeConfig, sentences: TextData
):
    """A table that both read belongs to the decoder: in the inner loop p(x|z) stands still."""
    changes = {"training.procedure": AGGRESSIVE, "model.decoder.embedding": None if shared else 12}
    trainer = Trainer(text_config(changes), sentences)
    updates, procedure = trainer._updates, aggressive_of(trainer)
    own = {name for name in weights(trainer) if name.split(".")[0] in ("encoder", "posterior")}
    assert "encoder.table.weight" in own
    if shared:
        own.remove("encoder.table.weight")
    before = weights(trainer)
    of = procedure.before_step(updates)
    assert moved(trainer, before) == own
    before = weights(trainer)
    updates(sentences.batch("train", range(32)), of=of)
    assert moved(trainer, before) == before.keys() - own
    assert len(encoder_parameters(trainer.model)) == len(own)


class Scripted(Updates):
    """Losses that are given, and the arguments of each call."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.calls = losses, 0

    def aside(self, batch: Any, of: Any, streams: Streams) -> Tensor:
        self.calls += 1
        return torch.tensor(self.losses[self.calls - 1])


@pytest.mark.parametrize(
    ("losses", "updates"),
    [
        ([5.0, 5.0, 4.0, 6.0], 4),  # the same mean again: it has stopped falling
        ([5.0, 5.0, 6.0, 3.0, 9.0, 9.0], 6),  # a window counts as a whole
        ([5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 2.0], 7),  # at most so many
        ([5.0, float("nan")], 2),
    ],
)
def test_the_inner_loop_ends_where_a_window_s_mean_has_not_fallen(
    losses: list[float], updates: int, image_config: MakeConfig, digits: ImageData
):
    trainer = Trainer(image_config({"training.procedure": AGGRESSIVE, "training.batch_size": 8}), digits)
    scripted = Scripted(losses)
    aggressive_of(trainer).before_step(scripted)
    assert scripted.calls == updates
    assert aggressive_of(trainer).updates == updates


def test_windows_are_compared_by_the_loss_a_token(text_config: MakeConfig, sentences: TextData):
    """A loss an example that is in proportion to the sentences' lengths never falls, whatever lengths are drawn."""

    class Proportional(Scripted):
        def aside(self, batch: Any, of: Any, streams: Streams) -> Tensor:
            self.calls += 1
            factor = 1.0 if self.calls <= 2 else 0.999 if self.calls <= 4 else 1.0
            return torch.tensor(factor * batch.tokens / batch.size, dtype=torch.float64)

    for seed in range(5):
        trainer = Trainer(text_config({"training.procedure": AGGRESSIVE, "seed": seed}), sentences)
        counted = Proportional([])
        aggressive_of(trainer).before_step(counted)
        assert counted.calls == 6  # it falls by a thousandth, then rises


@pytest.mark.parametrize(
    ("information", "active"),
    [([0.5, 0.7, 0.9], [True, True, True]), ([0.5, 0.4, 0.9], [True, False, False]), ([0.0, 0.5], [False, False])],
)
def test_aggressive_mode_ends_for_good_where_information_stops_climbing(
    information: list[float], active: list[bool], image_config: MakeConfig, digits: ImageData
):
    trainer = Trainer(image_config({"training.procedure": AGGRESSIVE}), digits)
    procedure, found = aggressive_of(trainer), []
    for value in information:
        procedure.after_epoch({"mutual_information": value})
        found.append(procedure.active)
    assert found == active
    if not procedure.active:
        assert procedure.before_step(trainer._updates) is None
        assert procedure.updates == 0


def test_the_mode_ends_by_validation_s_information_and_steps_are_joint_from_there(image_config: MakeConfig, digits: ImageData):
    changes = {"training.procedure": AGGRESSIVE, "training.epochs": 8, "optimizer.lr": 0.01}
    trainer = Trainer(image_config(changes), digits)
    modes, made = [], []
    for record in trainer.run():
        if not record.final:
            modes.append(aggressive_of(trainer).active)
            made.append(record.metrics["train/encoder_updates"])
    information = [0.0, *(record.metrics["val/mutual_information"] for record in trainer.history)]
    climbs = [later > earlier for earlier, later in pairwise(information)]
    assert modes == [all(climbs[: epoch + 1]) for epoch in range(8)]
    assert True in modes
    assert False in modes[:-1]
    still = modes.index(False)
    assert made[still] > 4 * trainer.steps_per_epoch * (still + 1) - 1
    assert made[still:] == [made[still]] * (8 - still)


def test_after_a_rollback_information_is_compared_with_that_of_the_best_weights(image_config: MakeConfig, digits: ImageData):
    """Fast, so that validation soon gets worse: the information of the weights given up is not that of those gone back to."""
    changes = {
        "training.procedure": AGGRESSIVE | {"max_updates": 4},
        "training.epochs": 8,
        "training.rollback": {"patience": 1, "decay": 0.5},
        "optimizer.lr": 0.04,
        "objective.beta": 0.1,
    }
    trainer = Trainer(image_config(changes), digits)
    procedure, started = aggressive_of(trainer), []
    before = procedure.before_epoch

    def noted(done: int, updates: Updates) -> None:
        started.append(procedure._information)
        before(done, updates)

    procedure.before_epoch = noted  # type: ignore[method-assign]
    list(trainer.run())
    returns = trainer.state_dict()["best"]["returns"]
    assert returns
    expected, best = [0.0], 0.0
    for record in trainer.history[:-1]:
        own = record.metrics["val/mutual_information"]
        best = own if record.improved else best
        expected.append(best if record.epoch in returns else own)
    assert started == expected


def test_the_inner_loop_has_its_own_batches_and_noise(image_config: MakeConfig, digits: ImageData):
    """The steps' streams, the moment and the objective's state are after it what they were before."""
    changes = {"training.procedure": AGGRESSIVE, "objective.feedback": {"kind": "pid", "nats": 3.0}}
    trainer = Trainer(image_config(changes), digits)
    state = trainer.state_dict()
    aggressive_of(trainer).before_step(trainer._updates)
    after = trainer.state_dict()
    for name, stream in state["streams"].items():
        assert torch.equal(stream, after["streams"][name])
    assert after["updates"]["step"] == 0
    assert after["updates"]["objective"] == state["updates"]["objective"]
    assert not torch.equal(after["procedure"]["streams"]["noise"], state["procedure"]["streams"]["noise"])


def test_the_inner_loop_brings_the_encoder_closer_to_its_optimum(image_config: MakeConfig, digits: ImageData):
    """At a decoder that stands still the ELBO rises on data that the encoder has not seen; then there is less to win."""
    config = image_config({"training.procedure": {"kind": "aggressive"}, "optimizer.lr": 0.01})
    trainer = Trainer(config, digits)
    next(trainer.run())
    draw = torch.Generator().manual_seed(0)
    for start in range(0, 20 * 64, 64):  # steps of the decoder alone, which leave the encoder behind
        batch = digits.batch("train", np.arange(start, start + 64), draw)
        trainer._updates(batch, of=aggressive_of(trainer)._others)
    scores = []
    for _ in range(3):
        scores.append(evaluate(trainer.model, digits, "valid", 128, seed=0)["neg_elbo"])
        aggressive_of(trainer).before_step(trainer._updates)
    assert scores[1] < scores[0] - 0.2
    assert scores[1] - scores[2] < scores[0] - scores[1]
