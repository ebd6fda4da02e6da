"""Every objective trains text and images, goes on bit by bit, and is validated by the exact ELBO."""

from __future__ import annotations

import math
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
from vae_core.metrics import OBJECTIVES, TRAINING, VALIDATION
from vae_core.model import Data
from vae_core.objectives.config import AnyObjective
from vae_core.trainer import Trainer

LINEAR = {"kind": "linear", "warmup": 0.5}
SMALL = {"hidden": 16, "layers": 2}
MEMBERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "elbo": ({"kind": "elbo"}, set()),
    "score": ({"kind": "elbo", "annealing": LINEAR, "gradient": {"kind": "score"}}, set()),
    "score of two": ({"kind": "elbo", "samples": 2, "gradient": {"kind": "score", "baseline": "leave_one_out"}}, set()),
    "iwae": ({"kind": "iwae", "samples": 3}, set()),
    "wae_mmd": ({"kind": "wae_mmd", "annealing": LINEAR}, {"mmd"}),
    "deterministic": ({"kind": "wae_mmd", "encoder": "deterministic"}, {"mmd"}),
    "jensen_shannon": ({"kind": "wae_adversary", "critic": {"kind": "jensen_shannon", **SMALL}}, {"critic_loss"}),
    "wasserstein": (
        {"kind": "wae_adversary", "annealing": LINEAR, "critic": {"kind": "wasserstein", "steps": 2, **SMALL}},
        {"critic_loss"},
    ),
    "stratified": ({"kind": "beta_tcvae", "annealing": LINEAR}, {"mutual_information", "total_correlation", "dimension_kl"}),
    "weighted": (
        {"kind": "beta_tcvae", "estimator": "weighted"},
        {"mutual_information", "total_correlation", "dimension_kl"},
    ),
    "factor_vae": ({"kind": "factor_vae", "discriminator": SMALL, "annealing": LINEAR}, {"total_correlation", "critic_loss"}),
}
"""Options, and what it reports beyond the common metrics."""
VARIANCE = {"deterministic": {"model.latent.variance": 0.01}}
"""What a member needs of the latent."""


@pytest.fixture(params=["text", "image"])
def data(request: pytest.FixtureRequest, sentences: TextData, digits: ImageData) -> Data:
    return sentences if request.param == "text" else digits


def trial_of(name: str, data: Data, text_config: MakeConfig, image_config: MakeConfig) -> TrialConfig:
    make = text_config if data.modality == "text" else image_config
    return make({"objective": MEMBERS[name][0], "training.epochs": 4, **VARIANCE.get(name, {})})


def test_every_member_is_here():
    union = get_args(get_args(AnyObjective)[0])
    assert {member.model_fields["kind"].default for member in union} == {options["kind"] for options, _ in MEMBERS.values()}


@pytest.mark.parametrize("name", MEMBERS)
def test_training_goes_on_bit_by_bit_and_reports_its_metrics(
    name: str, data: Data, text_config: MakeConfig, image_config: MakeConfig, tmp_path: Path
):
    config = trial_of(name, data, text_config, image_config)
    unbroken, first, second = (Trainer(config, data) for _ in range(3))
    *epochs, final = list(unbroken.run())
    records = list(islice(first.run(), 2))
    save_state(first, tmp_path)
    state = load_state(tmp_path)
    assert state is not None
    second.load_state_dict(state)
    records += list(second.run())
    assert timeless(records) == timeless([*epochs, final])
    assert same_weights(second, unbroken)
    own = {f"train/{extra}" for extra in MEMBERS[name][1]}
    assert own <= {metric.name for metric in OBJECTIVES}
    common = {metric.name for metric in (*TRAINING, *VALIDATION) if metric.modality in (None, data.modality)}
    for record in epochs:
        assert record.metrics.keys() == common | own
        assert all(math.isfinite(value) for value in record.metrics.values())
        assert record.metrics["val/neg_elbo"] == record.metrics["val/distortion"] + record.metrics["val/rate"]
    annealed = MEMBERS[name][0].get("annealing") is not None
    assert [record.annealed for record in epochs] == ([False, True, True, True] if annealed else [True] * 4)
    assert epochs[-1].metrics["train/distortion"] < epochs[0].metrics["train/distortion"]


@pytest.mark.parametrize("name", ["score", "jensen_shannon", "wasserstein", "factor_vae"])
def test_its_state_cannot_be_left_out(name: str, text_config: MakeConfig, image_config: MakeConfig, digits: ImageData):
    """The test above has power: with the first state in place of the second epoch's it would fail."""
    config = trial_of(name, digits, text_config, image_config)
    unbroken, first, second = (Trainer(config, digits) for _ in range(3))
    expected = timeless(list(unbroken.run()))
    list(islice(first.run(), 2))
    state = first.state_dict()
    state["updates"]["objective"] = second.state_dict()["updates"]["objective"]
    second.load_state_dict(state)
    assert timeless(list(second.run())) != expected[2:]
