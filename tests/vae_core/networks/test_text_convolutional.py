"""The convolutional decoder: how far it sees, and its dropouts; what holds for every text model is in ``test_model``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.reading import read_outs
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.batching import TextBatch
from vae_core.data.text import TextData
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.networks.sentence import SentenceDecoder
from vae_core.networks.text_config import CnnDecoder
from vae_core.networks.text_convolutional import CausalBlock
from vae_core.seeding import Streams

SMALL: dict[str, Any] = {"kind": "cnn", "width": 16, "kernel": 3, "dilations": [1, 2]}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@pytest.fixture
def batch(sentences: TextData) -> TextBatch:
    """Six sentences of unequal lengths."""
    lengths = sentences.splits["train"].lengths
    return sentences.batch("train", np.argsort(lengths)[:: len(lengths) // 5])


def decoder_of(model: VAE[TextBatch]) -> SentenceDecoder:
    assert isinstance(model.decoder, SentenceDecoder)
    return model.decoder


@pytest.mark.parametrize(
    ("kernel", "dilations", "context"), [(3, [1], 3), (2, [1, 2, 4], 8), (3, [1, 2], 7), (2, [3], 4), (4, [2, 1, 2], 16)]
)
def test_a_word_changes_exactly_the_predictions_of_its_context(
    kernel: int, dilations: list[int], context: int, text_config: MakeConfig, sentences: TextData
):
    """Where the positions leave no gap: those from the word on, ``context`` in number; with a single dilation, each d-th."""
    config = text_config({"model.decoder": {**SMALL, "kernel": kernel, "dilations": dilations}})
    assert isinstance(config.model.decoder, CnnDecoder)
    assert config.model.decoder.context == context
    model, length, place = build_model(config, sentences, generator()).double(), 30, 6
    words = torch.randint(len(sentences.vocabulary), (1, length), generator=generator(1))
    whole = TextBatch(words, words, torch.ones_like(words, dtype=torch.bool), torch.tensor([length]))
    other = words.clone()
    other[0, place] = (other[0, place] + 1) % len(sentences.vocabulary)
    z = normal(1, 1, 4)
    before, after = (read_outs(decoder_of(model), replace(whole, inputs=inputs), z)[0, 0] for inputs in (words, other))
    changed = (before != after).any(1).nonzero().squeeze(1).tolist()
    gap = dilations[0] if len(dilations) == 1 else 1
    assert changed == list(range(place, place + context, gap))


@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (3, 2)])
def test_a_block_is_its_formula(kernel: int, dilation: int):
    block = CausalBlock(CnnDecoder(width=5, kernel=kernel, dilations=(dilation,)), dilation, generator()).double()
    x, zeros = normal(2, 7, 5), torch.zeros(2, (kernel - 1) * dilation, 5, dtype=torch.float64)
    found, past = block(x, zeros, None)
    read = block.before(x).relu()
    for t in range(7):
        total = block.convolution.bias.expand(2, -1)
        for tap in range(kernel):
            source = t - (kernel - 1 - tap) * dilation
            if source >= 0:
                total = total + read[:, source] @ block.convolution.weight[:, :, tap].T
        torch.testing.assert_close(found[:, t], x[:, t] + block.after(total.relu()), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(past, torch.cat((zeros, read), 1)[:, -len(zeros[0]) :])


def test_the_state_is_bounded_and_its_sentences_may_be_reordered(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    decoder = decoder_of(build_model(text_config({"model.decoder": SMALL}), sentences, generator()).double())
    z = normal(batch.size, 4)
    state = decoder.first_state(z)
    for place in range(10):
        assert [part.shape for part in state] == [(batch.size, 2, 16), (batch.size, 4, 16)]
        _, state = decoder.step(batch.inputs[:, place], z, state)
    order = torch.tensor([3, 3, 0])
    reordered, _ = decoder.step(batch.inputs[order, 10], z[order], tuple(part[order] for part in state))
    torch.testing.assert_close(reordered, decoder.step(batch.inputs[:, 10], z, state)[0][order], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["dropout", "embedding_dropout", "word_dropout"])
def test_each_dropout_acts_in_training_only_and_draws_from_its_generator(
    name: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    dropped, plain = (
        build_model(text_config({"model.decoder": {**SMALL, name: rate}}), sentences, generator()) for rate in (0.5, 0.0)
    )
    z, before = normal(1, batch.size, 4).float(), torch.get_rng_state()
    assert torch.equal(dropped.decoder.nll(batch, z), plain.decoder.nll(batch, z))
    losses = [dropped.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(seed)) for seed in (0, 0, 1)]
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])
    assert not torch.equal(losses[0], plain.decoder.nll(batch, z))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_block_adds_is_dropped():
    config = CnnDecoder(width=16, dropout=0.5)
    block, x = CausalBlock(config, 1, generator()).double(), normal(3, 6, 16)
    past = torch.zeros(3, 2, 16, dtype=torch.float64)
    added, dropped = block(x, past, None)[0] - x, block(x, past, generator())[0] - x
    gone = dropped == 0.0
    assert 0.3 < gone.double().mean().item() < 0.7
    torch.testing.assert_close(dropped[~gone], 2.0 * added[~gone], rtol=1e-10, atol=1e-12)


def test_it_learns_and_goes_on_bit_by_bit(text_config: MakeConfig, sentences: TextData):
    decoder = {**SMALL, "dropout": 0.1, "word_dropout": 0.1, "tie_embeddings": True}
    assert_learns_and_goes_on(text_config({"model.decoder": decoder}), sentences)


@pytest.mark.parametrize("option", [{"kernel": 1}, {"dilations": []}, {"dilations": [0]}, {"width": 0}])
def test_values_that_mean_nothing_are_refused(option: dict[str, Any], text_config: MakeConfig):
    with pytest.raises(ValidationError, match=next(iter(option))):
        text_config({"model.decoder": SMALL | option})
