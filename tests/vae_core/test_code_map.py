"""The codes that a trial keeps are those of the model, are the same bytes again, and decode to what is kept beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from tests.vae_core.conftest import MakeConfig
from vae_core.code_map import write_codes
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.generate import decode_images, decode_text, posteriors
from vae_core.latent.config import AnyLatent
from vae_core.model import build_model
from vae_core.seeding import make_generator

LATENTS = [member.model_fields["kind"].default for member in get_args(get_args(AnyLatent)[0])]


def read(directory: Path) -> dict[str, Any]:
    with np.load(directory / "codes.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("modality", ["text", "image"])
def test_each_code_decodes_to_its_output(
    modality: str, latent: str, text_config: MakeConfig, image_config: MakeConfig, sentences: TextData, digits: ImageData,
    tmp_path: Path,
) -> None:  # fmt: skip
    config = (text_config if modality == "text" else image_config)({"model.latent": {"kind": latent}})
    data = sentences if modality == "text" else digits
    model = build_model(config, data, make_generator(1, "init"))
    for name in ("first", "again"):
        write_codes(model, config, data, tmp_path / name)
    assert (tmp_path / "first" / "codes.npz").read_bytes() == (tmp_path / "again" / "codes.npz").read_bytes()
    kept = read(tmp_path / "first")
    n = len(data.splits["valid"])
    assert len(kept["index"]) == min(n, 1000)
    assert len(set(kept["index"])) == len(kept["index"])
    own = posteriors(model, data, "valid", kept["index"][-3:])
    assert torch.allclose(torch.from_numpy(kept["means"][-3:]), own.expectation(), atol=1e-5)
    codes = torch.from_numpy(kept["codes"][-3:])
    if isinstance(data, TextData):
        assert list(kept["outputs"][-3:]) == decode_text(model, codes, config.data.max_length)
        place = int(kept["index"][0])
        first = data.splits["valid"]
        words = first.tokens[first.offsets[place] : first.offsets[place + 1]].tolist()
        assert kept["inputs"][0] == data.vocabulary.decode(words)
    else:
        assert np.abs(kept["outputs"][-3:] / 255 - decode_images(model, codes, data.shape)).max() <= 0.5 / 255 + 1e-6


def test_labels_are_those_of_the_examples(image_config: MakeConfig, digits: ImageData, tmp_path: Path) -> None:
    config = image_config({"data.labels": True, "evaluation.samples": 4})
    data = config.data.load()
    assert isinstance(data, ImageData)
    model = build_model(config, data, make_generator(1, "init"))
    write_codes(model, config, data, tmp_path)
    kept = read(tmp_path)
    labels = data.splits["valid"].labels
    assert labels is not None
    assert list(kept["labels"]) == list(labels[kept["index"]])
    assert list(kept["names"]) == list(map(str, range(10)))
    assert (kept["rate"] > 0).all()


def test_a_trial_without_samples_keeps_no_codes(image_config: MakeConfig, digits: ImageData, tmp_path: Path) -> None:
    config = image_config({"evaluation.samples": 0})
    write_codes(build_model(config, digits, make_generator(1, "init")), config, digits, tmp_path / "latent")
    assert not (tmp_path / "latent").exists()
