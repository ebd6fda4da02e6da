"""Checkpoints: whole or absent, read without unpickling, and enough to use a model without its data."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from tests.vae_core.conftest import MakeConfig
from vae_core.checkpoint import PREVIOUS, STATE, CheckpointError, load_model, load_state, save_model, save_state
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.model import build_model
from vae_core.seeding import make_generator
from vae_core.trainer import Trainer

TEXT_MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"model.decoder.tie_embeddings": True},
    "adaptive": {"model.softmax": {"kind": "adaptive", "cutoffs": [50, 150]}},
    "transformer": {"model.decoder": {"kind": "transformer", "width": 16, "heads": 2, "tie_embeddings": True}},
    "sampled": {"model.softmax": {"kind": "sampled", "samples": 64}, "model.decoder.embedding": 8},
    "cnn": {"model.decoder": {"kind": "cnn", "width": 16}},
    "bag of words": {"model.encoder": {"kind": "bag_of_words"}, "model.decoder": {"kind": "bag_of_words"}},
}


@pytest.fixture
def two_epochs(image_config: MakeConfig, digits: ImageData, tmp_path: Path) -> Path:
    """A directory with the states after the first and the second epoch."""
    trainer = Trainer(image_config(), digits)
    run = trainer.run()
    for _ in range(2):
        next(run)
        save_state(trainer, tmp_path)
    return tmp_path


def epochs_in(state: dict[str, Any] | None) -> int:
    assert state is not None
    return len(state["history"])


def test_no_state_is_none(tmp_path: Path):
    assert load_state(tmp_path) is None
    assert load_state(tmp_path / "absent") is None


def test_the_newest_state_is_read_and_the_one_before_kept(two_epochs: Path):
    assert epochs_in(load_state(two_epochs)) == 2
    assert sorted(path.name for path in two_epochs.iterdir()) == [PREVIOUS, STATE]


@pytest.mark.parametrize("kept_share", [0.0, 0.3, 0.99])
def test_a_truncated_state_falls_back_to_the_one_before_and_says_so(
    two_epochs: Path, kept_share: float, caplog: pytest.LogCaptureFixture
):
    whole = (two_epochs / STATE).read_bytes()
    (two_epochs / STATE).write_bytes(whole[: int(kept_share * len(whole))])
    with caplog.at_level(logging.WARNING):
        assert epochs_in(load_state(two_epochs)) == 1
    assert str(two_epochs / STATE) in caplog.text


def test_a_flipped_bit_is_noticed(two_epochs: Path):
    """Torch itself would read it without a word."""
    whole = bytearray((two_epochs / STATE).read_bytes())
    whole[len(whole) // 2] ^= 0x10
    (two_epochs / STATE).write_bytes(whole)
    torch.load(two_epochs / STATE, weights_only=True)
    told: list[str] = []
    assert epochs_in(load_state(two_epochs, told.append)) == 1
    assert "wrong checksum" in told[0]


class Touch:
    """A pickle that would make a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_in_a_state_is_refused_and_not_run(two_epochs: Path):
    trap = two_epochs / "trapped"
    torch.save({"history": [], "model": Touch(trap)}, two_epochs / STATE)
    told: list[str] = []
    assert epochs_in(load_state(two_epochs, told.append)) == 1
    assert "WeightsUnpickler" in told[0] or "Weights only load failed" in told[0]
    assert not trap.exists()


def test_a_crash_between_the_renames_loses_one_epoch_at_most(two_epochs: Path):
    (two_epochs / STATE).unlink()
    assert epochs_in(load_state(two_epochs)) == 1


def test_no_readable_state_is_an_error_that_names_every_file(two_epochs: Path):
    for name in (STATE, PREVIOUS):
        (two_epochs / name).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="no state can be read") as caught:
        load_state(two_epochs)
    assert str(two_epochs / STATE) in str(caught.value)
    assert str(two_epochs / PREVIOUS) in str(caught.value)


def test_a_failed_write_leaves_the_old_state(
    two_epochs: Path, monkeypatch: pytest.MonkeyPatch, image_config: MakeConfig, digits: ImageData
):
    def full_disk(state: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_state(Trainer(image_config(), digits), two_epochs)
    assert epochs_in(load_state(two_epochs)) == 2
    assert sorted(path.name for path in two_epochs.iterdir()) == [PREVIOUS, STATE]


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_a_text_model_scores_the_same_after_loading(name: str, text_config: MakeConfig, sentences: TextData, tmp_path: Path):
    config = text_config(TEXT_MODELS[name])
    model = build_model(config, sentences, make_generator(1, "init"))
    save_model(model, config, sentences, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config == config
    assert loaded.shape is None
    assert loaded.vocabulary is not None
    assert loaded.vocabulary.words == sentences.vocabulary.words
    assert np.array_equal(loaded.vocabulary.counts, sentences.vocabulary.counts)
    batch = sentences.batch("test", np.arange(7))
    z = model.encode(batch).mean.unsqueeze(0)
    assert torch.equal(loaded.model.encode(batch).mean.unsqueeze(0), z)
    assert torch.equal(loaded.model.decoder.nll(batch, z), model.decoder.nll(batch, z))
    assert len(list(loaded.model.parameters())) == len(list(model.parameters()))  # what was shared is shared again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "vocabulary.json", "weights.safetensors"]


def test_an_image_model_scores_the_same_after_loading(image_config: MakeConfig, digits: ImageData, tmp_path: Path):
    config = image_config()
    model = build_model(config, digits, make_generator(1, "init"))
    save_model(model, config, digits, tmp_path)
    loaded = load_model(tmp_path)
    assert (loaded.config, loaded.shape, loaded.vocabulary) == (config, (8, 8), None)
    batch = digits.batch("test", np.arange(7), None)
    assert torch.equal(loaded.model.encode(batch).mean, model.encode(batch).mean)


def test_loading_draws_nothing_from_the_global_generator(image_config: MakeConfig, digits: ImageData, tmp_path: Path):
    save_model(build_model(image_config(), digits, make_generator(1, "init")), image_config(), digits, tmp_path)
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_missing_or_damaged_is_named(image_config: MakeConfig, digits: ImageData, tmp_path: Path):
    config = image_config()
    model = build_model(config, digits, make_generator(1, "init"))
    with pytest.raises(CheckpointError, match=r"holds no model: config\.json is missing"):
        load_model(tmp_path)
    save_model(model, config, digits, tmp_path)
    whole = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(whole[:-10])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: "):
        load_model(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(whole)
    (tmp_path / "shape.json").write_text("[8, 9]")
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: (.|\n)*size mismatch"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict() | {"sed": 1}))
    with pytest.raises(CheckpointError, match=r"config\.json: (.|\n)*sed"):
        load_model(tmp_path)
