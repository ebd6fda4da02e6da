"""Scheduled sampling: when words are replaced, by which, and what the gradient sees of it (definitions.md 25)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.vae_core.conftest import MakeConfig
from tests.vae_core.resuming import assert_learns_and_goes_on
from vae_core.data.batching import TextBatch
from vae_core.data.text import TextData
from vae_core.model import VAE, build_model
from vae_core.moment import Moment
from vae_core.networks.recurrent import RecurrentSentenceDecoder
from vae_core.networks.recurrent_config import AnyScheduledSampling
from vae_core.networks.scheduled_sampling import DrawnWord, OwnWords, SoftWord
from vae_core.networks.word_vectors import DroppedTypes, WordTable
from vae_core.seeding import Streams, make_generator

KINDS: dict[str, dict[str, Any]] = {"drawn": {"kind": "drawn"}, "soft": {"kind": "soft", "temperature": 0.7}}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_cell = pytest.mark.parametrize("cell", ["lstm", "gru"])
END = Moment(step=10, total=10)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(), dtype=torch.float64)


@pytest.fixture
def batch(sentences: TextData) -> TextBatch:
    """Six sentences of unequal lengths."""
    lengths = sentences.splits["train"].lengths
    return sentences.batch("train", np.argsort(lengths)[:: len(lengths) // 5])


@pytest.fixture
def make_model(text_config: MakeConfig, sentences: TextData) -> Callable[..., VAE[TextBatch]]:
    """A model in double precision; sharp, so that its predictions differ from place to place."""

    def make(sampling: dict[str, Any] | None, changes: dict[str, Any] | None = None) -> VAE[TextBatch]:
        config = text_config((changes or {}) | {"model.decoder.scheduled_sampling": sampling})
        model = build_model(config, sentences, generator()).double()
        with torch.no_grad():
            model.decoder.get_parameter("head.weight").mul_(20.0)
        return model

    return make


def decoder_of(model: VAE[TextBatch]) -> RecurrentSentenceDecoder:
    assert isinstance(model.decoder, RecurrentSentenceDecoder)
    return model.decoder


def words_of(vectors: Tensor) -> DroppedTypes:
    """These word vectors, none dropped."""
    table = WordTable(*vectors.shape, _weight=vectors)
    return DroppedTypes(table, len(vectors), 0.0, generator(), vectors)


def goes_on(log_probs: Tensor, sentences: TextData) -> Tensor:
    """Probabilities of the next word, given that there is one."""
    vocabulary, probabilities = sentences.vocabulary, log_probs.exp()
    probabilities[:, [vocabulary.bos, vocabulary.eos, vocabulary.pad]] = 0.0
    return probabilities / probabilities.sum(1, keepdim=True)


def test_every_kind_is_here():
    assert {*KINDS} == {member.model_fields["kind"].default for member in get_args(get_args(AnyScheduledSampling)[0])}


@every_kind
def test_the_probability_of_the_true_word_falls_with_the_schedule(kind: str, text_config: MakeConfig):
    sampling = {**KINDS[kind], "end": 0.2, "schedule": {"kind": "linear", "warmup": 0.5}}
    config: Any = text_config({"model.decoder.scheduled_sampling": sampling}).model.decoder
    found = [config.scheduled_sampling.probability(step, 100) for step in (0, 25, 50, 99)]
    assert found == pytest.approx([1.0, 0.6, 0.2, 0.2])


@every_kind
@every_cell
def test_with_probability_one_it_is_teacher_forcing_bit_by_bit(
    kind: str, cell: str, make_model: Any, batch: TextBatch, every_dropout: dict[str, Any]
):
    z, changes = codes(2, batch.size, 4), every_dropout | {"model.decoder.kind": cell}
    plain = make_model(None, changes).decoder.training_nll(batch, z, END, Streams.create(0))
    throughout = make_model({**KINDS[kind], "end": 1.0}, changes).decoder.training_nll(batch, z, END, Streams.create(0))
    assert torch.equal(throughout, plain)
    started = make_model({**KINDS[kind], "end": 0.0}, changes).decoder
    assert torch.equal(started.training_nll(batch, z, Moment(0, 10), Streams.create(0)), plain)
    assert not torch.equal(started.training_nll(batch, z, Moment(1, 10), Streams.create(0)), plain)


@every_kind
def test_evaluation_never_samples(kind: str, make_model: Any, batch: TextBatch):
    z = codes(2, batch.size, 4)
    sampled, plain = make_model({**KINDS[kind], "end": 0.0}), make_model(None)
    assert torch.equal(sampled.decoder.nll(batch, z), plain.decoder.nll(batch, z))
    assert torch.equal(sampled.decoder.nll_and_gap(batch, z, generator())[0], plain.decoder.nll(batch, z))


@every_cell
def test_with_probability_zero_drawn_words_are_the_model_s_own(cell: str, make_model: Any, batch: TextBatch, sentences: TextData):
    """Word by word with ``step``, each drawn by its own uniform number; training is teacher forcing on these words."""
    model = make_model({"kind": "drawn", "end": 0.0}, {"model.decoder.kind": cell})
    decoder, vocabulary, z = decoder_of(model), sentences.vocabulary, codes(1, batch.size, 4)
    uniform = torch.rand((2, *batch.inputs.shape), generator=Streams.create(0).feeding)[1]
    fed, state = batch.inputs.clone(), decoder.first_state(z[0])
    for place in range(1, batch.inputs.shape[1]):
        log_probs, state = decoder.step(fed[:, place - 1], z[0], state)
        for row, probabilities in enumerate(goes_on(log_probs, sentences).cumsum(1)):
            if batch.inputs[row, place] != vocabulary.pad:
                fed[row, place] = int((probabilities <= uniform[row, place].item()).sum())
    assert (fed != batch.inputs).sum() > batch.mask.sum() / 2
    assert not torch.isin(fed[:, 1:][batch.mask[:, 1:]], torch.tensor([vocabulary.bos, vocabulary.eos, vocabulary.pad])).any()
    found = decoder.training_nll(batch, z, END, Streams.create(0))
    torch.testing.assert_close(found, decoder.nll(replace(batch, inputs=fed), z), rtol=1e-10, atol=1e-10)


@every_cell
def test_with_probability_zero_the_soft_argmax_is_fed(cell: str, make_model: Any, batch: TextBatch, sentences: TextData):
    model = make_model({"kind": "soft", "end": 0.0, "temperature": 0.7}, {"model.decoder.kind": cell})
    decoder, z = decoder_of(model), codes(1, batch.size, 4)
    table, vectors = decoder.table.weight, decoder.table(batch.inputs)
    state, nll = decoder.first_state(z[0]), torch.zeros(batch.size, dtype=torch.float64)
    inputs = vectors[:, 0]
    for place in range(batch.inputs.shape[1]):
        parts = tuple(part.unsqueeze(0) for part in state)
        given = torch.cat((inputs, z[0]), 1).unsqueeze(1)
        if cell == "lstm":
            hidden, (last, memory) = decoder.layer(given, parts)
            state = (last[0], memory[0])
        else:
            hidden, last = decoder.layer(given, parts[0])
            state = (last[0],)
        log_probs = decoder.head.log_probs(hidden[:, 0])
        nll -= log_probs.gather(1, batch.targets[:, place : place + 1]).squeeze(1) * batch.mask[:, place]
        powers = goes_on(log_probs, sentences) ** (1 / 0.7)
        inputs = torch.einsum("bv,ve->be", powers / powers.sum(1, keepdim=True), table)
    found = decoder.training_nll(batch, z, END, Streams.create(0))[0]
    torch.testing.assert_close(found, nll, rtol=1e-10, atol=1e-10)


@every_kind
def test_only_the_soft_kind_lets_the_gradient_through_what_is_fed(kind: str, make_model: Any, batch: TextBatch):
    """The last token's score alone: with drawn words its gradient to the output bias is softmax - 1 there, and nothing more."""
    model = make_model({**KINDS[kind], "end": 0.0})
    decoder, z, row = decoder_of(model), codes(1, batch.size, 4), torch.arange(batch.size)
    mask = torch.zeros_like(batch.mask)
    mask[row, batch.lengths - 1] = True
    last = replace(batch, mask=mask)
    seen: list[Tensor] = []
    loss = decoder.head.loss
    decoder.head.loss = lambda hidden, *rest: seen.append(hidden) or loss(hidden, *rest)
    decoder.training_nll(last, z, END, Streams.create(0)).sum().backward()
    targets = batch.targets[row, batch.lengths - 1]
    alone = decoder.head.log_probs(seen[0]).exp().detach()
    alone[row, targets] -= 1.0
    bias = decoder.head.get_parameter("bias").grad
    assert bias is not None
    assert torch.allclose(bias, alone.sum(0), rtol=1e-8, atol=1e-10) == (kind == "drawn")


def test_start_and_padding_are_never_replaced_and_all_else_is_by_chance(batch: TextBatch, sentences: TextData):
    words, vocabulary = batch.inputs.repeat(300, 1), sentences.vocabulary
    free = (words != vocabulary.bos) & (words != vocabulary.pad)
    for probability, share in ((0.0, 1.0), (0.3, 0.7)):
        own = OwnWords(
            words,
            probability,
            (vocabulary.bos, vocabulary.pad),
            DrawnWord(),
            lambda hidden: hidden,
            words_of(codes(9, 2)),
            generator(),
        )
        replaced = torch.zeros_like(free)
        for place, rows in enumerate(own.rows):
            replaced[rows, place] = True
        assert not replaced[~free].any()
        error = math.sqrt(share * (1 - share) / int(free.sum()))
        assert replaced[free].double().mean().item() == pytest.approx(share, abs=5 * error)


def test_draws_follow_the_prediction():
    """Evenly spaced numbers hit each word as often as its probability says, and a word without any never."""
    p = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0], dtype=torch.float64)
    uniform = (torch.arange(1000) + 0.5) / 1000
    drawn = DrawnWord().vectors(p.log().expand(1000, -1), uniform, words_of(torch.eye(6, dtype=torch.float64)))
    torch.testing.assert_close(drawn.mean(0), p, rtol=0.0, atol=1e-12)
    edges = DrawnWord().vectors(p.log().expand(2, -1), torch.tensor([0.0, 1.0 - 2**-24]), words_of(torch.eye(6)))
    assert edges.argmax(1).tolist() == [1, 4]


def test_the_soft_argmax_is_the_mean_vector_at_temperature_one_and_the_likeliest_near_zero():
    table = codes(5, 3)
    log_probs = codes(4, 5).log_softmax(1)
    torch.testing.assert_close(SoftWord(1.0).vectors(log_probs, torch.zeros(4), words_of(table)), log_probs.exp() @ table)
    cold = SoftWord(1e-4).vectors(log_probs, torch.zeros(4), words_of(table))
    torch.testing.assert_close(cold, table[log_probs.argmax(1)], rtol=0.0, atol=1e-9)


@every_kind
def test_draws_come_from_their_own_generator(kind: str, make_model: Any, batch: TextBatch, every_dropout: dict[str, Any]):
    model = make_model({**KINDS[kind], "end": 0.5}, every_dropout)
    z, before = codes(1, batch.size, 4), torch.get_rng_state()

    def loss(feeding: int) -> Tensor:
        streams = replace(Streams.create(0), feeding=make_generator(feeding))
        result: Tensor = model.decoder.training_nll(batch, z, END, streams)
        return result

    assert torch.equal(loss(1), loss(1))
    assert not torch.equal(loss(1), loss(2))
    assert torch.equal(torch.get_rng_state(), before)


@every_kind
def test_a_word_type_without_its_vector_is_fed_as_nothing(kind: str, make_model: Any, batch: TextBatch):
    """All but one in a million types dropped: what is fed is nothing but the code."""
    model = make_model({**KINDS[kind], "end": 0.0}, {"model.decoder.embedding_dropout": 1.0 - 1e-6})
    seen: list[Tensor] = []
    decoder_of(model).layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    model.decoder.training_nll(batch, codes(1, batch.size, 4), END, Streams.create(0))
    assert len(seen) == batch.inputs.shape[1]
    assert not torch.cat(seen, 1)[..., :12].any()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("drawn", {}),
        ("soft", {}),
        ("drawn", {"training.precision": "bfloat16"}),
        ("soft", {"training.precision": "bfloat16"}),
        ("drawn", {"optimizer": {"kind": "lazy_adam", "lr": 0.005}}),
    ],
)
def test_it_learns_and_goes_on_bit_by_bit(
    kind: str, changes: dict[str, Any], text_config: MakeConfig, sentences: TextData, every_dropout: dict[str, Any]
):
    sampling = {**KINDS[kind], "end": 0.5, "schedule": {"kind": "linear", "warmup": 0.5}}
    changes = every_dropout | changes | {"model.decoder.scheduled_sampling": sampling}
    assert_learns_and_goes_on(text_config(changes), sentences)


@pytest.mark.parametrize(
    "sampling", [{"kind": "drawn", "end": 1.1}, {"kind": "soft", "temperature": 0.0}, {"kind": "drawn", "temperature": 1.0}]
)
def test_values_that_mean_nothing_are_refused(sampling: dict[str, Any], text_config: MakeConfig):
    with pytest.raises(ValidationError, match=r"end|temperature"):
        text_config({"model.decoder.scheduled_sampling": sampling})
