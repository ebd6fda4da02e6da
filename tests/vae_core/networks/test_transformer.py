"""The transformer against torch's own layers, and its dropouts; what holds for every text model is in ``test_model``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.reading import read_outs
from vae_core.data.batching import TextBatch
from vae_core.data.text import TextData
from vae_core.generate import decode_text
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.networks.sentence import SentenceDecoder
from vae_core.networks.text_config import TransformerDecoder, TransformerEncoder
from vae_core.networks.transformer import Block, TransformerSentenceEncoder, attend, positions
from vae_core.seeding import Streams
from vae_core.trainer import Trainer

SMALL: dict[str, Any] = {"kind": "transformer", "width": 16, "heads": 2, "layers": 2, "feed_forward": 24}
BOTH: dict[str, Any] = {"model.encoder": {**SMALL, "embedding": 12}, "model.decoder": SMALL}
B, T, W, HEADS = 3, 6, 8, 2


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def with_rate(part: str, name: str, rate: float) -> dict[str, Any]:
    """Both networks, one of their dropouts on."""
    return {**BOTH, f"model.{part}": {**BOTH[f"model.{part}"], name: rate}}


@pytest.fixture
def batch(sentences: TextData) -> TextBatch:
    """Six sentences of unequal lengths."""
    lengths = sentences.splits["train"].lengths
    return sentences.batch("train", np.argsort(lengths)[:: len(lengths) // 5])


@pytest.fixture
def block() -> Block:
    config = TransformerDecoder(width=W, heads=HEADS, feed_forward=12)
    return Block(config, generator()).double()


@pytest.mark.parametrize("causal", [False, True])
def test_a_block_is_torch_s_own_layer(block: Block, causal: bool):
    oracle = nn.TransformerEncoderLayer(W, HEADS, 12, dropout=0.0, batch_first=True, norm_first=True).double()
    names = {
        "self_attn.in_proj_": "query_key_value.",
        "self_attn.out_proj.": "mix.",
        "linear1.": "widen.",
        "linear2.": "narrow.",
        "norm1.": "before_attention.",
        "norm2.": "before_feed_forward.",
    }
    own = block.state_dict()
    oracle.load_state_dict(
        {f"{theirs}{kind}": own[f"{ours}{kind}"] for theirs, ours in names.items() for kind in ("weight", "bias")}
    )
    visible = torch.ones(T, T, dtype=torch.bool).tril() if causal else None
    expected = oracle(normal(B, T, W), src_mask=None if visible is None else ~visible)
    torch.testing.assert_close(block(normal(B, T, W), visible, None, None)[0], expected, rtol=1e-10, atol=1e-12)


def test_attention_with_a_mask_of_ones_is_the_fused_one():
    query, key, value = (normal(B, HEADS, T, 4, seed=seed) for seed in range(3))
    ones = torch.ones(B, HEADS, T, T, dtype=torch.float64)
    for visible in (None, ones[0, 0].bool().tril()):
        fused = attend(query, key, value, visible)
        torch.testing.assert_close(attend(query, key, value, visible, ones), fused, rtol=1e-12, atol=1e-12)
    half = ones.clone()
    half[1, 0, 2, 3] = 0.0
    changed = attend(query, key, value, None, half) != attend(query, key, value, None, ones)
    assert changed.any(-1).nonzero().tolist() == [[1, 0, 2]]


@pytest.mark.parametrize("width", [8, 7, 1])
def test_positions_are_the_paper_s_sinusoids(width: int):
    found = positions(3, 4, torch.zeros(1, width, dtype=torch.float64))
    for t in range(4):
        for i in range(width):
            angle = (3 + t) / 10000.0 ** (2 * (i // 2) / width)
            assert found[t, i].item() == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-12)


def test_the_order_of_words_matters(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    model = build_model(text_config(BOTH), sentences, generator()).double()
    long = slice(batch.size - 1, batch.size)
    targets = batch.targets[long].clone()
    targets[:, [0, 1]] = targets[:, [1, 0]]
    assert not torch.equal(targets, batch.targets[long])
    plain, swapped = (
        model.encode(TextBatch(batch.inputs[long], words, batch.mask[long], batch.lengths[long])).mean
        for words in (batch.targets[long], targets)
    )
    assert (plain - swapped).abs().max() > 1e-3


def test_the_summary_is_the_mean_over_the_real_tokens(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    model = build_model(text_config(BOTH), sentences, generator()).double()
    encoder = model.encoder
    assert isinstance(encoder, TransformerSentenceEncoder)
    assert isinstance(encoder.config, TransformerEncoder)
    seen: list[Tensor] = []
    encoder.stack.norm.register_forward_hook(lambda _, inputs, output: seen.append(output))
    summary = encoder(batch, None)
    for place, length in enumerate(batch.lengths.tolist()):
        torch.testing.assert_close(summary[place], seen[0][place, :length].mean(0), rtol=1e-12, atol=1e-12)


def test_a_state_holds_the_keys_and_values_so_far(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    decoder = build_model(text_config(BOTH), sentences, generator()).double().decoder
    assert isinstance(decoder, SentenceDecoder)
    z = normal(batch.size, 4)
    state = decoder.first_state(z)
    for place in range(3):
        assert [part.shape for part in state] == [(batch.size, 2, place, 8)] * 4
        _, state = decoder.step(batch.inputs[:, place], z, state)
    order = torch.arange(batch.size).flip(0)  # sentences may be reordered and repeated between steps, as beam search does
    reordered, _ = decoder.step(batch.inputs[order, 3], z[order], tuple(part[order] for part in state))
    torch.testing.assert_close(reordered, decoder.step(batch.inputs[:, 3], z, state)[0][order], rtol=1e-10, atol=1e-10)


def test_greedy_decoding_takes_what_teacher_forcing_ranks_first(text_config: MakeConfig, sentences: TextData):
    model: VAE[Any] = build_model(text_config(BOTH), sentences, generator())
    decoder, vocabulary = model.decoder, sentences.vocabulary
    assert isinstance(decoder, SentenceDecoder)
    z = normal(5, 4).float()
    for code, sentence in zip(z, decode_text(model, z, 9), strict=True):
        words = [vocabulary.index[word] for word in [*sentence.split(), "</s>"][:9]]
        inputs = torch.tensor([[vocabulary.bos, *words[:-1]]])
        whole = TextBatch(inputs, torch.tensor([words]), torch.ones_like(inputs, dtype=torch.bool), torch.tensor([len(words)]))
        log_probs = decoder.head.log_probs(read_outs(decoder, whole, code.view(1, 1, -1))[0, 0])
        log_probs[:, [vocabulary.bos, vocabulary.pad]] = -torch.inf
        assert log_probs.argmax(1).tolist() == words


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *((part, name) for part in ("encoder", "decoder") for name in ("dropout", "attention_dropout", "embedding_dropout")),
        ("decoder", "word_dropout"),
    ],
)
def test_each_dropout_acts_in_training_only_and_draws_from_its_generator(
    part: str, name: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    model = build_model(text_config(with_rate(part, name, 0.5)), sentences, generator())
    plain = build_model(text_config(BOTH), sentences, generator())
    z, before = normal(1, batch.size, 4).float(), torch.get_rng_state()
    assert torch.equal(model.encode(batch).mean, plain.encode(batch).mean)
    assert torch.equal(model.decoder.nll(batch, z), plain.decoder.nll(batch, z))
    means = [model.encode(batch, generator(seed)).mean for seed in (0, 0, 1)]
    losses = [model.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(seed)) for seed in (0, 0, 1)]
    for active, exact, (first, again, other) in (
        (part == "encoder", plain.encode(batch).mean, means),
        (part == "decoder", plain.decoder.nll(batch, z), losses),
    ):
        assert torch.equal(first, again)
        assert torch.equal(first, exact) != active
        assert torch.equal(first, other) != active
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("other", ["mix", "narrow"])
def test_what_each_sub_layer_adds_is_dropped(other: str):
    """With the other sub-layer silent, each entry is added twofold or not at all."""
    block = Block(TransformerDecoder(width=W, heads=HEADS, feed_forward=12, dropout=0.5), generator()).double()
    for part in ("weight", "bias"):
        nn.init.zeros_(block.get_parameter(f"{other}.{part}"))
    x = normal(B, T, W)
    added = block(x, None, None, None)[0] - x
    dropped = block(x, None, None, generator())[0] - x
    gone = dropped == 0.0
    assert 0.3 < gone.double().mean().item() < 0.7
    torch.testing.assert_close(dropped[~gone], 2.0 * added[~gone], rtol=1e-10, atol=1e-12)


def test_dropout_keeps_the_decoder_causal(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    """With the same masks, a changed last word changes only its own prediction's score."""
    rates = {"dropout": 0.3, "attention_dropout": 0.3}
    model = build_model(text_config({"model.decoder": {**SMALL, **rates}}), sentences, generator()).double()
    longest = int(batch.lengths.argmax())
    one = slice(longest, longest + 1)
    z, inputs = normal(1, 1, 4), batch.inputs[one].clone()
    seen: list[Tensor] = []
    model.decoder.get_submodule("stack").register_forward_hook(lambda _, arguments, output: seen.append(output[0]))
    for _ in range(2):
        whole = TextBatch(inputs, batch.targets[one], batch.mask[one], batch.lengths[one])
        model.decoder.training_nll(whole, z, Moment(0, 1), Streams.create(0))
        inputs = inputs.clone()
        inputs[:, 4] = (inputs[:, 4] + 1) % len(sentences.vocabulary)
    assert torch.equal(seen[0][:, :4], seen[1][:, :4])
    assert not torch.equal(seen[0][:, 4], seen[1][:, 4])


def test_a_transformer_learns_and_goes_on_bit_by_bit(text_config: MakeConfig, sentences: TextData):
    rates = {"dropout": 0.1, "attention_dropout": 0.1}
    networks = {name: {**network, **rates} for name, network in BOTH.items()}
    config = text_config({**networks, "model.decoder.tie_embeddings": True, "training.epochs": 3})
    whole = Trainer(config, sentences)
    scores = [record.metrics["val/neg_elbo"] for record in whole.run() if not record.final]
    assert scores[2] < scores[1] < scores[0]
    first, second = Trainer(config, sentences), Trainer(config, sentences)
    next(first.run())
    second.load_state_dict(first.state_dict())
    assert [record.metrics["val/neg_elbo"] for record in second.run() if not record.final] == scores[1:]
