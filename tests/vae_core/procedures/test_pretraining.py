"""Pretraining as an autoencoder: what it trains on, what is drawn anew after it, and that no epoch of it is selected."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.model import build_model
from vae_core.procedures.pretraining import reset_decoder
from vae_core.seeding import make_generator
from vae_core.trainer import Trainer

PRETRAINING = {"kind": "pretraining", "epochs": 2}
FREE_BITS = {"kind": "batch", "nats": 0.2}


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_the_decoder_is_a_fresh_one_and_the_encoder_stays(shared: bool, tied: bool, text_config: MakeConfig, sentences: TextData):
    changes = {"model.decoder.embedding": None if shared else 12, "model.decoder.tie_embeddings": tied}
    config = text_config(changes | {"training.procedure": PRETRAINING})
    trainer = Trainer(config, sentences)
    list(islice(trainer.run(), 2))
    before = weights(trainer.model)
    fresh = weights(build_model(config, sentences, make_generator(config.seed, "init", "after pretraining")))
    reset_decoder(trainer.model, config, sentences)
    after = weights(trainer.model)
    for name, weight in after.items():
        drawn = name.startswith("decoder.")
        assert torch.equal(weight, (fresh if drawn else before)[name]), name
        assert not torch.equal(weight, (before if drawn else fresh)[name]), name
    assert ("decoder.table.weight" in after) == (not shared)  # a shared table is the encoder's in this list, and stays


@pytest.mark.parametrize("reset", ["decoder", "none"])
def test_the_reset_comes_as_the_next_epoch_begins(reset: str, image_config: MakeConfig, digits: ImageData):
    """Training at a rate that rounds away shows the first weights of the second phase; the optimiser has as many steps as it."""
    procedure = PRETRAINING | {"reset": reset}
    changes = {"training.procedure": procedure, "training.epochs": 4, "optimizer.lr": 1e-30}
    config = image_config(changes)
    trainer = Trainer(config, digits)
    seen = []
    for _ in islice(trainer.run(), 3):
        steps = next(iter(trainer._updates.optimizer.state.values()))["step"]
        seen.append((weights(trainer.model), int(steps)))
    assert all(torch.equal(weight, seen[0][0][name]) for name, weight in seen[1][0].items())
    changed = {name for name, weight in seen[2][0].items() if not torch.equal(weight, seen[1][0][name])}
    decoder = {name for name in seen[0][0] if name.startswith("decoder.")}
    assert changed == (decoder if reset == "decoder" else set())
    each = trainer.steps_per_epoch
    assert [steps for _, steps in seen] == [each, 2 * each, each if reset == "decoder" else 3 * each]


def test_there_is_no_kl_before_and_annealing_begins_after(image_config: MakeConfig, digits: ImageData):
    changes = {
        "training.epochs": 6,
        "training.procedure": PRETRAINING,
        "objective.annealing": {"kind": "linear", "warmup": 0.5},
        "objective.free_bits": FREE_BITS,
        "objective.beta": 0.8,
    }
    trainer = Trainer(image_config(changes), digits)
    each = trainer.steps_per_epoch
    assert trainer.annealing_end == 4 * each
    records = list(trainer.run())[:-1]
    beta = [record.metrics["train/beta"] for record in records]
    # the weight of each epoch's last step, a share of the four epochs that are left
    expected = [0.0, 0.0, *(0.8 * min(1.0, (epochs * each - 1) / (2 * each)) for epochs in range(1, 5))]
    assert beta == pytest.approx(expected)
    assert [record.annealed for record in records] == [False, False, False, True, True, True]
    for record in records[:2]:
        assert record.metrics["train/loss"] == record.metrics["train/distortion"]
    assert records[3].metrics["train/loss"] > records[3].metrics["train/distortion"] + 0.5


@pytest.mark.parametrize(
    "changes", [{}, {"objective.feedback": {"kind": "minimum_rate", "nats": 2.0}}], ids=["plain", "feedback"]
)
def test_no_pretrained_epoch_is_selected(changes: dict[str, Any], image_config: MakeConfig, digits: ImageData):
    """Without annealing too, and where nothing that is trained on later comes up to the autoencoder's epochs."""
    still = {"optimizer": {"kind": "sgd", "lr": 1e-30}, "training.epochs": 3, "training.procedure": PRETRAINING}
    trainer = Trainer(image_config(changes | still), digits)
    records = list(trainer.run())
    assert [record.annealed for record in records[:3]] == [False, False, True]
    assert [record.improved for record in records[:3]] == [False, False, True]
    assert records[-1].metrics["best/epoch"] == 3.0


def test_a_feedback_stands_still_until_its_turn(image_config: MakeConfig, digits: ImageData):
    changes = {"training.procedure": PRETRAINING, "objective.feedback": {"kind": "minimum_rate", "nats": 2.0, "lr": 0.1}}
    trainer = Trainer(image_config(changes), digits)
    multipliers = [trainer.state_dict()["updates"]["objective"]["v"].item() for _ in islice(trainer.run(), 3)]
    assert multipliers[:2] == [0.0, 0.0]
    assert multipliers[2] != 0.0


def test_the_autoencoder_keeps_a_code(image_config: MakeConfig, digits: ImageData):
    """Without a KL the rate rises far above what the ELBO pays for."""
    rates = {}
    for procedure in ({"kind": "joint"}, {"kind": "pretraining", "epochs": 2}):
        record = list(islice(Trainer(image_config({"training.procedure": procedure, "optimizer.lr": 0.01}), digits).run(), 2))[1]
        rates[procedure["kind"]] = record.metrics["val/rate"]
    assert rates["pretraining"] > 2.0 * rates["joint"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.epochs": 2}, r"training\.procedure\.epochs: 2 must be below training\.epochs: 2"),
        (
            {"model.latent": {"kind": "vmf", "size": 4, "concentration": 20.0}},
            r"pretraining is a weight of 0 on the KL, which model\.latent\.concentration: 20\.0 makes a constant",
        ),
        ({"objective": {"kind": "iwae"}}, r"pretraining is a weight of 0 on the KL of objective\.kind: elbo, and iwae has none"),
    ],
)
def test_what_cannot_be_pretrained_is_refused(changes: dict[str, Any], message: str, image_config: MakeConfig):
    with pytest.raises(ValidationError, match=message):
        image_config({"training.procedure": PRETRAINING} | changes)
