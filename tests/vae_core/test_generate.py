"""What is written for people: sentences and pictures, and what they must never contain."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vae_core.conftest import MakeConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.decoding import DECODINGS, Ancestral, Beam, Greedy
from vae_core.generate import (
    decode_images,
    decode_text,
    grid,
    posteriors,
    prior_codes,
    widest_parts,
    write_png,
)
from vae_core.model import VAE, build_model
from vae_core.networks.sentence import SentenceDecoder
from vae_core.samples import write_samples
from vae_core.seeding import make_generator
from vae_core.trainer import Trainer


@pytest.fixture(scope="module")
def text_model(text_config: MakeConfig, sentences: TextData) -> VAE[Any]:
    return build_model(text_config(), sentences, make_generator(0, "init"))


@pytest.fixture(scope="module")
def image_model(image_config: MakeConfig, digits: ImageData) -> VAE[Any]:
    return build_model(image_config(), digits, make_generator(0, "init"))


def test_greedy_decoding_takes_the_most_likely_word_at_each_step(text_model: VAE[Any], sentences: TextData):
    """Against teacher forcing on its own output: no other word is likelier anywhere."""
    vocabulary, decoder = sentences.vocabulary, text_model.decoder
    assert isinstance(decoder, SentenceDecoder)
    z = prior_codes(text_model, 5, seed=0)
    for code, sentence in zip(z, decode_text(text_model, z, 9), strict=True):
        words = sentence.split()
        state, last = decoder.first_state(code.unsqueeze(0)), vocabulary.bos
        for word in [*words, "</s>"][:9]:
            log_probs, state = decoder.step(torch.tensor([last]), code.unsqueeze(0), state)
            log_probs[:, [vocabulary.bos, vocabulary.pad]] = -math.inf
            last = vocabulary.index[word]
            assert log_probs.argmax().item() == last


def test_draws_follow_the_model_at_the_temperature(text_model: VAE[Any], sentences: TextData):
    """First words of many draws, and an end at once, against the model's own first distribution, sharpened."""
    vocabulary, decoder = sentences.vocabulary, text_model.decoder
    assert isinstance(decoder, SentenceDecoder)
    with torch.no_grad():
        decoder.head.get_parameter("bias")[vocabulary.eos] += 4.0
    count, temperature = 20_000, 0.7
    z = prior_codes(text_model, 1, seed=0).expand(count, -1)
    drawn = decode_text(text_model, z, 1, Ancestral(temperature=temperature), seed=1)
    with torch.no_grad():
        log_probs, _ = decoder.step(torch.tensor([vocabulary.bos]), z[:1], decoder.first_state(z[:1]))
        decoder.head.get_parameter("bias")[vocabulary.eos] -= 4.0
    log_probs[:, [vocabulary.bos, vocabulary.pad]] = -math.inf
    expected = (log_probs[0] / temperature).softmax(0)
    for word in ("", "the", "a"):
        p = expected[vocabulary.eos if not word else vocabulary.index[word]].item()
        share = drawn.count(word) / count
        assert share == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / count)), word


def test_start_and_padding_are_never_given_out(text_config: MakeConfig, sentences: TextData):
    model = build_model(text_config(), sentences, make_generator(0, "init"))
    vocabulary = sentences.vocabulary
    with torch.no_grad():
        bias = model.decoder.get_parameter("head.bias")
        bias[[vocabulary.bos, vocabulary.pad]] = 50.0
        bias[vocabulary.eos] = -50.0  # a sentence that ends at once is empty by right
    z = prior_codes(model, 20, seed=0)
    for decoding in DECODINGS.values():
        for sentence in decode_text(model, z, 10, decoding()):
            assert sentence  # decode() would drop the two, and leave nothing
            assert len(sentence.split()) <= 10


def test_sentences_end_at_max_length_or_at_the_end_mark(text_config: MakeConfig, sentences: TextData):
    model = build_model(text_config(), sentences, make_generator(0, "init"))
    bias = model.decoder.get_parameter("head.bias")
    z = prior_codes(model, 3, seed=0)
    with torch.no_grad():
        bias[sentences.vocabulary.eos] = -50.0
    assert [len(sentence.split()) for sentence in decode_text(model, z, 7)] == [7, 7, 7]
    with torch.no_grad():
        bias[sentences.vocabulary.eos] = 50.0
    assert decode_text(model, z, 7) == ["", "", ""]


def test_a_sentence_does_not_depend_on_its_neighbours(text_model: VAE[Any]):
    z = prior_codes(text_model, 6, seed=0)
    for decoding in (Greedy(), Beam(beams=3)):
        alone = [decode_text(text_model, z[place : place + 1], 8, decoding)[0] for place in range(6)]
        assert alone == decode_text(text_model, z, 8, decoding)


def test_one_beam_is_greedy_on_a_network_too(text_model: VAE[Any]):
    z = prior_codes(text_model, 20, seed=0)
    assert decode_text(text_model, z, 8, Beam(beams=1, length_penalty=0.0)) == decode_text(text_model, z, 8, Greedy())


def test_beams_give_likelier_sentences_than_greedy(text_config: MakeConfig, sentences: TextData):
    """Scored by teacher forcing with the model's own likelihood."""
    trainer = Trainer(text_config({"training.epochs": 5}), sentences)
    list(trainer.run())
    decoder, vocabulary = trainer.model.decoder, sentences.vocabulary
    assert isinstance(decoder, SentenceDecoder)
    z = prior_codes(trainer.model, 30, seed=0)

    def log_probability(texts: list[str]) -> list[float]:
        totals = []
        for code, text in zip(z, texts, strict=True):
            ids = torch.tensor([vocabulary.bos, *vocabulary.encode(text.split()).tolist(), vocabulary.eos])
            state, total = decoder.first_state(code.unsqueeze(0)), 0.0
            for last, word in pairwise(ids.unsqueeze(1)):
                log_probs, state = decoder.step(last, code.unsqueeze(0), state)
                total += log_probs[0, word].item()
            totals.append(total)
        return totals

    greedy = log_probability(decode_text(trainer.model, z, 30))
    beam = log_probability(decode_text(trainer.model, z, 30, Beam(beams=10, length_penalty=0.0)))
    assert sum(beam) > sum(greedy)


def test_draws_repeat_with_their_seed_and_touch_no_global_generator(text_model: VAE[Any]):
    before = torch.get_rng_state()
    z = prior_codes(text_model, 5, seed=3)
    assert torch.equal(prior_codes(text_model, 5, seed=3), z)
    first, again, other = (decode_text(text_model, z, 8, Ancestral(), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert torch.equal(torch.get_rng_state(), before)


def test_the_widest_dimensions_come_first_whatever_the_batch_size(image_config: MakeConfig, digits: ImageData):
    model = build_model(image_config(), digits, make_generator(0, "init"))
    layer = model.posterior.layer
    with torch.no_grad():
        layer.weight[:4] = layer.weight[0] * torch.tensor([0.1, 3.0, 0.0, 1.0]).unsqueeze(1)
        layer.bias[2] = 50.0  # a mean far from 0 that never varies
    for batch_size in (7, 1000):
        assert widest_parts(model, digits, "test", batch_size, 3).tolist() == [1, 3, 0]
        assert widest_parts(model, digits, "test", batch_size, 9).tolist() == [1, 3, 0, 2]


def test_a_trained_model_reconstructs_images_better_than_a_stranger_s_code(image_config: MakeConfig, digits: ImageData):
    trainer = Trainer(image_config({"training.epochs": 10, "optimizer.lr": 0.01}), digits)
    list(trainer.run())
    index = np.arange(60)
    inputs = digits.batch("test", index, None).pixels.numpy().reshape(60, 8, 8)
    outputs = decode_images(trainer.model, posteriors(trainer.model, digits, "test", index).mode(), (8, 8))
    assert outputs.shape == (60, 8, 8)
    assert outputs.min() >= 0.0
    assert outputs.max() <= 1.0
    own = ((inputs - outputs) ** 2).mean()
    assert own < 0.75 * ((inputs - np.roll(outputs, 1, 0)) ** 2).mean()


def test_a_grid_holds_every_image_in_its_place():
    images = np.arange(5, dtype=np.float32).reshape(5, 1, 1).repeat(2, 1).repeat(3, 2) / 10
    laid_out = grid(images, columns=3)
    assert laid_out.shape == (5, 11)
    assert laid_out[:2, :3].tolist() == [[0.0] * 3] * 2
    np.testing.assert_array_equal(laid_out[3:, 4:7], images[4])
    assert (laid_out[2] == 1.0).all()
    assert (laid_out[:, 3] == 1.0).all()
    assert (laid_out[3:, 8:] == 1.0).all()
    assert grid(np.zeros((4, 2, 3, 3), np.float32), columns=2).shape == (5, 7, 3)


@pytest.mark.parametrize(("shape", "mode"), [((2, 3), "L"), ((2, 3, 1), "L"), ((2, 3, 3), "RGB")])
def test_a_png_holds_the_pixels(shape: tuple[int, ...], mode: str, tmp_path: Path):
    image = np.linspace(0.0, 1.0, math.prod(shape), dtype=np.float32).reshape(shape)
    write_png(image, tmp_path / "image.png", scale=4)
    with Image.open(tmp_path / "image.png") as read:
        assert (read.mode, read.size) == (mode, (12, 8))
        pixels = np.asarray(read).reshape(8, 12, -1)[::4, ::4]
    np.testing.assert_array_equal(pixels.reshape(shape), np.rint(image * 255))


def test_text_artifacts(text_model: VAE[Any], text_config: MakeConfig, sentences: TextData, tmp_path: Path):
    write_samples(text_model, text_config(), sentences, tmp_path / "samples")
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["interpolations.txt", "reconstructions.txt", "samples.txt", "traversals.txt"]
    lines = (tmp_path / "samples" / "reconstructions.txt").read_text().splitlines()
    inputs = [line.removeprefix("input   ") for line in lines if line.startswith("input")]
    split = sentences.splits["test"]
    known = {sentences.vocabulary.decode(split.tokens[a:b]) for a, b in zip(split.offsets, split.offsets[1:], strict=False)}
    assert len(inputs) == 4
    assert set(inputs) <= known
    assert (tmp_path / "samples" / "samples.txt").read_text().count("drawn   ") == 4
    traversals = (tmp_path / "samples" / "traversals.txt").read_text()
    centre = decode_text(text_model, torch.zeros(1, 4), text_config().data.max_length)[0]
    assert traversals.count("the others at 0\n") == traversals.count("the others as in the first reconstruction\n") == 4
    assert traversals.count(f"+0  {centre}\n") >= 4
    assert traversals.count("\n-3  ") == traversals.count("\n+3  ") == 8


def test_image_artifacts(image_model: VAE[Any], image_config: MakeConfig, digits: ImageData, tmp_path: Path):
    write_samples(image_model, image_config(), digits, tmp_path)
    names = ["interpolations.png", "reconstructions.png", "samples.png", "traversals.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with Image.open(tmp_path / "traversals.png") as read:
        assert read.size == (8 * (7 * 9 - 1), 8 * (2 * 4 * 9 - 1))  # 7 values; 4 dimensions around 0, and around an example
        rows = np.asarray(read)[::8, ::8] / 255
    centre = decode_images(image_model, torch.zeros(1, 4), (8, 8))[0]
    for row in range(4):
        np.testing.assert_allclose(rows[9 * row : 9 * row + 8, 27:35], centre, atol=1 / 255)
    with Image.open(tmp_path / "reconstructions.png") as read:
        pixels = np.asarray(read)[::8, ::8] / 255
    inputs = digits.batch("test", np.arange(4) * len(digits.splits["test"]) // 4, None).pixels.numpy().reshape(4, 8, 8)
    np.testing.assert_array_equal(pixels[:8, 18:26], inputs[1])  # input, output, input, ...


def test_no_samples_are_written_where_none_are_wanted(
    image_model: VAE[Any], image_config: MakeConfig, digits: ImageData, tmp_path: Path
):
    write_samples(image_model, image_config({"evaluation.samples": 0}), digits, tmp_path / "samples")
    assert not (tmp_path / "samples").exists()


FAMILIES: dict[str, tuple[dict[str, Any], str, list[str], list[str]]] = {
    "vmf": (
        {"kind": "vmf", "size": 3},
        "great circles",
        ["z[0]", "z[1]", "z[2]"],
        [" -90°", " -60°", " -30°", "  +0°", " +30°", " +60°", " +90°"],
    ),
    "categorical": (
        {"kind": "categorical", "variables": 2, "classes": 3},
        "switches of one variable after another",
        ["variable[0]", "variable[1]"],
        ["class 0", "class 1", "class 2"],
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_text_artifacts_of_a_family_without_a_centre(family: str, text_config: MakeConfig, sentences: TextData, tmp_path: Path):
    latent, line, parts, steps = FAMILIES[family]
    config = text_config({"model.latent": latent})
    write_samples(build_model(config, sentences, make_generator(0, "init")), config, sentences, tmp_path)
    assert f"along {line} between" in (tmp_path / "interpolations.txt").read_text()
    traversals = (tmp_path / "traversals.txt").read_text()
    assert all(traversals.count(f"{part}, the others as in the first reconstruction\n") == 1 for part in parts)
    assert all(traversals.count(f"\n{step}  ") == len(parts) for step in steps)
    assert "at 0" not in traversals


def test_a_learned_prior_has_no_centre_to_traverse_from(text_config: MakeConfig, sentences: TextData, tmp_path: Path):
    """Its codes may be anywhere: 0 may be far from all of them."""
    config = text_config({"model.prior": {"kind": "mixture", "components": 3}})
    write_samples(build_model(config, sentences, make_generator(0, "init")), config, sentences, tmp_path)
    traversals = (tmp_path / "traversals.txt").read_text()
    assert traversals.count("the others as in the first reconstruction\n") == 4
    assert "at 0" not in traversals


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_is_decoded_for_people_is_a_code(
    family: str, image_config: MakeConfig, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of unit length, or of one-hot vectors: no mean of several."""
    latent, _, parts, steps = FAMILIES[family]
    config, seen = image_config({"model.latent": latent}), []
    model = build_model(config, digits, make_generator(0, "init"))
    decode = model.decoder.parameters_of

    def watched(z: torch.Tensor) -> torch.Tensor:
        seen.append(z)
        return decode(z)

    monkeypatch.setattr(model.decoder, "parameters_of", watched)
    write_samples(model, config, digits, tmp_path)
    codes = torch.cat(seen)
    assert len(codes) == 4 + 4 + 2 * 8 + len(parts) * len(steps)  # samples, reconstructions, interpolations, traversals
    length = {"vmf": 1.0, "categorical": 2.0}[family]
    torch.testing.assert_close(codes.square().sum(1), torch.full((len(codes),), length))
    if family == "categorical":
        assert codes.unique().tolist() == [0.0, 1.0]
    with Image.open(tmp_path / "traversals.png") as read:
        assert read.size == (8 * (9 * len(steps) - 1), 8 * (9 * len(parts) - 1))
