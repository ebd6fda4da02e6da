"""Word vectors made of characters: against the formula, and what no word's vector may depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.text import TextData
from vae_core.data.vocabulary import SPECIALS, WordList
from vae_core.decoding import Ancestral
from vae_core.generate import decode_text, prior_codes
from vae_core.model import build_model
from vae_core.networks.character_cnn import CharacterCnn, Highway
from vae_core.networks.recurrent import RecurrentSentenceDecoder, RecurrentSentenceEncoder
from vae_core.networks.word_vectors_config import CharacterCnnVectors

OPTIONS = CharacterCnnVectors(characters=4, widths=(1, 3, 6), filters=2, highway=2)
SMALL: dict[str, Any] = {"kind": "character_cnn", "characters": 5, "widths": [1, 3], "filters": 4}
WORDS = ("the", "cat", "</s>", "a", "extraordinarily", "<unk>", "then", "<pad>", "<s>")
LISTED = WordList(WORDS, np.arange(len(WORDS))[::-1].copy())
THE, CAT, END, A, LONG, UNK, THEN, PAD, START = range(len(WORDS))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def vectors() -> CharacterCnn:
    return CharacterCnn(OPTIONS, LISTED, 5, generator()).double()


@pytest.mark.parametrize("word", [THE, A, LONG])
def test_a_word_s_vector_is_the_formula(vectors: CharacterCnn, word: int):
    """Characters and marks one by one, each filter at each of them, with zeros to the right of the last."""
    alphabet = sorted({*"thecatextraordinarilythen"})
    ids = [1, *(alphabet.index(character) + 3 for character in WORDS[word]), 2]
    letters = [vectors.characters.weight[place] for place in ids] + [torch.zeros(4, dtype=torch.float64)] * 6
    highest = []
    for layer, (width, count) in zip(vectors.filters, ((1, 2), (3, 6), (6, 12)), strict=True):
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        assert weight.shape == (count, 4, width)
        for number in range(count):
            places = [
                bias[number] + sum(weight[number, :, tap] @ letters[place + tap] for tap in range(width))
                for place in range(len(ids))
            ]
            highest.append(torch.stack([torch.as_tensor(value) for value in places]).tanh().max())
    x = torch.stack(highest)
    for highway in vectors.highways:
        assert isinstance(highway, Highway)
        gate = torch.sigmoid(highway.gate.weight @ x + highway.gate.bias - 2.0)
        x = gate * (highway.change.weight @ x + highway.change.bias).clamp(min=0.0) + (1.0 - gate) * x
    expected = vectors.output.weight @ x + vectors.output.bias
    torch.testing.assert_close(vectors(torch.tensor(word)), expected, rtol=1e-10, atol=1e-12)


def test_no_word_s_vector_depends_on_which_others_are_computed(vectors: CharacterCnn):
    together = vectors(torch.tensor([[THE, LONG, UNK], [A, THE, THEN]]))
    assert together.shape == (2, 3, 5)
    for row, column, word in ((0, 0, THE), (0, 2, UNK), (1, 0, A), (1, 1, THE), (1, 2, THEN)):
        torch.testing.assert_close(vectors(torch.tensor([word]))[0], together[row, column], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(vectors.all(), vectors(torch.arange(len(WORDS))), rtol=0.0, atol=0.0)
    assert len(vectors.all().unique(dim=0)) == len(WORDS)


def test_a_word_s_vector_is_its_spelling_s_wherever_it_is_listed(vectors: CharacterCnn):
    order = [LONG, THEN, START, UNK, THE, PAD, A, END, CAT]
    other = WordList(tuple(WORDS[word] for word in order), np.arange(len(WORDS))[::-1].copy())
    moved = CharacterCnn(OPTIONS, other, 5, generator()).double()
    torch.testing.assert_close(moved.all(), vectors.all()[order], rtol=1e-12, atol=1e-12)


def test_special_words_have_vectors_of_their_own(vectors: CharacterCnn):
    special = torch.tensor([UNK, END, START, PAD])
    assert torch.equal(vectors(special), vectors.specials.weight)
    vectors(special).sum().backward()
    for name, weight in vectors.named_parameters():
        assert (weight.grad is not None and bool(weight.grad.any())) == (name == "specials.weight"), name
    vectors.zero_grad()
    vectors(torch.tensor([THE, LONG])).sum().backward()
    for name, weight in vectors.named_parameters():
        assert (weight.grad is not None and bool(weight.grad.any())) == (name != "specials.weight"), name


def test_a_highway_hands_most_on_at_first():
    highway, x = Highway(30, generator()), torch.randn(50, 30, generator=generator(1))
    for name in ("weight", "bias"):
        torch.nn.init.zeros_(highway.gate.get_parameter(name))
    share = 1.0 / (1.0 + np.exp(2.0))
    torch.testing.assert_close(highway(x), share * highway.change(x).relu() + (1.0 - share) * x)


def test_vectors_are_computed_once_where_they_are_remembered(vectors: CharacterCnn):
    computed: list[int] = []
    vectors.output.register_forward_hook(lambda _, arguments, output: computed.append(len(output)))
    words = torch.tensor([[THE, CAT], [THE, UNK]])
    with torch.no_grad():
        expected = vectors(words)
        computed.clear()
        with vectors.remembering():
            assert torch.equal(vectors(words), expected)
            assert torch.equal(vectors(words.T), expected.transpose(0, 1))
            assert computed == [3]
            torch.testing.assert_close(vectors(torch.tensor([CAT, LONG]))[0], expected[0, 1])
            assert computed == [3, 1]
        vectors.output.get_parameter("bias").add_(1.0)
        torch.testing.assert_close(vectors(words)[0], expected[0] + 1.0)


def test_they_are_shared_with_the_decoder_unless_it_has_a_table(text_config: MakeConfig, sentences: TextData):
    for changes, shared in (({}, True), ({"model.decoder.embedding": 8}, False)):
        model = build_model(text_config(changes | {"model.encoder.word_vectors": SMALL}), sentences, generator())
        assert isinstance(model.encoder, RecurrentSentenceEncoder)
        assert isinstance(model.decoder, RecurrentSentenceDecoder)
        assert isinstance(model.encoder.table, CharacterCnn)
        assert (model.decoder.table is model.encoder.table) == shared


def test_sentences_are_those_of_vectors_computed_at_each_step(
    text_config: MakeConfig, sentences: TextData, monkeypatch: pytest.MonkeyPatch
):
    model = build_model(text_config({"model.encoder.word_vectors": SMALL}), sentences, generator())
    z, computed = prior_codes(model, 8, seed=0), []
    table = model.decoder.get_submodule("table")
    assert isinstance(table, CharacterCnn)
    table.output.register_forward_hook(lambda _, arguments, output: computed.append(len(output)))
    quick = decode_text(model, z, 9, Ancestral(), seed=1)
    assert sum(computed) <= len({word for text in quick for word in text.split()} | {*SPECIALS})
    with monkeypatch.context() as patched:
        patched.setattr(RecurrentSentenceDecoder, "remembering", lambda self: torch.no_grad())
        assert decode_text(model, z, 9, Ancestral(), seed=1) == quick


def test_evaluation_computes_a_few_at_a_time(vectors: CharacterCnn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vae_core.networks.character_cnn._AT_ONCE", 2)
    whole: Tensor = vectors.all()
    with torch.no_grad():
        torch.testing.assert_close(vectors.all(), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model.decoder": {"kind": "cnn", "width": 16}, "training.precision": "bfloat16"},
        {"optimizer": {"kind": "lazy_adam", "lr": 0.005}, "model.softmax": {"kind": "sampled", "samples": 64}},
        {"model.decoder.scheduled_sampling": {"kind": "soft"}, "model.initialisation": {"kind": "xavier"}},
    ],
)
def test_it_learns_and_goes_on_bit_by_bit(changes: dict[str, Any], text_config: MakeConfig, sentences: TextData):
    assert_learns_and_goes_on(text_config(changes | {"model.encoder.word_vectors": SMALL}), sentences)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.decoder.tie_embeddings": True}, r"tie_embeddings needs a table, and .*character_cnn is none"),
        ({"model.encoder.word_vectors": SMALL | {"widths": []}}, "widths"),
        ({"model.encoder.word_vectors": SMALL | {"filters": 0}}, "filters"),
        ({"model.encoder.word_vectors": SMALL | {"highway": -1}}, "highway"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str, text_config: MakeConfig):
    text_config({"model.encoder.word_vectors": SMALL, "model.decoder.embedding": 8, "model.decoder.tie_embeddings": True})
    with pytest.raises(ValidationError, match=message):
        text_config({"model.encoder.word_vectors": SMALL} | changes)
