"""A finished model scores, encodes and decodes a user's own examples as training and evaluation do those of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vae_core.conftest import MakeConfig
from vae_core.checkpoint import save_model
from vae_core.config import TrialConfig
from vae_core.data.text import TextData
from vae_core.evaluate import evaluate, importance_weighted
from vae_core.generate import decode_images, decode_text, posteriors
from vae_core.given import GIVEN, given_text
from vae_core.model import Data, build_model
from vae_core.seeding import make_generator
from vae_core.served import Served

PROSE = "He said : a well @-@ known man , or two , is here .\nIt was not so .\nNobody knew .\n" * 12


def served(config: TrialConfig, data: Data, directory: Path) -> Served:
    save_model(build_model(config, data, make_generator(1, "init")), config, data, directory)
    return Served.load(directory)


def examples(data: Data, split: str) -> Any:
    """As a user would give them: sentences, or images."""
    if isinstance(data, TextData):
        rows = data.splits[split]
        return [
            data.vocabulary.decode(rows.tokens[start:end]) for start, end in zip(rows.offsets, rows.offsets[1:], strict=False)
        ]
    return data.splits[split].pixels / 255


@pytest.fixture(scope="module", params=["text", "images", "conditional"])
def model(request: pytest.FixtureRequest, text_config: MakeConfig, image_config: MakeConfig, tmp_path_factory: Any) -> Any:
    """A model, its data, and its test examples with their labels where it reads them."""
    changes = {"data.labels": True, "model.condition": {}} if request.param == "conditional" else {}
    config = text_config() if request.param == "text" else image_config(changes)
    data = config.data.load()
    labels = None if data.labels is None else [data.labels[number] for number in data.splits["test"].labels]
    return served(config, data, tmp_path_factory.mktemp("model")), data, examples(data, "test"), labels


def test_scores_are_those_of_the_evaluation(model: Any) -> None:
    one, data, given, labels = model
    found = one.score(given, labels, samples=5, seed=7)
    whole = evaluate(one.loaded.model, data, "test", 32, 7)
    for name in ("neg_elbo", "distortion", "rate"):
        assert found[name].shape == (len(given),)
        assert found[name].mean() == pytest.approx(whole[name], rel=1e-6)
    bound = importance_weighted(one.loaded.model, data, "test", samples=5, seed=7)
    assert found["iw_nll"].mean() == pytest.approx(bound.nll, rel=1e-6)
    assert "iw_nll" not in one.score(given[:2], labels and labels[:2])


def test_codes_and_what_they_decode_to_are_the_models(model: Any) -> None:
    one, data, given, labels = model
    codes = one.encode(given, labels)
    modes = posteriors(one.loaded.model, data, "test", np.arange(len(given))).mode()
    np.testing.assert_allclose(codes, modes.numpy(), rtol=1e-5, atol=1e-6)
    told = None if labels is None else data.batch("test", np.arange(len(given))).labels
    if isinstance(data, TextData):
        assert one.decode(codes) == decode_text(one.loaded.model, modes, 12)
    else:
        wanted = decode_images(one.loaded.model, modes, data.shape, told)
        np.testing.assert_allclose(one.decode(codes, labels), wanted, rtol=1e-4, atol=1e-6)


def test_the_same_seed_generates_the_same(model: Any) -> None:
    one, data, _, _ = model
    (first, codes), (again, _), (other, _) = one.generate(6, seed=1), one.generate(6, seed=1), one.generate(6, seed=2)
    assert codes.shape == (6, 4)
    assert len(first) == 6
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    if isinstance(data, TextData):
        assert one.generate(6, temperature=0.0)[0] == one.decode(one.generate(6)[1])


@pytest.mark.parametrize("tokens", ["auto", "words", "character", "bpe"])
@pytest.mark.parametrize("apart", [True, False])
def test_text_is_told_apart_as_in_training(tokens: str, apart: bool, text_config: MakeConfig, tmp_path: Path) -> None:
    """Where training found out by itself how, the vocabulary shows it."""
    (tmp_path / "train.txt").write_text(PROSE if apart else PROSE.replace(" @-@ ", "-").replace(" ,", ",").replace(" .", "."))
    text = {"kind": "text_file", "train": str(tmp_path / "train.txt"), "tokens": tokens, "max_length": 60}
    text["vocabulary"] = {"max_size": 400, "min_count": 1}
    config = text_config({"data": text, "training.batch_size": 8})
    data = config.data.load()
    one = served(config, data, tmp_path / "model")
    for split in ("train", "test"):
        given = given_text(one.loaded, examples(data, split)).splits[GIVEN]
        assert given.tokens.tolist() == data.splits[split].tokens.tolist()
        assert given.offsets.tolist() == data.splits[split].offsets.tolist()


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "at least one"), (["a class", "  "], "text 1 has 0 words"), (["a " * 13], "1 to 12"), (["a </s> b"], None)],
)
def test_text_that_a_model_cannot_take_is_refused(
    texts: list[str], message: str | None, text_config: MakeConfig, sentences: TextData, tmp_path: Path
) -> None:
    one = served(text_config(), sentences, tmp_path)
    if message is None:  # taken apart into signs, it is no reserved word
        assert one.encode(texts).shape == (1, 4)
        return
    with pytest.raises(ValueError, match=message):
        one.encode(texts)


def test_images_and_labels_that_a_model_cannot_take_are_refused(image_config: MakeConfig, tmp_path: Path) -> None:
    config = image_config({"data.labels": True, "model.condition": {}})
    one = served(config, config.data.load(), tmp_path)
    blank = np.zeros((2, 8, 8))
    for images, labels, message in (
        (np.zeros((2, 7, 8)), ["1", "2"], r"\(n, 8, 8\)"),
        (blank + 2, ["1", "2"], r"\[0, 1\]"),
        (blank + 0.5, ["1", "2"], "black and white"),
        (blank, None, "reads labels"),
        (blank, ["1"], "1 labels for 2"),
        (blank, ["1", "11"], "did you mean"),
    ):
        with pytest.raises(ValueError, match=message):
            one.score(images, labels)
    with pytest.raises(ValueError, match="codes are"):
        one.decode(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="count"):
        one.generate(0)
