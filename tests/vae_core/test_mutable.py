"""Going on from another trial's state under other options: its weights, to the last bit, and one's own options."""

from __future__ import annotations

import copy
from itertools import islice
from typing import Any

import pytest
import torch

from orchestration.spec.config_tree import dotted_names
from tests.vae_core.conftest import EVERY_DROPOUT, MakeConfig
from tests.vae_core.test_trainer import same_weights
from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.model import Data
from vae_core.mutable import MUTABLE, changed
from vae_core.trainer import Trainer

FREE_BITS = {"objective.free_bits": {"kind": "batch", "nats": 0.1}}
PID: dict[str, Any] = {"objective.feedback": {"kind": "pid", "nats": 2.0}}
CRITIC = {"objective": {"kind": "wae_adversary", "critic": {"kind": "wasserstein", "hidden": 8, "layers": 1, "steps": 1}}}
FACTOR = {"objective": {"kind": "factor_vae", "discriminator": {"hidden": 8, "layers": 1}}}
IMAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"optimizer.lr": 0.01}),
    ({}, {"optimizer.betas": [0.5, 0.9]}),
    ({"optimizer": {"kind": "adamw"}}, {"optimizer.weight_decay": 0.2}),
    ({"optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.5}}, {"optimizer.momentum": 0.9}),
    ({"optimizer": {"kind": "sgd", "lr": 0.01}}, {"optimizer.momentum": 0.9}),
    ({}, {"training.clip_norm": 0.01}),
    ({"training.lr_schedule": {"decay": "cosine"}}, {"training.lr_schedule.floor": 0.5}),
    ({"objective.annealing": {"kind": "linear", "warmup": 0.3}}, {"objective.beta": 0.2}),
    (FREE_BITS, {"objective.free_bits.nats": 1.5}),
    ({"objective.feedback": {"kind": "capacity", "nats": 2.0}}, {"objective.feedback.nats": 9.0}),
    ({"objective.feedback": {"kind": "capacity", "nats": 2.0}}, {"objective.feedback.gamma": 1.0}),
    (PID, {"objective.feedback.nats": 9.0}),
    (PID, {"objective.feedback.proportional_gain": 0.5}),
    (PID, {"objective.feedback.integral_gain": 0.01}),
    (PID, {"objective.feedback.min_weight": 0.5}),
    (PID, {"objective.feedback.max_weight": 1e-5}),
    ({"objective.feedback": {"kind": "minimum_rate", "nats": 5.0}}, {"objective.feedback.lr": 0.5}),
    ({"objective": {"kind": "beta_tcvae"}}, {"objective.alpha": 3.0}),
    ({"objective": {"kind": "beta_tcvae"}}, {"objective.gamma": 3.0}),
    ({"objective": {"kind": "wae_mmd"}}, {"objective.weight": 1.0}),
    (CRITIC, {"objective.critic.lr": 0.01}),
    (CRITIC, {"objective.critic.betas": [0.1, 0.5]}),
    (CRITIC, {"objective.critic.gradient_penalty": 1.0}),
    (FACTOR, {"objective.discriminator.lr": 0.01}),
    (FACTOR, {"objective.discriminator.betas": [0.1, 0.5]}),
    ({}, {"model.encoder.dropout": 0.3}),
    ({"model.decoder.dropout": 0.2}, {"model.decoder.dropout": 0.0}),
]
TRANSFORMER = {
    "model.encoder": {"kind": "transformer", "embedding": 12, "width": 16, "heads": 2, "layers": 1, "feed_forward": 16},
    "model.decoder": {"kind": "transformer", "width": 16, "heads": 2, "layers": 1, "feed_forward": 16},
}
TEXT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"model.encoder.embedding_dropout": 0.3}),
    ({}, {"model.decoder.embedding_dropout": 0.3}),
    ({}, {"model.decoder.word_dropout": 0.5}),
    (EVERY_DROPOUT, {"model.decoder.word_dropout": 0.0}),
    *(({}, {name: 0.3}) for name in MUTABLE if "variational_dropout" in name),
    *((TRANSFORMER, {name: 0.3}) for name in MUTABLE if "attention_dropout" in name),
    ({"optimizer": {"kind": "lazy_adam"}, "model.softmax": {"kind": "sampled", "samples": 20}}, {"optimizer.betas": [0.5, 0.9]}),
]  # fmt: skip


def test_the_table_names_what_there_is() -> None:
    assert set(MUTABLE) <= set(dotted_names(TrialConfig))


def test_every_name_of_the_table_is_tried() -> None:
    assert {name for _, after in IMAGES + TEXT for name in after} == set(MUTABLE)


@pytest.mark.parametrize(("before", "after"), IMAGES, ids=lambda changes: " ".join(changes))
def test_images(image_config: MakeConfig, digits: ImageData, before: dict[str, Any], after: dict[str, Any]) -> None:
    assert_goes_on(image_config(before), image_config(copy.deepcopy({**before, **after})), digits)


@pytest.mark.parametrize(("before", "after"), TEXT, ids=lambda changes: " ".join(changes))
def test_text(text_config: MakeConfig, sentences: TextData, before: dict[str, Any], after: dict[str, Any]) -> None:
    assert_goes_on(text_config(before), text_config(copy.deepcopy({**before, **after})), sentences)


def assert_goes_on(donor: TrialConfig, taker: TrialConfig, data: Data) -> None:
    """Weights, moments and history are the donor's; the next epoch is not what it would have been."""
    first, second = Trainer(donor, data), Trainer(taker, data)
    list(islice(first.run(), 2))
    state = first.state_dict()
    second.take_over(state, donor)
    assert same_weights(first, second)
    assert second.history == first.history
    assert second.annealing_end == first.annealing_end
    assert second.total_steps == first.total_steps
    for own, moments in second.state_dict()["updates"]["optimizer"]["state"].items():
        for name, value in moments.items():
            of_donor = state["updates"]["optimizer"]["state"][own][name]
            assert torch.equal(value, of_donor) if isinstance(value, torch.Tensor) else value == of_donor
    going_on, changed_ = next(first.run()), next(second.run())
    assert going_on.epoch == changed_.epoch == 3
    assert not same_weights(first, second), "the change has no effect"


def test_the_optimisers_options_are_its_own(image_config: MakeConfig, digits: ImageData) -> None:
    donor = image_config({"optimizer": {"kind": "adamw", "lr": 0.003}, "training.lr_schedule": {"decay": "linear"}})
    own = {"kind": "adamw", "lr": 0.009, "betas": [0.5, 0.9], "weight_decay": 0.2}
    taker = image_config({"optimizer": own, "training.lr_schedule": {"decay": "linear"}})
    first, second = Trainer(donor, digits), Trainer(taker, digits)
    next(first.run())
    second.take_over(first.state_dict(), donor)
    old, new = next(first.run()).metrics["train/lr"], next(second.run()).metrics["train/lr"]
    assert new == pytest.approx(3 * old), "of the same schedule"
    assert old < 0.003
    [group] = second.state_dict()["updates"]["optimizer"]["param_groups"]
    assert (group["betas"], group["weight_decay"]) == ((0.5, 0.9), 0.2)


def test_a_rollback_brings_no_options_back(image_config: MakeConfig, digits: ImageData) -> None:
    """The best weights come with the moments of their time; the options are those of now."""
    changes = {"optimizer": {"kind": "adamw"}, "training.epochs": 6, "training.rollback": {"patience": 1}}
    donor, taker = (
        image_config(changes),
        image_config({**changes, "optimizer": {"kind": "adamw", "lr": 0.05, "weight_decay": 0.2}}),
    )
    first, second = Trainer(donor, digits), Trainer(taker, digits)
    list(islice(first.run(), 2))
    second.take_over(first.state_dict(), donor)
    rates = [record.metrics["train/lr"] for record in second.run() if not record.final]
    assert min(rates) < 0.05, "it has gone back"
    [group] = second.state_dict()["updates"]["optimizer"]["param_groups"]
    assert group["weight_decay"] == 0.2


@pytest.mark.parametrize(
    "change", [{"model.latent.size": 5}, {"training.epochs": 4}, {"seed": 1}, {"objective.annealing": {"kind": "linear"}}]
)
def test_what_cannot_change_is_named(image_config: MakeConfig, digits: ImageData, change: dict[str, Any]) -> None:
    donor, taker = image_config(), image_config(change)
    first = Trainer(donor, digits)
    next(first.run())
    with pytest.raises(ValueError, match=f"{next(iter(change))}.* differ"):
        Trainer(taker, digits).take_over(first.state_dict(), donor)


def test_another_trials_state_is_refused(image_config: MakeConfig, digits: ImageData) -> None:
    first = Trainer(image_config({"optimizer.lr": 0.5}), digits)
    with pytest.raises(ValueError, match="belongs to another trial"):
        Trainer(image_config(), digits).take_over(first.state_dict(), image_config({"optimizer.lr": 0.4}))


def test_changed_names_what_differs(image_config: MakeConfig) -> None:
    other = image_config({"optimizer.lr": 0.5, "model.latent.size": 9})
    assert changed(image_config(), other) == ["model.latent.size", "optimizer.lr"]
