"""Documents as counts of words: against the multinomial, whatever the order, with every softmax (definitions.md 13, 18)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.batching import TextBatch
from vae_core.data.text import TextData
from vae_core.decoding import DECODINGS, Ancestral
from vae_core.evaluate import evaluate, importance_weighted
from vae_core.generate import decode_text, prior_codes
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.networks.bag_of_words import BagOfWordsTextDecoder, BagOfWordsTextEncoder
from vae_core.networks.text import Packed
from vae_core.samples import write_samples
from vae_core.seeding import Streams, make_generator
from vae_core.trainer import Trainer

ENCODER: dict[str, Any] = {"kind": "bag_of_words", "hidden": [16]}
DECODER: dict[str, Any] = {"kind": "bag_of_words", "hidden": [12]}
BOTH: dict[str, Any] = {"model.encoder": ENCODER, "model.decoder": DECODER}
MODELS: dict[str, dict[str, Any]] = {
    "both": BOTH,
    "linear decoder": {**BOTH, "model.decoder": {"kind": "bag_of_words"}},
    "shares and tanh": {**BOTH, "model.encoder": {**ENCODER, "counts": "share", "activation": "tanh"}},
    "decoder": {"model.decoder": DECODER},
    "encoder": {"model.encoder": ENCODER, "model.decoder.embedding": 8},
}
SOFTMAXES: dict[str, dict[str, Any]] = {
    "full": {},
    "chunked": {"chunk_mib": 0.01},
    "adaptive": {"cutoffs": [50, 150]},
    "hierarchical": {},
    "sampled": {"samples": 64},
    "nce": {"samples": 64},
    "negative_sampling": {"samples": 64},
    "one_vs_each": {"samples": 64},
}
CHANGES: dict[str, dict[str, Any]] = {"one_vs_each": {"training.clip_norm": None, "objective.beta": 20.0, "training.epochs": 8}}
"""Its loss is of the order of the vocabulary."""
LEARNED = {"one_vs_each": 0.2}
"""Nats after the first epoch; it begins at the unigram."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(), dtype=torch.float64)


@pytest.fixture
def batch(sentences: TextData) -> TextBatch:
    """Six sentences of unequal lengths."""
    lengths = sentences.splits["train"].lengths
    return sentences.batch("train", np.argsort(lengths)[:: len(lengths) // 5])


def shuffled(batch: TextBatch) -> TextBatch:
    """Each document's words in another order, its ``</s>`` still last."""
    targets = batch.targets.clone()
    for row, length in enumerate(batch.lengths.tolist()):
        targets[row, : length - 1] = targets[row, torch.randperm(length - 1, generator=generator(row))]
    return replace(batch, targets=targets)


def decoder_of(model: VAE[TextBatch]) -> BagOfWordsTextDecoder:
    assert isinstance(model.decoder, BagOfWordsTextDecoder)
    return model.decoder


@pytest.mark.parametrize("counts", ["log", "share"])
def test_the_encoder_reads_how_often_each_word_occurs(
    counts: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    model = build_model(text_config(BOTH | {"model.encoder": {**ENCODER, "counts": counts}}), sentences, generator()).double()
    encoder = model.encoder
    assert isinstance(encoder, BagOfWordsTextEncoder)
    twice = replace(batch, targets=batch.targets.clone())
    twice.targets[-1, :2] = twice.targets[-1, 2]  # one word three times
    for row, numbers in enumerate(encoder.numbers(twice)):
        found = Counter(twice.targets[row, : int(batch.lengths[row]) - 1].tolist())
        total = sum(found.values())
        expected = torch.zeros(len(sentences.vocabulary), dtype=torch.float64)
        for word, n in found.items():
            expected[word] = math.log(1 + n) if counts == "log" else n / total
        torch.testing.assert_close(numbers, expected, rtol=1e-12, atol=0.0)


def test_the_order_of_words_changes_nothing(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    model, z = build_model(text_config(BOTH), sentences, generator()).double(), codes(2, batch.size, 4)
    other = shuffled(batch)
    assert not torch.equal(other.targets, batch.targets)
    torch.testing.assert_close(model.encode(other).mean, model.encode(batch).mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(model.decoder.nll(other, z), model.decoder.nll(batch, z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", SOFTMAXES)
def test_the_likelihood_is_the_multinomial_without_its_coefficient(
    kind: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    """Against torch's own, whose coefficient is taken off again."""
    changes = BOTH | {"model.softmax": {"kind": kind, **SOFTMAXES[kind]}}
    model, z = build_model(text_config(changes), sentences, generator()).double(), codes(2, batch.size, 4)
    decoder = decoder_of(model)
    found = decoder.nll(batch, z)
    for k in range(2):
        log_probs = decoder.head.log_probs(decoder.body(z[k], None))
        for row, length in enumerate(batch.lengths.tolist()):
            counts = batch.targets[row, : length - 1].bincount(minlength=len(sentences.vocabulary)).double()
            multinomial = torch.distributions.Multinomial(length - 1, logits=log_probs[row]).log_prob(counts)
            coefficient = math.lgamma(length) - torch.lgamma(counts + 1).sum()
            torch.testing.assert_close(-found[k, row], multinomial - coefficient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", SOFTMAXES)
def test_training_minimises_the_head_s_loss_of_each_word(
    kind: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    changes = BOTH | {"model.softmax": {"kind": kind, **SOFTMAXES[kind]}}
    model, z = build_model(text_config(changes), sentences, generator()).double(), codes(2, batch.size, 4)
    decoder, real = decoder_of(model), torch.arange(batch.inputs.shape[1]) < (batch.lengths - 1).unsqueeze(1)
    hidden = decoder.body(z, None).unsqueeze(2).expand(-1, -1, batch.inputs.shape[1], -1)[real.expand(2, -1, -1)]
    losses = decoder.head.loss(hidden, batch.targets.repeat(2, 1, 1)[real.expand(2, -1, -1)], Streams.create(0).negatives)
    expected = torch.zeros(2, *real.shape, dtype=torch.float64)
    expected[real.expand(2, -1, -1)] = losses.double()
    found = decoder.training_nll(batch, z, Moment(0, 1), Streams.create(0))
    torch.testing.assert_close(found, expected.sum(2), rtol=1e-9, atol=1e-9)
    exact, gap = decoder.nll_and_gap(batch, z, Streams.create(0).negatives)
    torch.testing.assert_close(exact, decoder.nll(batch, z))
    if kind == "negative_sampling":
        assert gap.isnan().all()
    elif kind == "nce":  # its gap is that of what stands for a likelihood, not of its loss
        assert (gap != 0).all()
    else:
        torch.testing.assert_close(gap, found - exact, rtol=1e-9, atol=1e-9)
    assert (gap == 0).all() == decoder.head.normalised


@pytest.mark.parametrize("name", MODELS)
def test_padding_neighbours_and_samples_change_no_score(
    name: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch
):
    model, z = build_model(text_config(MODELS[name]), sentences, generator()).double(), codes(3, batch.size, 4)
    mean, nll = model.encode(batch).mean, model.decoder.nll(batch, z)
    assert nll.shape == (3, batch.size)
    for place in range(batch.size):
        one, width = slice(place, place + 1), int(batch.lengths[place])
        alone = TextBatch(batch.inputs[one, :width], batch.targets[one, :width], batch.mask[one, :width], batch.lengths[one])
        torch.testing.assert_close(model.encode(alone).mean, mean[one], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(model.decoder.nll(alone, z[1:2, one])[0], nll[1, one], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_trained(name: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    model = build_model(text_config(MODELS[name]), sentences, generator()).double()
    z = model.encode(batch).draw(1, generator())
    (model.decoder.nll(batch, z).mean() + model.encode(batch).kl().mean()).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_zero_logits_have_the_vocabulary_as_perplexity_of_the_words_alone(text_config: MakeConfig, sentences: TextData):
    model = build_model(text_config(BOTH), sentences, make_generator(0, "init"))
    for weight in model.parameters():
        nn.init.zeros_(weight)
    scores, words = evaluate(model, sentences, "valid", 32, seed=0), sentences.splits["valid"].lengths
    assert scores["perplexity"] == pytest.approx(len(sentences.vocabulary), rel=1e-6)
    assert scores["distortion"] == pytest.approx(words.mean() * math.log(len(sentences.vocabulary)), rel=1e-6)
    bound = importance_weighted(model, sentences, "valid", samples=3, examples=7)
    assert bound.perplexity == pytest.approx(len(sentences.vocabulary), rel=1e-6)


def test_the_tokens_of_a_batch_are_its_words(text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    bag, lstm = (build_model(text_config(changes), sentences, generator()).decoder for changes in (BOTH, {}))
    assert bag.tokens(batch) == int((batch.lengths - 1).sum())
    assert lstm.tokens(batch) == int(batch.lengths.sum())


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_dropout_acts_in_training_only(part: str, text_config: MakeConfig, sentences: TextData, batch: TextBatch):
    dropped = build_model(
        text_config(BOTH | {f"model.{part}": {**BOTH[f"model.{part}"], "dropout": 0.5}}), sentences, generator()
    )
    plain, z = build_model(text_config(BOTH), sentences, generator()), codes(1, batch.size, 4).float()
    assert torch.equal(dropped.encode(batch).mean, plain.encode(batch).mean)
    assert torch.equal(dropped.decoder.nll(batch, z), plain.decoder.nll(batch, z))
    encoded = torch.equal(dropped.encode(batch, generator()).mean, plain.encode(batch).mean)
    decoded = torch.equal(dropped.decoder.training_nll(batch, z, Moment(0, 1), Streams.create(0)), plain.decoder.nll(batch, z))
    assert (encoded, decoded) == (part == "decoder", part == "encoder")


def test_the_likeliest_words_are_given_out_once_each(text_config: MakeConfig, sentences: TextData):
    model = build_model(text_config(BOTH), sentences, generator())
    vocabulary, decoder, z = sentences.vocabulary, decoder_of(model), prior_codes(model, 5, seed=0)
    log_probs = decoder.head.log_probs(decoder.body(z, None))
    log_probs[:, [vocabulary.bos, vocabulary.eos, vocabulary.pad]] = -math.inf
    expected = [[vocabulary.words[word] for word in row] for row in log_probs.topk(7).indices.tolist()]
    assert [text.split() for text in decode_text(model, z, 7)] == expected
    for decoding in DECODINGS.values():
        for text in decode_text(model, z, 7, decoding(), seed=1):
            assert len(text.split()) == len({*text.split()}) == 7
    assert decode_text(model, z, 7, Ancestral(), seed=1) != decode_text(model, z, 7, Ancestral(), seed=2)


def test_words_end_where_none_is_left(text_config: MakeConfig, sentences: TextData):
    model = build_model(text_config(BOTH), sentences, generator())
    texts = decode_text(model, prior_codes(model, 2, seed=0), len(sentences.vocabulary) + 5)
    for text in texts:
        assert sorted(text.split()) == sorted({*sentences.vocabulary.words} - {"<s>", "</s>", "<pad>"})


def test_samples_are_lists_of_words(text_config: MakeConfig, sentences: TextData, tmp_path: Path):
    config = text_config(BOTH)
    write_samples(build_model(config, sentences, generator()), config, sentences, tmp_path)
    lines = (tmp_path / "samples.txt").read_text().splitlines()
    given = [line.split()[1:] for line in lines if line.startswith(("greedy", "drawn"))]
    assert len(given) == 8
    assert all(len(words) == len({*words}) == config.data.max_length for words in given)


def test_packing_keeps_what_is_marked_and_sums_it_by_text():
    mask = torch.tensor([[True, False, True], [False, True, False]])
    packed = Packed(mask, 3, samples=2)
    values = torch.arange(12.0).view(4, 3)
    assert packed.select(values).tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert packed.sums(packed.select(values)).tolist() == [[2.0, 4.0], [14.0, 10.0]]


@pytest.mark.parametrize("name", MODELS)
def test_it_learns_and_goes_on_bit_by_bit(name: str, text_config: MakeConfig, sentences: TextData):
    assert_learns_and_goes_on(text_config(MODELS[name]), sentences)


@pytest.mark.parametrize("kind", [kind for kind in SOFTMAXES if kind != "full"])
def test_every_softmax_learns_words(kind: str, text_config: MakeConfig, sentences: TextData):
    config = text_config(
        BOTH | {"model.softmax": {"kind": kind, **SOFTMAXES[kind]}, "training.epochs": 4} | CHANGES.get(kind, {})
    )
    scores = [record.metrics["val/neg_elbo"] for record in Trainer(config, sentences).run() if not record.final]
    assert scores[-1] < scores[0] - LEARNED.get(kind, 0.5)


def test_two_topics_cost_one_bit_a_document(text_config: MakeConfig, tmp_path: Path):
    """12 words a document, all from one of two sets of 10: log 2 + 12 log 10 nats, where no model without z has 12 log 20."""
    draw = np.random.default_rng(0)
    topics = [[f"{letter}{number}" for number in range(10)] for letter in "ab"]
    lines = [" ".join(draw.choice(topics[draw.integers(2)], 12)) for _ in range(1200)]
    (tmp_path / "topics.txt").write_text("\n".join(lines))
    data = {"kind": "text_file", "train": str(tmp_path / "topics.txt"), "tokens": "spaces"}
    changes = {"data": data, "training.epochs": 25, "optimizer.lr": 0.02, "model.latent.size": 2}
    config = text_config(BOTH | changes)
    loaded = config.data.load()
    assert isinstance(loaded, TextData)
    final = list(Trainer(config, loaded).run())[-1].metrics
    truth = math.log(2) + 12 * math.log(10)
    assert truth - 0.1 < final["test/iw_nll"] <= final["test/neg_elbo"] < truth + 0.8
    assert final["test/perplexity"] == pytest.approx(math.exp(final["test/neg_elbo"] / 12))
    assert final["test/mutual_information"] > 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            BOTH | {"model.likelihood": {"kind": "categorical"}},
            "categorical is not that of .* bag_of_words, multinomial",
        ),
        ({"model.likelihood": {"kind": "multinomial"}}, "multinomial is not that of .* lstm, categorical"),
        ({"model.encoder": ENCODER}, r"model\.decoder\.embedding must be given, for model\.encoder\.kind: bag_of_words"),
        (BOTH | {"model.decoder": {**DECODER, "word_dropout": 0.1}}, "word_dropout"),
        (BOTH | {"model.encoder": {**ENCODER, "embedding": 8}}, "embedding"),
        (BOTH | {"model.encoder": {**ENCODER, "hidden": []}}, "hidden"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str, text_config: MakeConfig):
    text_config(BOTH | {"model.likelihood": {"kind": "multinomial"}})
    with pytest.raises(ValidationError, match=message):
        text_config(changes)
