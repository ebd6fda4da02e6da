"""What compares the codes of a batch with the prior's needs batches that are random draws, of text too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.objectives.test_training import MEMBERS
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.batching import plan_bucketed, plan_shuffled
from vae_core.data.text import TextData, TextSplit
from vae_core.objectives.mmd import squared_mmd
from vae_core.seeding import Streams
from vae_core.trainer import Trainer

COMPARING = ("wae_mmd", "wae_adversary", "beta_tcvae", "factor_vae")
Plan = list[npt.NDArray[np.int64]]


def read(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The batches of train that the first epoch reads."""
    seen: list[list[int]] = []
    batch = TextData.batch

    def watched(data: TextData, split: str, index: Any, generator: torch.Generator | None = None) -> Any:
        if split == "train":
            seen.append(index.tolist())
        return batch(data, split, index, generator)

    with monkeypatch.context() as patch:
        patch.setattr(TextData, "batch", watched)
        next(trainer.run())
    return seen


@pytest.mark.parametrize("name", MEMBERS)
def test_an_epoch_is_of_random_batches_where_codes_are_compared_and_of_like_lengths_elsewhere(
    name: str, text_config: MakeConfig, sentences: TextData, monkeypatch: pytest.MonkeyPatch
):
    """Exactly as many either way, and exactly the plan of the trial's stream."""
    options, lengths = MEMBERS[name][0], sentences.splits["train"].lengths
    config = text_config({"objective": options, "model.latent.variance": 0.01, "training.batch_size": 30})
    shuffle = Streams.create(config.seed).shuffle
    mixed = options["kind"] in COMPARING
    expected = plan_shuffled(len(lengths), 30, shuffle) if mixed else plan_bucketed(lengths, 30, shuffle)
    trainer = Trainer(config, sentences)
    assert read(trainer, monkeypatch) == [batch.tolist() for batch in expected]
    assert trainer.step == trainer.steps_per_epoch == math.ceil(len(lengths) / 30)


@pytest.mark.parametrize("changes", [{}, {"training.procedure": {"kind": "aggressive", "max_updates": 3}}])
def test_it_learns_and_goes_on_bit_by_bit(changes: dict[str, Any], text_config: MakeConfig, sentences: TextData):
    assert_learns_and_goes_on(text_config({"objective": {"kind": "wae_mmd"}, **changes}), sentences)


def test_codes_of_the_prior_that_know_the_length_are_no_distance_from_it_in_such_batches():
    """The codes of all sentences together are N(0, I), the first number by the rank of the length. Within 4.5 standard errors."""
    n, size, draw = 6400, 4, torch.Generator().manual_seed(0)
    lengths = np.random.default_rng(0).integers(1, 40, n)
    split = TextSplit(np.zeros(lengths.sum(), dtype=np.int32), np.append(0, lengths.cumsum()))
    data = TextData({"train": split}, None, "lengths", "")  # type: ignore[arg-type]  # no word of it is read
    codes = torch.randn(n, size, generator=draw)
    rank = torch.from_numpy(np.argsort(np.argsort(lengths, kind="stable"))) + 0.5
    codes[:, 0] = torch.special.ndtri(rank / n).float()
    constants = [2.0 * size * scale for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]

    def distances(plan: Plan) -> torch.Tensor:
        return torch.stack([squared_mmd(codes[index], torch.randn(64, size, generator=draw), constants) for index in plan])

    found = distances(data.plan("train", 64, draw, mixed=True))
    assert abs(found.mean().item()) < 4.5 * found.std().item() / len(found) ** 0.5 < 0.02
    assert distances(data.plan("train", 64, draw)).mean() > 0.2
