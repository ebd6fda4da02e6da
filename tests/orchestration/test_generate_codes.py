"""``generate --codes``: what is decoded is what the file says, and what is no code is said by its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from orchestration import trial_view
from orchestration.given_codes import CodesFault, read_codes
from tests.orchestration.test_generate_labels import images, keep, texts
from vae_core.checkpoint import load_model
from vae_core.decoding import Greedy
from vae_core.generate import decode_images, decode_text

CODES = [[0.5, -1.25], [2.0, 0.0], [-0.125, 3.0]]


@pytest.fixture
def given(tmp_path: Path) -> Path:
    file = tmp_path / "codes.csv"
    file.write_text("0.5,-1.25\n2 0\n\n-0.125, 3\n")
    return file


def test_pictures_are_those_of_the_codes(given: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where, file = keep(images(False), monkeypatch, tmp_path / "model"), tmp_path / "a.png"
    trial_view.generate_samples("x/1", 10, None, 0, file, where, given=given)
    with Image.open(file) as read:
        pixels = np.asarray(read) / 255
    assert pixels.shape == (64, 8 * (3 * 9 - 1)), "three of them, and no empty place"
    wanted = decode_images(load_model(tmp_path / "model").model, torch.tensor(CODES), (8, 8))
    for place, image in enumerate(wanted):
        assert np.abs(pixels[::8, 72 * place : 72 * place + 64 : 8] - image).max() < 0.5 / 255 + 1e-6


def test_sentences_are_those_of_the_codes_under_each_label(given: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where = keep(texts(tmp_path), monkeypatch, tmp_path / "model")
    lines = trial_view.generate_samples("x/1", 10, Greedy(), 0, None, where, given=given).split("\n")
    assert [line.partition("\t")[0] for line in lines] == ["neg"] * 3 + ["pos"] * 3
    model, neg = load_model(tmp_path / "model").model, torch.zeros(3).long()
    assert [line.partition("\t")[2] for line in lines[:3]] == decode_text(model, torch.tensor(CODES), 5, labels=neg)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds 0 codes, but 1 to 10,000 are wanted"),
        ("1,2\n1,2,3\n", "line 2: has 3 numbers, but a code of this model has 2"),
        ("1,x\n", "line 1: could not convert string to float: 'x'"),
        ("1,2\n1,nan\n", "line 2: a code has finite numbers only"),
        ("1,1e39\n", "line 1: a code has finite numbers only"),
    ],
)
def test_what_is_no_code_is_said(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "codes").write_text(text)
    with pytest.raises(CodesFault, match=message):
        read_codes(tmp_path / "codes", 2)
    with pytest.raises(CodesFault, match="cannot be read: No such file"):
        read_codes(tmp_path / "none", 2)
