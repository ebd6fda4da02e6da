"""Gaussian dropout in every network that has dropout: on in training, off in evaluation, and no other than the other one."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.model import Data, build_model
from vae_core.moment import Moment
from vae_core.networks.config import AnyDecoder, AnyEncoder
from vae_core.seeding import Streams

TRANSFORMER: dict[str, Any] = {"kind": "transformer", "width": 16, "heads": 2, "feed_forward": 24}
ENCODERS: dict[str, dict[str, Any]] = {
    "lstm": {"hidden": 16},
    "gru": {"hidden": 16},
    "transformer": TRANSFORMER,
    "bag_of_words": {"hidden": [16]},
    "mlp": {"hidden": [16]},
    "conv": {"channels": [4]},
}
DECODERS: dict[str, dict[str, Any]] = {
    "lstm": {"hidden": 16},
    "gru": {"hidden": 16},
    "transformer": TRANSFORMER,
    "cnn": {"width": 16},
    "bag_of_words": {"hidden": [16]},
    "mlp": {"hidden": [16]},
    "conv": {"channels": [4]},
}
TEXT = {"lstm", "gru", "transformer", "cnn", "bag_of_words"}
PARTS = [("encoder", kind) for kind in ENCODERS] + [("decoder", kind) for kind in DECODERS]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("table", "family"), [(ENCODERS, AnyEncoder), (DECODERS, AnyDecoder)])
def test_every_network_is_here(table: dict[str, dict[str, Any]], family: Any):
    assert {*table} == {member.model_fields["kind"].default for member in get_args(get_args(family)[0])}


@pytest.mark.parametrize(("part", "kind"), PARTS)
def test_it_acts_in_training_alone_and_differs_from_the_other(
    part: str, kind: str, text_config: MakeConfig, image_config: MakeConfig, sentences: TextData, digits: ImageData
):
    make: MakeConfig = text_config if kind in TEXT else image_config
    data: Data = sentences if kind in TEXT else digits
    options = {"kind": kind, **(ENCODERS if part == "encoder" else DECODERS)[kind]}
    batch: Any = data.batch("train", np.arange(6), generator())
    z = torch.randn(1, 6, 4, generator=generator())
    exact, trained = [], []
    for change in ({}, {"dropout": 0.5}, {"dropout": 0.5, "dropout_noise": "gaussian"}):
        changes = {f"model.{part}": options | change}
        if (part, kind) == ("encoder", "bag_of_words"):
            changes["model.decoder.embedding"] = 8
        model = build_model(make(changes), data, generator())

        def of(training: bool, model: Any = model) -> Tensor:
            if part == "encoder":
                mean: Tensor = model.encode(batch, generator() if training else None).mean
                return mean
            loss: Tensor = model.training_nll(batch, z, Moment(0, 1), Streams.create(0)) if training else model.nll(batch, z)
            return loss

        exact.append(of(training=False))
        trained.append(of(training=True))
    assert torch.equal(exact[0], exact[1])
    assert torch.equal(exact[0], exact[2])
    assert torch.allclose(trained[0], exact[0])
    assert not torch.equal(trained[1], trained[0])
    assert not torch.equal(trained[2], trained[0])
    assert not torch.equal(trained[2], trained[1])


def test_it_learns_and_goes_on_bit_by_bit(text_config: MakeConfig, sentences: TextData):
    noise = {"dropout": 0.2, "dropout_noise": "gaussian"}
    changes = {f"model.{part}.{name}": value for part in ("encoder", "decoder") for name, value in noise.items()}
    assert_learns_and_goes_on(text_config(changes), sentences)
