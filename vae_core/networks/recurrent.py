"""Recurrent encoder and decoder of sentences (Bowman et al. 2016).

Shapes: B sentences, T padded length, N real tokens, K samples, E width of the word vectors, H hidden units,
Z latent dimensions, D width of what the softmax reads, V words.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.dropout import dropout, embedding_dropout, locked_mask, word_dropout
from vae_core.networks.cells import State, run_sequence
from vae_core.networks.config import GruDecoder, GruEncoder, LstmDecoder, LstmEncoder
from vae_core.networks.initialise import linear, recurrent
from vae_core.networks.interface import Decoder, Encoder
from vae_core.seeding import Streams
from vae_core.softmax.config import SoftmaxConfig
from vae_core.softmax.head import HeadSizes


class SentenceEncoder(Encoder[TextBatch]):
    """Reads w1 .. wn </s> forwards, and backwards too where the config says; the last true states are the summary."""

    def __init__(self, config: LstmEncoder | GruEncoder, table: nn.Embedding, generator: Generator | None) -> None:
        super().__init__()
        self.config = config
        self.table = table
        directions = 2 if config.bidirectional else 1
        # One layer a direction: each reads padding last, so its true last state stands at lengths - 1 and nothing is packed.
        self.layers = nn.ModuleList(
            recurrent(config.kind, table.embedding_dim, config.hidden, generator) for _ in range(directions)
        )
        self.features = directions * config.hidden

    def forward(self, batch: TextBatch, generator: Generator | None) -> Tensor:
        config, rates = self.config, self.config.variational_dropout
        embedded = _embed(self.table, batch.targets, config.embedding_dropout, rates.inputs, generator)
        row = torch.arange(batch.size, device=embedded.device)
        last = batch.lengths - 1
        summaries = []
        for direction, layer in enumerate(self.layers):
            assert isinstance(layer, nn.LSTM | nn.GRU)
            if direction == 1:
                mirrored = last.unsqueeze(1) - torch.arange(embedded.shape[1], device=embedded.device)
                embedded = embedded[row.unsqueeze(1), mirrored.clamp(min=0)]
            mask = _hidden_mask(embedded, config.hidden, rates.hidden, generator)
            summaries.append(run_sequence(layer, embedded, None, mask)[0][row, last])
        summary = torch.cat(summaries, 1)
        if generator is not None:  # one state is read, so a locked mask and a fresh one are the same
            summary = dropout(dropout(summary, rates.output, generator), config.dropout, generator)
        return summary


class SentenceDecoder(Decoder[TextBatch]):
    """Predicts each word from z and the words before it; z makes the first state and is an input at every step."""

    def __init__(
        self,
        config: LstmDecoder | GruDecoder,
        latent: int,
        table: nn.Embedding,
        softmax: SoftmaxConfig,
        vocabulary: WordList,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.table = table
        width = table.embedding_dim
        self.start = linear(latent, config.hidden, generator)
        self.layer = recurrent(config.kind, width + latent, config.hidden, generator)
        mapped = config.output_map if config.output_map is not None else config.tie_embeddings and config.hidden != width
        self.output = linear(config.hidden, width, generator) if mapped else None
        features = width if mapped else config.hidden
        assert isinstance(table.weight, nn.Parameter)
        tied = table.weight if config.tie_embeddings else None
        self.head = softmax.build(HeadSizes(features, vocabulary.counts, tied, generator))

    def training_nll(self, batch: TextBatch, z: Tensor, streams: Streams) -> Tensor:
        packed, hidden, targets = self._states(batch, z, streams.dropout)
        return packed.sums(self.head.loss(hidden, targets, streams.negatives))

    def nll(self, batch: TextBatch, z: Tensor) -> Tensor:
        packed, hidden, targets = self._states(batch, z, None)
        return packed.sums(self.head.nll(hidden, targets))

    def nll_and_gap(self, batch: TextBatch, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        packed, hidden, targets = self._states(batch, z, None)
        exact = packed.sums(self.head.nll(hidden, targets))
        if self.head.normalised:
            return exact, torch.zeros_like(exact)
        approximate = self.head.approximate_nll(hidden, targets, negatives)
        return exact, torch.full_like(exact, torch.nan) if approximate is None else packed.sums(approximate) - exact

    def bytes_per_sample(self, batch: TextBatch) -> int:
        # inputs, gates and states of every step, twice over for temporaries; the head bounds its own
        floats = self.layer.input_size + 6 * self.config.hidden
        return 2 * 4 * batch.inputs.shape[1] * floats

    def read_outs(self, batch: TextBatch, z: Tensor) -> Tensor:
        """What the softmax reads at every position, padding included, without dropout: (K, B, Z) -> (K, B, T, D)."""
        states = self._unroll(batch.inputs.repeat(len(z), 1), z.flatten(0, 1), None)
        read: Tensor = self._read_out(states, None)
        return read.view(len(z), batch.size, *read.shape[1:])

    def first_state(self, z: Tensor) -> State:
        """(B, Z) -> the state before the first word."""
        cell = self.start(z)
        return (cell.tanh(), cell) if isinstance(self.layer, nn.LSTM) else (cell.tanh(),)

    def step(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of generation: (B,), (B, Z) -> log probabilities of the next word (B, V), and the state after it."""
        inputs = torch.cat((self.table(words), z), 1).unsqueeze(1)
        states, state = run_sequence(self.layer, inputs, state)
        return self.head.log_probs(self._read_out(states.squeeze(1), None)), state

    def _states(self, batch: TextBatch, z: Tensor, generator: Generator | None) -> tuple[_Packed, Tensor, Tensor]:
        """What the softmax reads at the real tokens (N, D), and the tokens (N,); samples lie one behind the other."""
        samples = len(z)
        states = self._unroll(batch.inputs.repeat(samples, 1), z.flatten(0, 1), generator)
        packed = _Packed(batch, samples)
        return packed, self._read_out(packed.select(states), generator), packed.select(batch.targets.repeat(samples, 1))

    def _unroll(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        """Hidden states (B, T, H) after each of the words (B, T), with the dropouts before it where there is a generator."""
        config, rates = self.config, self.config.variational_dropout
        if generator is not None:
            kept = (self.vocabulary.bos, self.vocabulary.pad)
            words = word_dropout(words, config.word_dropout, self.vocabulary.unk, kept, generator)
        embedded = _embed(self.table, words, config.embedding_dropout, rates.inputs, generator)
        inputs = torch.cat((embedded, z.unsqueeze(1).expand(-1, words.shape[1], -1)), 2)  # z itself is never dropped
        mask = _hidden_mask(embedded, config.hidden, rates.hidden, generator)
        states, _ = run_sequence(self.layer, inputs, self.first_state(z), mask)
        return _locked_dropout(states, rates.output, generator)

    def _read_out(self, states: Tensor, generator: Generator | None) -> Tensor:
        """(..., H) -> (..., D), what the softmax reads."""
        if generator is not None:
            states = dropout(states, self.config.dropout, generator)
        return states if self.output is None else self.output(states)


class _Packed:
    """The real tokens of a padded batch, each sentence K times, so that padding costs nothing in the softmax."""

    def __init__(self, batch: TextBatch, samples: int) -> None:
        self.shape = (samples, *batch.mask.shape)
        full = batch.tokens == batch.mask.numel()  # as it is for most batches of a length bucket
        self.index = None if full else batch.mask.repeat(samples, 1).flatten().nonzero().squeeze(1)

    def select(self, padded: Tensor) -> Tensor:
        """(K B, T, ...) -> (N, ...)."""
        flat = padded.flatten(0, 1)
        return flat if self.index is None else flat.index_select(0, self.index)

    def sums(self, tokens: Tensor) -> Tensor:
        """Sums over each sentence: (N,) -> (K, B)."""
        if self.index is not None:  # back to their places, where a sum has a fixed order on every device
            tokens = tokens.new_zeros(math.prod(self.shape)).index_copy(0, self.index, tokens)
        return tokens.view(self.shape).sum(-1)


def _embed(table: nn.Embedding, words: Tensor, types: float, locked: float, generator: Generator | None) -> Tensor:
    """Word vectors (B, T, E); with a generator, whole types and then whole features of a sentence are dropped at these rates."""
    vectors: Tensor = table(words)
    if generator is not None:
        vectors = embedding_dropout(vectors, words, types, generator)
    return _locked_dropout(vectors, locked, generator)


def _locked_dropout(sequence: Tensor, rate: float, generator: Generator | None) -> Tensor:
    """One mask a sequence for all its steps, (B, T, E) -> (B, T, E)."""
    if generator is None or rate == 0.0:
        return sequence
    return sequence * locked_mask((len(sequence), 1, sequence.shape[2]), rate, generator, sequence.dtype)


def _hidden_mask(like: Tensor, hidden: int, rate: float, generator: Generator | None) -> Tensor | None:
    return None if generator is None or rate == 0.0 else locked_mask((len(like), hidden), rate, generator, like.dtype)
