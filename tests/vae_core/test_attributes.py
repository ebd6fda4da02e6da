"""Labels as directions: mean codes by hand, and what moving along their difference does to a trained model's images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vae_core.attributes
from tests.vae_core.conftest import MakeConfig
from vae_core.attributes import (
    STRENGTHS,
    LabelMeans,
    attribute_numbers,
    changed,
    changed_images,
    changed_text,
    refuse_attributes,
    write_attributes,
)
from vae_core.config import TrialConfig
from vae_core.data.errors import DataError
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.generate import decode_text, posteriors
from vae_core.model import VAE, build_model
from vae_core.seeding import make_generator
from vae_core.trainer import Trainer

Images = tuple[VAE[Any], ImageData, TrialConfig]
Text = tuple[VAE[Any], TextData, TrialConfig]


@pytest.fixture(scope="module")
def trained(image_config: MakeConfig) -> Images:
    """A model of digits that is never told their labels."""
    config = image_config({"data.labels": True, "training.epochs": 25, "optimizer.lr": 0.01, "model.latent.size": 8})
    data = config.data.load()
    assert isinstance(data, ImageData)
    trainer = Trainer(config, data)
    list(trainer.run())
    return trainer.model, data, config


@pytest.fixture(scope="module")
def text(text_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Text:
    path = tmp_path_factory.mktemp("labelled") / "rows.jsonl"
    rows = [{"text": f"the w{place % 9} is {('bad', 'good')[place % 2]}", "y": ("neg", "pos")[place % 2]} for place in range(90)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = text_config({"data": {"kind": "json_lines", "train": str(path), "label_column": "y", "max_length": 9}})
    data = config.data.load()
    assert isinstance(data, TextData)
    return build_model(config, data, make_generator(0, "init")), data, config


def labels_of(data: Any, split: str) -> Any:
    labels = data.splits[split].labels
    assert labels is not None
    return labels


def test_means_are_those_of_each_label_s_examples(trained: Images, monkeypatch: pytest.MonkeyPatch):
    """Grey pixels, since black and white ones of train are drawn anew in each batch."""
    model, dynamic, _ = trained
    data = ImageData.make(dynamic.splits, "grey", "made", dynamic.labels)
    codes = posteriors(model, data, "train", np.arange(len(data.splits["train"]))).expectation().double()
    labels = torch.tensor(labels_of(data, "train"))
    truth = torch.stack([codes[labels == digit].mean(0) for digit in range(10)])
    found = LabelMeans.of(model, data)
    torch.testing.assert_close(found.means, truth, rtol=1e-5, atol=1e-6)
    assert found.counts.tolist() == [(labels == digit).sum().item() for digit in range(10)]
    torch.testing.assert_close(found.direction(3, 8), truth[3] - truth[8], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.direction(3, None), truth[3] - codes[labels != 3].mean(0), rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(vae_core.attributes, "_BATCH", 7)
    torch.testing.assert_close(LabelMeans.of(model, data).means, found.means, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(vae_core.attributes, "_EXAMPLES", 100)
    assert LabelMeans.of(model, data).counts.sum() == 100


@torch.no_grad()
def test_codes_move_along_the_direction_from_the_example_s_own(trained: Images):
    model, data, _ = trained
    means = LabelMeans.of(model, data)
    change = changed(model, data, means, 3, 8, 6)
    assert change is not None
    assert (labels_of(data, "test")[change.index] == 8).all()
    assert change.codes.shape == (6, len(STRENGTHS), 8)
    own = posteriors(model, data, "test", change.index).mode()
    for step, strength in enumerate(STRENGTHS):
        expected = own.double() + strength * (means.means[3] - means.means[8])
        torch.testing.assert_close(change.codes[:, step].double(), expected, rtol=1e-5, atol=1e-5)
    every = changed(model, data, means, 3, None, 1000)
    assert every is not None
    assert set(every.index.tolist()) == set(np.flatnonzero(labels_of(data, "test") != 3).tolist())
    assert len(changed(model, data, means, 3, None, 5).index) == 5  # type: ignore[union-attr]  # None would fail here too


def test_images_come_closer_to_the_label_s_mean_image(trained: Images):
    model, data, _ = trained
    train = data.splits["train"]
    target, closer, count = 0, 0, 0
    truth = train.pixels[labels_of(data, "train") == target].mean(0)
    change = changed(model, data, LabelMeans.of(model, data), target, None, 100)
    assert change is not None
    rows = changed_images(model, data, change).reshape(len(change.index), 1 + len(STRENGTHS), 8, 8)
    inputs = data.batch("test", change.index).pixels.numpy().reshape(-1, 8, 8)
    np.testing.assert_array_equal(rows[:, 0], inputs)
    distances = ((rows[:, 1:] - truth) ** 2).sum((2, 3))
    closer, count = int((distances[:, 2] < distances[:, 0]).sum()), len(distances)
    assert count == 100
    assert closer >= 95


def test_text_blocks_show_the_sentence_and_each_strength(text: Text):
    model, data, _ = text
    change = changed(model, data, LabelMeans.of(model, data), 1, 0, 3)
    assert change is not None
    blocks = changed_text(model, data, change, 9)
    assert len(blocks) == 3
    for place, block in enumerate(blocks):
        lines = block.splitlines()
        assert lines[0].startswith("input  the w")
        assert lines[0].endswith("is bad")
        texts = decode_text(model, change.codes[place], 9)
        assert lines[1:] == [f"{strength:+.1f}   {text}" for strength, text in zip(STRENGTHS, texts, strict=True)]


def test_artifacts(trained: Images, text: Text, tmp_path: Path):
    write_attributes(*swap(trained), tmp_path / "images")
    with Image.open(tmp_path / "images" / "attributes.png") as read:
        picture = np.asarray(read.convert("L"))
    height, width = 8 * (10 * 4 * 9 - 1), 8 * (5 * 9 - 1)  # 4 examples of each of 10 labels
    top, left = picture.shape[0] - height, picture.shape[1] - width
    assert 10 <= top <= 20
    assert 10 <= left <= 40
    columns = [(picture[:top, left + 72 * column : left + 72 * (column + 1)] < 128).any() for column in range(5)]
    assert columns == [True] * 5, "input and four strengths"
    named = [bool((picture[top + 72 * row : top + 72 * (row + 1) - 8, :left] < 128).any()) for row in range(40)]
    assert named == [row % 4 == 0 for row in range(40)], "each label once"
    write_attributes(*swap(text), tmp_path / "text")
    content = (tmp_path / "text" / "attributes.txt").read_text()
    assert content.count("label  neg\n") == content.count("label  pos\n") == 4
    for block in content.split("\n\n")[1:]:
        assert ("is bad" in block.splitlines()[1]) == ("label  pos" in block)


def swap(subject: tuple[VAE[Any], Any, TrialConfig]) -> tuple[VAE[Any], TrialConfig, Any]:
    return subject[0], subject[2], subject[1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data.labels": True, "evaluation.samples": 0},
        {"data.labels": True, "model.latent": {"kind": "vmf", "size": 4}},
        {"data.labels": True, "model.condition": {"embedding": 4}},
    ],
)
def test_nothing_is_written_where_there_is_nothing_to_show(image_config: MakeConfig, changes: dict[str, Any], tmp_path: Path):
    config = image_config(changes)
    data = config.data.load()
    write_attributes(build_model(config, data, make_generator(0, "init")), config, data, tmp_path / "samples")
    assert not (tmp_path / "samples").exists()


def test_what_cannot_be_is_told(image_config: MakeConfig, text_config: MakeConfig, trained: Images):
    data = trained[1]
    assert attribute_numbers(data, "3", "8") == (3, 8)
    assert attribute_numbers(data, "3", None) == (3, None)
    with pytest.raises(DataError, match=r"^--attribute 33: there is no label '33' in train; it has '0', .*did you mean '3'\?"):
        attribute_numbers(data, "33", None)
    with pytest.raises(DataError, match=r"^--minus x: there is no label 'x' in train"):
        attribute_numbers(data, "3", "x")
    with pytest.raises(DataError, match=r"^--minus 3: that is the attribute itself"):
        attribute_numbers(data, "3", "3")
    with pytest.raises(DataError, match=r"these data have none; data\.labels would give them$"):
        refuse_attributes(image_config())
    with pytest.raises(DataError, match=r"these data have none$"):
        refuse_attributes(text_config())
    with pytest.raises(DataError, match=r"with model\.condition encoder and decoder are told them$"):
        refuse_attributes(image_config({"data.labels": True, "model.condition": {"embedding": 4}}))
    with pytest.raises(DataError, match=r"model\.latent\.kind: vmf does not allow"):
        refuse_attributes(image_config({"data.labels": True, "model.latent": {"kind": "vmf", "size": 4}}))
