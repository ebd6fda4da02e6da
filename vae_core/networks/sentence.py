"""What the decoders of sentences share: word vectors in, the softmax out, and only real tokens scored.

Shapes: B sentences, T padded length, N real tokens, K samples, E width of the word vectors, H width of the hidden states,
Z latent dimensions, D width of what the softmax reads, V words.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager

import torch
from torch import Generator, Tensor, nn

from vae_core.data.batching import TextBatch
from vae_core.dropout import dropout, word_dropout
from vae_core.moment import Moment
from vae_core.networks.initialise import linear
from vae_core.networks.text import Packed, State, TextDecoder
from vae_core.networks.text_config import SentenceDecoderConfig
from vae_core.networks.word_vectors import WordTable, WordVectors
from vae_core.seeding import Streams
from vae_core.softmax.config import SoftmaxConfig
from vae_core.softmax.head import HeadSizes
from vae_core.softmax.svd import SvdHead


class SentenceDecoder(TextDecoder):
    """Predicts each word from z and the words before it.

    A subclass makes its layers and then calls ``_add_softmax``; it gives the hidden states, of all positions and step by step.
    """

    predicts_end = True
    config: SentenceDecoderConfig
    table: WordVectors
    output: nn.Linear | None

    def _add_softmax(self, softmax: SoftmaxConfig, generator: Generator) -> None:
        config, width = self.config, self.table.embedding_dim
        mapped = config.output_map if config.output_map is not None else config.tie_embeddings and config.features != width
        self.output = linear(config.features, width, generator) if mapped else None
        features = width if mapped else config.features
        tied = None
        if config.tie_embeddings:
            assert isinstance(self.table, WordTable), "TrialConfig ties no other"
            tied = self.table.weight
        self.head = softmax.build(HeadSizes(features, self.vocabulary.counts, tied, generator))

    @abstractmethod
    def _advance(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        """One step without dropout: (B,), (B, Z) -> the hidden state (B, H) after the word, and what is remembered."""

    @abstractmethod
    def _unroll(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        """Hidden states (B, T, H) after each of the words (B, T), with the dropouts before it where there is a generator."""

    def remembering(self) -> AbstractContextManager[None]:
        return self.table.remembering()

    def step(self, words: Tensor, z: Tensor, state: State, svd: SvdHead | None = None) -> tuple[Tensor, State]:
        hidden, state = self._advance(words, z, state)
        return (svd or self.head).log_probs(self._read_out(hidden, None)), state

    def training_nll(self, batch: TextBatch, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        kept = (self.vocabulary.bos, self.vocabulary.pad)
        words = batch.inputs.repeat(len(z), 1)
        words = word_dropout(words, self.config.word_dropout, self.vocabulary.unk, kept, streams.dropout)
        states = self._unroll_in_training(words, z.flatten(0, 1), moment, streams)
        packed, hidden, targets = self._real(batch, states, streams.dropout)
        return packed.sums(self.head.loss(hidden, targets, streams.negatives))

    def nll(self, batch: TextBatch, z: Tensor) -> Tensor:
        packed, hidden, targets = self.scored_words(batch, z)
        return packed.sums(self.head.nll(hidden, targets))

    def nll_and_gap(self, batch: TextBatch, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        packed, hidden, targets = self.scored_words(batch, z)
        exact = packed.sums(self.head.nll(hidden, targets))
        return exact, self._gap(exact, lambda: (packed, hidden, targets), negatives)

    def _unroll_in_training(self, words: Tensor, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        """Hidden states (B, T, H) as training takes them; for a decoder that does more than teacher forcing to override."""
        return self._unroll(words, z, streams.dropout)

    def scored_words(self, batch: TextBatch, z: Tensor) -> tuple[Packed, Tensor, Tensor]:
        """``_real`` by teacher forcing."""
        return self._real(batch, self._unroll(batch.inputs.repeat(len(z), 1), z.flatten(0, 1), None), None)

    def _real(self, batch: TextBatch, states: Tensor, generator: Generator | None) -> tuple[Packed, Tensor, Tensor]:
        """What the softmax reads at the real tokens (N, D), and the tokens (N,), of (K B, T, H), sample by sample."""
        samples = len(states) // batch.size
        packed = Packed(batch.mask, batch.tokens, samples)
        return packed, self._read_out(packed.select(states), generator), packed.select(batch.targets.repeat(samples, 1))

    def _read_out(self, states: Tensor, generator: Generator | None) -> Tensor:
        """(..., H) -> (..., D), what the softmax reads."""
        if generator is not None:
            states = dropout(states, self.config.dropout, generator, self.config.dropout_noise)
        return states if self.output is None else self.output(states)


def beside_code(vectors: Tensor, z: Tensor) -> Tensor:
    """The code at every word vector: (B, T, E), (B, Z) -> (B, T, E + Z)."""
    return torch.cat((vectors, z.unsqueeze(1).expand(-1, vectors.shape[1], -1)), 2)
