"""What the decoders of sentences share: word vectors in, the softmax out, and only real tokens scored.

Shapes: B sentences, T padded length, N real tokens, K samples, E width of the word vectors, H width of the hidden states,
Z latent dimensions, D width of what the softmax reads, V words.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Generator, Tensor, nn

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.dropout import dropout, embedding_dropout, word_dropout
from vae_core.moment import Moment
from vae_core.networks.config import TextDecoderConfig
from vae_core.networks.initialise import linear
from vae_core.networks.interface import Decoder
from vae_core.seeding import Streams
from vae_core.softmax.config import SoftmaxConfig
from vae_core.softmax.head import HeadSizes, SoftmaxHead

State = tuple[Tensor, ...]
"""What a decoder remembers of the words so far; each part has the sentences first."""


class SentenceDecoder(Decoder[TextBatch]):
    """Predicts each word from z and the words before it.

    A subclass makes its layers and then calls ``_add_softmax``; it gives the hidden states, of all positions and step by step.
    """

    config: TextDecoderConfig
    vocabulary: WordList
    table: nn.Embedding
    output: nn.Linear | None
    head: SoftmaxHead

    def _add_softmax(self, softmax: SoftmaxConfig, generator: Generator) -> None:
        config, width = self.config, self.table.embedding_dim
        mapped = config.output_map if config.output_map is not None else config.tie_embeddings and config.features != width
        self.output = linear(config.features, width, generator) if mapped else None
        features = width if mapped else config.features
        assert isinstance(self.table.weight, nn.Parameter)
        tied = self.table.weight if config.tie_embeddings else None
        self.head = softmax.build(HeadSizes(features, self.vocabulary.counts, tied, generator))

    @abstractmethod
    def first_state(self, z: Tensor) -> State:
        """(B, Z) -> the state before the first word."""

    @abstractmethod
    def _advance(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        """One step without dropout: (B,), (B, Z) -> the hidden state (B, H) after the word, and what is remembered."""

    @abstractmethod
    def _unroll(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        """Hidden states (B, T, H) after each of the words (B, T), with the dropouts before it where there is a generator."""

    def step(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of generation: (B,), (B, Z) -> log probabilities of the next word (B, V), and the state after it."""
        hidden, state = self._advance(words, z, state)
        return self.head.log_probs(self._read_out(hidden, None)), state

    def training_nll(self, batch: TextBatch, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
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

    def _states(self, batch: TextBatch, z: Tensor, generator: Generator | None) -> tuple[_Packed, Tensor, Tensor]:
        """What the softmax reads at the real tokens (N, D), and the tokens (N,); samples lie one behind the other."""
        samples, words = len(z), batch.inputs.repeat(len(z), 1)
        if generator is not None:
            kept = (self.vocabulary.bos, self.vocabulary.pad)
            words = word_dropout(words, self.config.word_dropout, self.vocabulary.unk, kept, generator)
        states = self._unroll(words, z.flatten(0, 1), generator)
        packed = _Packed(batch, samples)
        return packed, self._read_out(packed.select(states), generator), packed.select(batch.targets.repeat(samples, 1))

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


def embed(table: nn.Embedding, words: Tensor, rate: float, generator: Generator | None) -> Tensor:
    """Word vectors (B, T, E) of (B, T); with a generator, all vectors of a word type are dropped at the rate."""
    vectors: Tensor = table(words)
    return vectors if generator is None else embedding_dropout(vectors, words, rate, generator)
