"""Every training procedure: it trains, reports what it says it does, and goes on bitwise."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.test_trainer import same_weights, timeless
from vae_core.checkpoint import load_state, save_state
from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.metrics import PROCEDURES
from vae_core.model import Data
from vae_core.procedures.config import Aggressive, AnyProcedure, Joint, Pretraining, ProcedureConfig
from vae_core.trainer import Trainer

FAMILY: dict[str, ProcedureConfig] = {
    "joint": Joint(),
    "aggressive": Aggressive(window=2, max_updates=6),
    "pretraining": Pretraining(epochs=2),
    "pretraining, nothing reset": Pretraining(epochs=2, reset="none"),
}


def test_every_procedure_is_here():
    assert {type(config) for config in FAMILY.values()} == set(get_args(get_args(AnyProcedure)[0]))


@pytest.fixture(params=FAMILY)
def procedure(request: pytest.FixtureRequest) -> ProcedureConfig:
    return FAMILY[request.param]


@pytest.fixture(params=["text", "image"])
def trial(
    request: pytest.FixtureRequest,
    procedure: ProcedureConfig,
    text_config: MakeConfig,
    image_config: MakeConfig,
    sentences: TextData,
    digits: ImageData,
    every_dropout: dict[str, Any],
) -> tuple[TrialConfig, Data]:
    """Trials that draw from every generator and have every kind of state: annealing, momentum, a learned baseline's mean."""
    common = {"training.epochs": 4, "training.procedure": procedure.to_dict(), "objective.annealing": {"kind": "linear"}}
    if request.param == "image":
        return image_config(common | {"model.decoder.dropout": 0.1, "objective.gradient": {"kind": "score"}}), digits
    return text_config(common | every_dropout | {"model.softmax": {"kind": "sampled", "samples": 64}}), sentences


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_resumed_training_is_bitwise_what_unbroken_training_is(trial: tuple[TrialConfig, Data], stop: int, tmp_path: Path):
    """Before, at and after the end of pretraining."""
    unbroken, first, second = (Trainer(*trial) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    records = list(islice(first.run(), stop))
    save_state(first, tmp_path)
    state = load_state(tmp_path)
    assert state is not None
    second.load_state_dict(state)
    records += list(second.run())
    assert timeless(records) == expected
    assert same_weights(second, unbroken)


def test_its_metrics_are_those_of_the_table(trial: tuple[TrialConfig, Data], procedure: ProcedureConfig):
    """And steps are counted as they are in joint training."""
    record = next(Trainer(*trial).run())
    names = {metric.name for metric in PROCEDURES}
    assert record.metrics.keys() & names == ({"train/encoder_updates"} if procedure.kind == "aggressive" else set())
    assert record.step == Trainer(*trial).steps_per_epoch
