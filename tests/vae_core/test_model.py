"""The model's parts against their definitions: what may see what, and what padding, dropout and samples may not change."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.reading import read_outs
from vae_core.data.batching import TextBatch
from vae_core.data.text import TextData
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.networks.cells import run_sequence
from vae_core.networks.initialise import recurrent
from vae_core.networks.recurrent import RecurrentSentenceEncoder
from vae_core.networks.sentence import SentenceDecoder
from vae_core.seeding import Streams

TRANSFORMER: dict[str, Any] = {"kind": "transformer", "width": 16, "heads": 2, "layers": 2, "feed_forward": 24}
CNN: dict[str, Any] = {"kind": "cnn", "width": 16, "kernel": 2, "dilations": [1, 2]}
CHARACTERS: dict[str, Any] = {"kind": "character_cnn", "characters": 5, "widths": [1, 3], "filters": 4}
TEXT_MODELS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {"model.encoder.kind": "gru", "model.decoder.kind": "gru"},
    "bidirectional": {"model.encoder.bidirectional": True},
    "tied": {"model.decoder.tie_embeddings": True},
    "own table": {"model.decoder.embedding": 8},
    "mapped": {"model.decoder.output_map": True},
    "adaptive": {"model.softmax": {"kind": "adaptive", "cutoffs": [50, 150]}},
    "adaptive tied": {"model.softmax": {"kind": "adaptive", "cutoffs": [50, 150]}, "model.decoder.tie_embeddings": True},
    "sampled": {"model.softmax": {"kind": "sampled", "samples": 64}},
    "hierarchical tied": {"model.softmax": {"kind": "hierarchical"}, "model.decoder.tie_embeddings": True},
    "nce tied": {"model.softmax": {"kind": "nce", "samples": 64}, "model.decoder.tie_embeddings": True},
    "transformer": {"model.encoder": {**TRANSFORMER, "embedding": 12}, "model.decoder": TRANSFORMER},
    "transformer tied": {"model.decoder": {**TRANSFORMER, "tie_embeddings": True}},
    "transformer own table": {"model.decoder": {**TRANSFORMER, "width": 8, "embedding": 8, "tie_embeddings": True}},
    "transformer of one head and odd width": {"model.decoder": {**TRANSFORMER, "width": 15, "heads": 1, "layers": 1}},
    "transformer encoder": {"model.encoder": {**TRANSFORMER, "embedding": 12}, "model.decoder.kind": "gru"},
    "cnn": {"model.decoder": CNN},
    "cnn tied": {"model.decoder": {**CNN, "tie_embeddings": True}},
    "cnn own table": {"model.decoder": {**CNN, "width": 8, "kernel": 3, "embedding": 8, "tie_embeddings": True}},
    "batch norm": {"model.latent.batch_norm": {"gamma": 0.5}},
    "character cnn": {"model.encoder.word_vectors": CHARACTERS},
    "character cnn, transformer": {
        "model.encoder": {**TRANSFORMER, "embedding": 12, "word_vectors": CHARACTERS},
        "model.decoder": TRANSFORMER,
    },
    "character cnn, own table": {
        "model.encoder.word_vectors": CHARACTERS,
        "model.decoder": {**CNN, "embedding": 8, "tie_embeddings": True},
    },
    "xavier": {"model.initialisation": {"kind": "xavier"}},
    "orthogonal": {"model.initialisation": {"kind": "orthogonal"}, "model.decoder": TRANSFORMER},
    "orthogonal cnn": {"model.initialisation": {"kind": "orthogonal"}, "model.decoder": CNN},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@pytest.fixture(params=TEXT_MODELS, scope="module")
def changes(request: pytest.FixtureRequest) -> dict[str, Any]:
    return TEXT_MODELS[request.param]


@pytest.fixture
def model(changes: dict[str, Any], text_config: MakeConfig, sentences: TextData) -> VAE[TextBatch]:
    return build_model(text_config(changes), sentences, generator()).double()


@pytest.fixture
def batch(sentences: TextData) -> TextBatch:
    """Six sentences of unequal lengths."""
    lengths = sentences.splits["train"].lengths
    return sentences.batch("train", np.argsort(lengths)[:: len(lengths) // 5])


def decoder_of(model: VAE[TextBatch]) -> SentenceDecoder:
    assert isinstance(model.decoder, SentenceDecoder)
    return model.decoder


def widened(batch: TextBatch, vocabulary_pad: int, columns: int) -> TextBatch:
    """The same sentences with more padding."""
    tokens = torch.full((batch.size, columns), vocabulary_pad)
    return TextBatch(
        torch.cat((batch.inputs, tokens), 1),
        torch.cat((batch.targets, tokens), 1),
        torch.cat((batch.mask, torch.zeros_like(tokens, dtype=torch.bool)), 1),
        batch.lengths,
    )


def test_padding_changes_neither_posterior_nor_likelihood(model: VAE[TextBatch], batch: TextBatch, sentences: TextData):
    wide = widened(batch, sentences.vocabulary.pad, 5)
    z = codes(2, batch.size, 4)
    torch.testing.assert_close(model.encode(wide).mean, model.encode(batch).mean, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(model.encode(wide).log_variance, model.encode(batch).log_variance, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(model.decoder.nll(wide, z), model.decoder.nll(batch, z), rtol=1e-10, atol=1e-10)


def test_an_example_s_scores_do_not_depend_on_its_neighbours(model: VAE[TextBatch], batch: TextBatch):
    z = codes(1, batch.size, 4)
    mean, nll = model.encode(batch).mean, model.decoder.nll(batch, z)
    for place in range(batch.size):
        width = int(batch.lengths[place])
        one = slice(place, place + 1)
        alone = TextBatch(batch.inputs[one, :width], batch.targets[one, :width], batch.mask[one, :width], batch.lengths[one])
        torch.testing.assert_close(model.encode(alone).mean, mean[one], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(model.decoder.nll(alone, z[:, one]), nll[:, one], rtol=1e-10, atol=1e-10)


def test_samples_are_scored_one_by_one(model: VAE[TextBatch], batch: TextBatch):
    z = codes(3, batch.size, 4)
    together = model.decoder.nll(batch, z)
    assert together.shape == (3, batch.size)
    for k in range(3):
        torch.testing.assert_close(model.decoder.nll(batch, z[k : k + 1])[0], together[k], rtol=1e-10, atol=1e-10)


def test_a_word_changes_no_prediction_at_or_before_its_place(model: VAE[TextBatch], batch: TextBatch, sentences: TextData):
    z = codes(1, batch.size, 4)
    before = read_outs(decoder_of(model), batch, z)
    for place in (1, 3):  # inputs[:, place] is the word that is predicted at place - 1
        inputs = batch.inputs.clone()
        inputs[:, place] = (inputs[:, place] + 1) % len(sentences.vocabulary)
        after = read_outs(decoder_of(model), replace(batch, inputs=inputs), z)
        assert torch.equal(after[:, :, :place], before[:, :, :place])
        assert not torch.isclose(after[:, :, place], before[:, :, place]).all(-1).any()


def test_every_prediction_sees_the_code(model: VAE[TextBatch], batch: TextBatch):
    first, second = (read_outs(decoder_of(model), batch, codes(1, batch.size, 4, seed=seed)) for seed in (1, 2))
    assert not torch.isclose(first, second).all(-1).any()


def test_steps_of_generation_predict_what_teacher_forcing_does(model: VAE[TextBatch], batch: TextBatch):
    decoder, z = decoder_of(model), codes(1, batch.size, 4)
    state, nll = decoder.first_state(z[0]), torch.zeros(batch.size, dtype=torch.float64)
    for place in range(batch.inputs.shape[1]):
        log_probs, state = decoder.step(batch.inputs[:, place], z[0], state)
        torch.testing.assert_close(log_probs.logsumexp(1), torch.zeros(batch.size, dtype=torch.float64), atol=1e-9, rtol=0.0)
        nll -= log_probs.gather(1, batch.targets[:, place : place + 1]).squeeze(1) * batch.mask[:, place]
    torch.testing.assert_close(decoder.nll(batch, z)[0], nll, rtol=1e-9, atol=1e-9)


def test_the_gap_is_zero_exactly_where_the_head_is_normalised(model: VAE[TextBatch], batch: TextBatch):
    z = codes(1, batch.size, 4)
    exact, gap = model.decoder.nll_and_gap(batch, z, generator())
    torch.testing.assert_close(exact, model.decoder.nll(batch, z))
    assert (gap == 0).all() == decoder_of(model).head.normalised


def test_without_dropout_training_minimises_the_exact_likelihood_where_the_head_is_normalised(
    model: VAE[TextBatch], batch: TextBatch
):
    z = codes(2, batch.size, 4)
    training = model.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(0))
    same = torch.isclose(training, model.decoder.nll(batch, z), rtol=1e-10, atol=1e-10).all()
    assert same == decoder_of(model).head.normalised


def test_every_weight_is_trained(model: VAE[TextBatch], batch: TextBatch):
    z = model.encode(batch).draw(1, generator())
    (model.decoder.nll(batch, z).mean() + model.encode(batch).kl().mean()).backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_zero_logits_score_the_vocabulary(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    model = build_model(text_config(), sentences, generator()).double()
    for weight in model.parameters():
        nn.init.zeros_(weight)
    nll = model.decoder.nll(batch, codes(1, batch.size, 4))[0]
    torch.testing.assert_close(nll, batch.lengths.double() * math.log(len(sentences.vocabulary)), rtol=1e-12, atol=0.0)


def test_tables_are_shared_as_the_config_says(text_config: MakeConfig, sentences: TextData):
    shared, own = (build_model(text_config(TEXT_MODELS[name]), sentences, generator()) for name in ("tied", "own table"))
    assert isinstance(shared.encoder, RecurrentSentenceEncoder)
    assert isinstance(own.encoder, RecurrentSentenceEncoder)
    assert decoder_of(shared).table is shared.encoder.table
    assert any(weight is shared.encoder.table.weight for weight in decoder_of(shared).head.parameters())
    assert decoder_of(own).table is not own.encoder.table
    assert decoder_of(own).table.embedding_dim == 8


@pytest.mark.parametrize(
    ("changes", "mapped"),
    [
        ({}, False),  # hidden 16, vectors 12, but nothing is tied
        ({"model.decoder.tie_embeddings": True}, True),
        ({"model.decoder.tie_embeddings": True, "model.decoder.hidden": 12}, False),
        ({"model.decoder.tie_embeddings": True, "model.decoder.hidden": 12, "model.decoder.output_map": True}, True),
    ],
)
def test_an_output_map_is_there_where_tying_or_the_config_needs_it(
    changes: dict[str, Any], mapped: bool, text_config: MakeConfig, sentences: TextData
):
    assert (decoder_of(build_model(text_config(changes), sentences, generator())).output is not None) == mapped


def test_the_global_generator_is_neither_read_nor_moved(changes: dict[str, Any], text_config: MakeConfig, sentences: TextData):
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        models.append(build_model(text_config(changes), sentences, generator(3)))
        assert torch.equal(torch.get_rng_state(), before)
    for (name, first), second in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert torch.equal(first, second), name
    other = build_model(text_config(changes), sentences, generator(4))
    assert not torch.equal(next(other.parameters()), next(models[0].parameters()))


def test_a_bidirectional_encoder_equals_torch_s_own_on_packed_sequences(
    text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    model = build_model(text_config({"model.encoder.bidirectional": True}), sentences, generator()).double()
    encoder = model.encoder
    assert isinstance(encoder, RecurrentSentenceEncoder)
    oracle = nn.LSTM(12, 16, batch_first=True, bidirectional=True).double()
    weights = {}
    for layer, suffix in zip(encoder.layers, ("", "_reverse"), strict=True):
        weights |= {f"{name}{suffix}": weight for name, weight in layer.state_dict().items()}
    oracle.load_state_dict(weights)
    packed = nn.utils.rnn.pack_padded_sequence(
        encoder.table(batch.targets), batch.lengths, batch_first=True, enforce_sorted=False
    )
    _, (hidden, _) = oracle(packed)
    torch.testing.assert_close(encoder(batch, None), torch.cat((hidden[0], hidden[1]), 1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_stepwise_path_with_a_mask_of_ones_is_the_fused_one(cell: Any):
    rnn = recurrent(cell, 5, 7, generator()).double()
    inputs, start = codes(3, 6, 5), (codes(3, 7, seed=1), codes(3, 7, seed=2))[: 2 if cell == "lstm" else 1]
    fused, fused_state = run_sequence(rnn, inputs, start)
    stepwise, state = run_sequence(rnn, inputs, start, torch.ones(3, 7, dtype=torch.float64))
    torch.testing.assert_close(stepwise, fused, rtol=1e-12, atol=1e-12)
    for one, other in zip(state, fused_state, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_locked_mask_cuts_its_units_off_at_every_step(cell: Any):
    """What the recurrent matrix reads of a dropped unit never matters, whatever its column holds, in that sequence alone."""
    rnn = recurrent(cell, 5, 7, generator()).double()
    inputs, mask = codes(2, 6, 5), torch.ones(2, 7, dtype=torch.float64)
    mask[0, 3] = 0.0
    before, _ = run_sequence(rnn, inputs, None, mask)
    with torch.no_grad():
        rnn.weight_hh_l0[:, 3] += 1.0
    after, _ = run_sequence(rnn, inputs, None, mask)
    assert torch.equal(after[0], before[0])
    assert not torch.equal(after[1], before[1])


def test_locked_dropout_drops_the_same_of_every_word_and_nothing_of_the_code(
    text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    model = build_model(text_config({"model.decoder.variational_dropout.inputs": 0.5}), sentences, generator()).double()
    z, seen = codes(1, batch.size, 4), []
    decoder_of(model).layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    model.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(0))
    words, code = seen[0].split((12, 4), 2)
    assert torch.equal(code, z[0].unsqueeze(1).expand_as(code))
    dropped = words == 0.0
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert len({tuple(row) for row in dropped[:, 0].tolist()}) == batch.size


def test_locked_dropout_of_the_output_drops_the_same_at_every_step(
    text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    changes = {"model.decoder.variational_dropout.output": 0.5, "model.decoder.output_map": True}
    model = build_model(text_config(changes), sentences, generator()).double()
    z, seen = codes(2, batch.size, 4), []
    output = decoder_of(model).output
    assert output is not None
    output.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    model.decoder.nll(batch, z)
    model.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(0))
    masks = set()
    for exact, dropped in zip(*(states.split(batch.lengths.tolist() * 2) for states in seen), strict=True):  # sample by sample
        kept = dropped[0] != 0.0
        masks.add(tuple(kept.tolist()))
        torch.testing.assert_close(dropped, exact * kept * 2.0, rtol=1e-12, atol=0.0)
    assert len(masks) == 2 * batch.size
    assert 0.3 < torch.tensor(list(masks)).double().mean() < 0.7  # of 16 units, 12 times: 4 standard deviations are 0.14


@pytest.mark.parametrize("part", ["inputs", "hidden", "output"])
def test_locked_dropout_differs_between_sentences(part: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    config = text_config({f"model.{network}.variational_dropout.{part}": 0.5 for network in ("encoder", "decoder")})
    model = build_model(config, sentences, generator()).double()
    twice = TextBatch(*(tensor[:1].expand(2, -1) for tensor in (batch.inputs, batch.targets, batch.mask)), batch.lengths[[0, 0]])
    first, second = model.encode(twice, generator()).mean
    assert not torch.equal(first, second)
    first, second = model.decoder.training_nll(twice, codes(1, 1, 4).expand(1, 2, 4), Moment(0, 1), Streams.create(0))[0]
    assert first != second


def test_full_word_dropout_leaves_a_decoder_that_sees_the_code_alone(
    text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    model = build_model(text_config({"model.decoder.word_dropout": 1.0}), sentences, generator()).double()
    vocabulary, z = sentences.vocabulary, codes(1, batch.size, 4)
    inputs = batch.inputs.clone()
    inputs[(inputs != vocabulary.bos) & (inputs != vocabulary.pad)] = vocabulary.unk
    dropped = model.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(0))
    torch.testing.assert_close(dropped, model.decoder.nll(replace(batch, inputs=inputs), z), rtol=1e-10, atol=1e-10)
    posterior = model.encode(batch, generator())  # the encoder's input is never dropped
    assert torch.equal(posterior.mean, model.encode(batch).mean)


def test_each_dropout_acts_in_training_and_only_there(
    text_config: MakeConfig, sentences: TextData, batch: TextBatch, every_dropout: dict[str, Any]
):
    plain = build_model(text_config(), sentences, generator())
    z = codes(1, batch.size, 4).float()
    single = {
        f"{key}.{part}": value for key, rates in every_dropout.items() if isinstance(rates, dict) for part, value in rates.items()
    }
    single |= {key: rate for key, rate in every_dropout.items() if not isinstance(rate, dict)}
    assert len(single) == 11
    for key in single:
        model = build_model(text_config({key: 0.6}), sentences, generator())
        assert torch.equal(model.encode(batch).mean, plain.encode(batch).mean), key
        assert torch.equal(model.decoder.nll(batch, z), plain.decoder.nll(batch, z)), key
        encoded = torch.equal(model.encode(batch, generator()).mean, plain.encode(batch).mean)
        decoded = torch.equal(model.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(0)), plain.decoder.nll(batch, z))
        assert (encoded, decoded) == (("decoder" in key), ("encoder" in key)), key
