"""Recurrent encoder and decoder of sentences (Bowman et al. 2016).

Shapes: B sentences, T padded length, E width of the word vectors, H hidden units, Z latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.dropout import dropout, locked_mask
from vae_core.moment import Moment
from vae_core.networks.cells import run_sequence
from vae_core.networks.initialise import linear, recurrent
from vae_core.networks.interface import Encoder
from vae_core.networks.recurrent_config import RecurrentDecoder, RecurrentEncoder, Truncation
from vae_core.networks.scheduled_sampling import OwnWords
from vae_core.networks.sentence import SentenceDecoder, beside_code
from vae_core.networks.text import State
from vae_core.networks.truncation import run_truncated
from vae_core.networks.word_vectors import DroppedTypes, WordVectors, embed
from vae_core.seeding import Streams
from vae_core.softmax.config import SoftmaxConfig


class RecurrentSentenceEncoder(Encoder[TextBatch]):
    """Reads w1 .. wn </s> forwards, and backwards too where the config says; the last true states are the summary."""

    def __init__(self, config: RecurrentEncoder, table: WordVectors, generator: Generator) -> None:
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
        embedded = embed(self.table, batch.targets, config.embedding_dropout, generator)
        shown = _locked_mask(embedded, rates.inputs, generator)
        embedded = embedded if shown is None else embedded * shown
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
            summary = dropout(dropout(summary, rates.output, generator), config.dropout, generator, config.dropout_noise)
        return summary


class RecurrentSentenceDecoder(SentenceDecoder):
    """z makes the first state and is an input at every step."""

    config: RecurrentDecoder

    def __init__(
        self,
        config: RecurrentDecoder,
        latent: int,
        table: WordVectors,
        softmax: SoftmaxConfig,
        vocabulary: WordList,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.table = table
        self.start = linear(latent, config.hidden, generator)
        self.layer = recurrent(config.kind, table.embedding_dim + latent, config.hidden, generator)
        self._add_softmax(softmax, generator)

    def bytes_per_sample(self, batch: TextBatch) -> int:
        # inputs, gates and states of every step, twice over for temporaries; the head bounds its own
        floats = self.layer.input_size + 6 * self.config.hidden
        return 2 * 4 * batch.inputs.shape[1] * floats

    def first_state(self, z: Tensor) -> State:
        cell = self.start(z)
        return (cell.tanh(), cell) if isinstance(self.layer, nn.LSTM) else (cell.tanh(),)

    def _advance(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        states, state = run_sequence(self.layer, beside_code(self.table(words).unsqueeze(1), z), state)
        return states.squeeze(1), state

    def _unroll(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        return self._run(embed(self.table, words, self.config.embedding_dropout, generator), z, generator)

    def _unroll_in_training(self, words: Tensor, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        config, vocabulary = self.config, self.vocabulary
        sampling, rate = config.scheduled_sampling, config.embedding_dropout
        probability = 1.0 if sampling is None else sampling.probability(moment.step, moment.total)
        if sampling is None or probability == 1.0:
            vectors = embed(self.table, words, rate, streams.dropout)
            return self._run(vectors, z, streams.dropout, None, config.truncation)
        table = DroppedTypes(self.table, len(vocabulary), rate, streams.dropout, z)
        kept = (vocabulary.bos, vocabulary.pad)
        own = OwnWords(words, probability, kept, sampling.build(), self._predict, table, streams.feeding)
        return self._run(table(words), z, streams.dropout, own, config.truncation)

    def _run(
        self,
        vectors: Tensor,
        z: Tensor,
        generator: Generator | None,
        own: OwnWords | None = None,
        truncation: Truncation | None = None,
    ) -> Tensor:
        """Hidden states (B, T, H) after each of the word vectors (B, T, E), or of those that the decoder makes of its own."""
        rates = self.config.variational_dropout
        shown = _locked_mask(vectors, rates.inputs, generator)
        mask = _hidden_mask(vectors, self.config.hidden, rates.hidden, generator)

        def forced(start: int, stop: int, state: State) -> tuple[Tensor, State]:
            return run_sequence(self.layer, self._inputs(vectors[:, start:stop], shown, z), state, mask)

        def fed(start: int, stop: int, state: State) -> tuple[Tensor, State]:
            assert own is not None
            columns = []
            for place in range(start, stop):
                vector = own.replace(place, vectors[:, place], state[0]).unsqueeze(1)
                column, state = run_sequence(self.layer, self._inputs(vector, shown, z), state, mask)
                columns.append(column)
            return torch.cat(columns, 1), state

        run, first, length = forced if own is None else fed, self.first_state(z), vectors.shape[1]
        states = run(0, length, first)[0] if truncation is None else run_truncated(run, first, length, truncation)
        kept = _locked_mask(states, rates.output, generator)
        return states if kept is None else states * kept

    def _inputs(self, vectors: Tensor, shown: Tensor | None, z: Tensor) -> Tensor:
        """Word vectors (B, T, E), dropped by their mask, beside the code, which never is."""
        return beside_code(vectors if shown is None else vectors * shown, z)

    def _predict(self, hidden: Tensor) -> Tensor:
        """Log probabilities (N, V) of the next word given that the sentence goes on, without dropout: (N, H) -> (N, V)."""
        vocabulary = self.vocabulary
        ends = torch.tensor((vocabulary.bos, vocabulary.eos, vocabulary.pad), device=hidden.device)
        return self.head.log_probs(self._read_out(hidden, None)).index_fill(1, ends, -torch.inf).log_softmax(1)


def _locked_mask(sequence: Tensor, rate: float, generator: Generator | None) -> Tensor | None:
    """One mask a sequence for all its steps: (B, T, E) -> (B, 1, E); None where nothing is dropped."""
    if generator is None or rate == 0.0:
        return None
    return locked_mask((len(sequence), 1, sequence.shape[2]), rate, generator, sequence.dtype)


def _hidden_mask(like: Tensor, hidden: int, rate: float, generator: Generator | None) -> Tensor | None:
    return None if generator is None or rate == 0.0 else locked_mask((len(like), hidden), rate, generator, like.dtype)
